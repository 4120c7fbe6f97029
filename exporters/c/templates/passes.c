
/* Passes one behind the other. The image's row that a further pass reads is taken from the ring of the pass before,
 * which keeps it until its own row of the same number has come out; so no row is kept for the delay alone. */

/* Give a pass's next row to the next pass, with all columns and rows up to the multiple; 0 if none can be. */
static int hand_on(${p}_pass_state *from, ${p}_pass_state *to)
{
    const int32_t at = from->made[$out], all = (int32_t)from->unit * $unit_width;
    const int32_t *membranes;
    const uint8_t *image;
    uint8_t *row;
    int32_t x, channel;
    if (to->height >= 0)
        return 0;
    while (from->made[$last] <= at) {
        if (from->units >= 0 && at == from->units * $unit_height) {
            to->height = at;
            return 1;
        }
        if (!advance(from))
            return 0;
    }
    if (!has_room(to))
        return 0;
    membranes = snn_integers(from->memory, from->unit, &ring_$last, at);
    image = snn_row(from->memory, from->unit, &ring_image, at);
    row = snn_row(to->memory, to->unit, &ring_image, to->made[0]);
    for (x = 0; x < all; x++)
        for (channel = 0; channel < $channels; channel++) {
            const int32_t pixel = get(from, image, x, channel);
            const int32_t grey = $adds_image ? pixel * $step + $offset : 0;
            put(to, row, x, channel, pixel);
            put(to, row, x, channel + $channels, grid(byte_of(membranes[x * $channels + channel], grey)));
        }
    from->made[$out]++;
    to->made[0]++;
    return 1;
}

/* The last pair of passes that can goes on; 0 if none can. */
static int pass_on(${p}_state *state)
{
    int pass;
    for (pass = ${U}_PASSES - 2; pass >= 0; pass--)
        if (hand_on(&state->pass[pass], &state->pass[pass + 1]))
            return 1;
    return 0;
}

/* The first pass reads the image twice. */
static int take(${p}_state *state, const uint8_t *bytes, const int16_t *integers)
{
    ${p}_pass_state *first = state->pass;
    const int32_t all = (int32_t)first->unit * $unit_width;
    uint8_t *row;
    int32_t x, channel;
    if (first->height >= 0 || ($fixed && first->made[0] >= $unit_height))
        return ${U}_BAD_CALL;
    while (!snn_has_room(&tables, first->made, 0, 1))
        if (!advance(first) && !pass_on(state))
            return ${U}_FULL;
    row = snn_row(first->memory, first->unit, &ring_image, first->made[0]);
    for (x = 0; x < all; x++) {
        const int32_t from = mirrored(x, first->width, all) * $channels;
        for (channel = 0; channel < $channels; channel++) {
            const int32_t value = bytes ? grid(bytes[from + channel]) : integers[from + channel];
            put(first, row, x, channel, value);
            put(first, row, x, channel + $channels, value);
        }
    }
    first->made[0]++;
    return ${U}_OK;
}

int ${p}_init(${p}_state *state, void *buffer, size_t bytes, int32_t width)
{
    const size_t each = width < 1 ? 0 : ${U}_PASS_BUFFER_BYTES(width);
    int pass, status = ${U}_OK;
    for (pass = 0; pass < ${U}_PASSES && !status; pass++) {
        const size_t before = each * (size_t)pass;
        uint8_t *own = buffer ? (uint8_t *)buffer + (bytes < before ? 0 : before) : NULL;
        status = ${p}_pass_init(&state->pass[pass], own, bytes < before ? 0 : bytes - before, width);
    }
    return status;
}

int ${p}_push_row(${p}_state *state, const uint8_t *row)
{
    return take(state, row, NULL);
}

int ${p}_push_integers(${p}_state *state, const int16_t *row)
{
    return take(state, NULL, row);
}

int ${p}_finish(${p}_state *state)
{
    return ${p}_pass_finish(state->pass);
}

int ${p}_pop(${p}_state *state, uint8_t *row, int32_t *readout)
{
    ${p}_pass_state *last = &state->pass[${U}_PASSES - 1];
    if (state->pass->height >= 0 && last->made[$out] >= state->pass->height)
        return 0;
    while (last->made[$last] <= last->made[$out])
        if (!advance(last) && !pass_on(state))
            return 0;
    return ${p}_pass_pop(last, row, readout);
}

int ${p}_pop_row(${p}_state *state, uint8_t *row)
{
    return ${p}_pop(state, row, NULL);
}

int ${p}_run(const uint8_t *image, int32_t width, int32_t height, uint8_t *out, void *buffer, size_t bytes)
{
    ${p}_state state;
    int status = ${p}_init(&state, buffer, bytes, width);
    size_t row_bytes;
    int32_t row;
    if (status)
        return status;
    row_bytes = (size_t)width * $channels;
    for (row = 0; row < height; row++) {
        status = ${p}_push_row(&state, image + (size_t)row * row_bytes);
        if (status)
            return status;
        while (${p}_pop_row(&state, out))
            out += row_bytes;
    }
    status = ${p}_finish(&state);
    if (status)
        return status;
    while (${p}_pop_row(&state, out))
        out += row_bytes;
    return ${U}_OK;
}

size_t ${p}_buffer_bytes(int32_t width)
{
    return ${U}_PASSES * ${p}_pass_buffer_bytes(width);
}

int32_t ${p}_largest_width(size_t bytes)
{
    return ${p}_pass_largest_width(bytes / ${U}_PASSES);
}
