/* Make the next rows of one node; 0 if none can. */
static int advance(${p}_state *state)
{
    int32_t node;
    if (state->height >= 0 && state->units < 0 && mirror(state))
        return 1;
    for (node = $last; node > 0; node--)
        if (snn_ready(&tables, state->made, state->units, node)) {
            make[node](state);
            return 1;
        }
    return 0;
}

static int has_room(${p}_state *state)
{
    while (!snn_has_room(&tables, state->made, 0, 1))
        if (!advance(state))
            return 0;
    return 1;
}

/* Put one integer of the image's newest row into its planes. */
static void put(const ${p}_state *state, uint8_t *row, int32_t x, int32_t channel, int32_t value)
{
    const size_t plane = snn_plane_bytes(&ring_image, state->unit);
    uint8_t *at = row + (size_t)((ring_image.left + x) * ring_image.pixel + channel);
#if $split
    const int32_t high = (value + (64 << $split)) / (1 << $split) - 64;
    at[0] = (uint8_t)(value - high * (1 << $split));
    at[plane] = (uint8_t)(high + SNN_ZERO($image_zero));
#else
    (void)plane;
    at[0] = (uint8_t)(value + SNN_ZERO($image_zero));
#endif
}

static int32_t get(const ${p}_state *state, const uint8_t *row, int32_t x, int32_t channel)
{
    const size_t plane = snn_plane_bytes(&ring_image, state->unit);
    const uint8_t *at = row + (size_t)((ring_image.left + x) * ring_image.pixel + channel);
#if $split
    return at[0] + SNN_VALUE(at[plane], $image_zero) * (1 << $split);
#else
    (void)plane;
    return SNN_VALUE(at[0], $image_zero);
#endif
}

/* Where column or row `at` of an image comes from that is continued up to a multiple. */
static int32_t mirrored(int32_t at, int32_t size, int32_t all)
{
    if (at < size)
        return at;
    return size > all - size ? 2 * (size - 1) - at : size - 1;
}

/* The image's integer of a grey level: clip(floor((grey - offset) / step + 1/2)). */
static int32_t grid(int32_t grey)
{
    const int32_t shifted = 2 * (grey - $offset) + $step;
    const int32_t value = (shifted + 1024 * $step) / (2 * $step) - 512;
    return value < $low ? $low : value > $high ? $high : value;
}

static int push(${p}_state *state, const uint8_t *bytes, const int16_t *integers)
{
    const int32_t all = (int32_t)state->unit * $unit_width;
    uint8_t *row;
    int32_t x, channel;
    if (state->height >= 0 || ($fixed && state->made[0] >= $unit_height))
        return ${U}_BAD_CALL;
    if (!has_room(state))
        return ${U}_FULL;
    row = snn_row(state->memory, state->unit, &ring_image, state->made[0]);
    for (x = 0; x < all; x++) {
        const int32_t from = mirrored(x, state->width, all) * $channels;
        for (channel = 0; channel < $channels; channel++)
            put(state, row, x, channel, bytes ? grid(bytes[from + channel]) : integers[from + channel]);
    }
    state->made[0]++;
    return ${U}_OK;
}

/* After the last row: continue the image up to a multiple; 0 if there is no room. */
static int mirror(${p}_state *state)
{
    const int32_t all = (state->height + $before_height) / $unit_height * $unit_height;
    if (state->made[0] < all) {
        const int32_t from = mirrored(state->made[0], state->height, all);
        if (!snn_has_room(&tables, state->made, 0, 1))
            return 0;
        memcpy(snn_row(state->memory, state->unit, &ring_image, state->made[0]),
               snn_row(state->memory, state->unit, &ring_image, from),
               snn_plane_bytes(&ring_image, state->unit) * (size_t)ring_image.planes);
        state->made[0]++;
    }
    if (state->made[0] == all)
        state->units = all / $unit_height;
    return 1;
}

/* floor($numerator readout / $denominator + grey + 1/2), clipped to a byte; exact. */
static uint8_t byte_of(int32_t readout, int32_t grey)
{
    const int64_t part = $denominator;
    const int64_t sum = 2 * ((int64_t)readout * $numerator + grey * part) + part;
    if (sum < 0)
        return 0;
    return sum / (2 * part) > 255 ? 255 : (uint8_t)(sum / (2 * part));
}

int ${p}_init(${p}_state *state, void *buffer, size_t bytes, int32_t width)
{
    const size_t skipped = (16 - (uintptr_t)buffer % 16) % 16;
    memset(state, 0, sizeof *state);
    if (width < 1 || width > 65536 || ($fixed && width != $unit_width))
        return ${U}_BAD_WIDTH;
    if (!buffer || bytes < ${U}_BUFFER_BYTES(width))
        return ${U}_SMALL_BUFFER;
    state->memory = (uint8_t *)buffer + skipped;
    state->width = width;
    state->height = state->units = -1;
    state->unit = (uint32_t)((width + $before_unit) / $unit_width);
$clears
    return ${U}_OK;
}

int ${p}_push_row(${p}_state *state, const uint8_t *row)
{
    return push(state, row, NULL);
}

int ${p}_push_integers(${p}_state *state, const int16_t *row)
{
    return push(state, NULL, row);
}

int ${p}_finish(${p}_state *state)
{
    if (state->height >= 0 || !state->made[0] || ($fixed && state->made[0] != $unit_height))
        return ${U}_BAD_CALL;
    state->height = state->made[0];
    return ${U}_OK;
}

int ${p}_pop(${p}_state *state, uint8_t *row, int32_t *readout)
{
    const int32_t at = state->made[$out], all = (int32_t)state->unit * $out_width;
    const int32_t width = $same_size ? state->width : all;
    const int32_t *membranes;
    int32_t x, channel;
    if ($same_size && state->height >= 0 && at >= state->height)
        return 0;
    while (state->made[$last] <= at)
        if (!advance(state))
            return 0;
    membranes = snn_integers(state->memory, state->unit, &ring_$last, at);
    for (x = 0; x < width; x++)
        for (channel = 0; channel < $out_channels; channel++) {
            const int32_t membrane = membranes[x * $out_channels + channel];
            int32_t grey = 0;
            if (readout)
                readout[x * $out_channels + channel] = membrane;
            if (!row)
                continue;
            if ($adds_image)
                grey = get(state, snn_row(state->memory, state->unit, &ring_image, at), x, channel) * $step + $offset;
            row[x * $out_channels + channel] = byte_of(membrane, grey);
        }
    state->made[$out]++;
    return 1;
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
    row_bytes = (size_t)($same_size ? width : (int32_t)state.unit * $out_width) * $out_channels;
    for (row = 0; row < height; row++) {
        status = ${p}_push_row(&state, image + (size_t)row * (size_t)width * $channels);
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
    return width < 1 ? 0 : ${U}_BUFFER_BYTES(width);
}

int32_t ${p}_largest_width(size_t bytes)
{
    int32_t width = 65536;
    if ($fixed)
        return bytes < ${U}_BUFFER_BYTES($unit_width) ? 0 : $unit_width;
    while (width > 0 && bytes < ${U}_BUFFER_BYTES(width))
        width--;
    return width;
}
