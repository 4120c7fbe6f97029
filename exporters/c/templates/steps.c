
static int takes(const int16_t *input)
{
    int32_t at;
    for (at = 0; at < ${U}_INPUTS; at++)
        if (input[at] < ${U}_LOW || input[at] > ${U}_HIGH)
            return 0;
    return 1;
}

int ${p}_init(${p}_state *state, void *buffer, size_t bytes)
{
    memset(state, 0, sizeof *state);
    if (!buffer || bytes < ${U}_BUFFER_BYTES)
        return ${U}_SMALL_BUFFER;
    state->memory = (uint8_t *)buffer + (4 - (uintptr_t)buffer % 4) % 4;
    ${p}_reset(state);
    return ${U}_OK;
}

void ${p}_reset(${p}_state *state)
{
    memset(state->memory, 0, $cleared);
    state->time = 0;
}

int ${p}_step(${p}_state *state, const int16_t *input)
{
    if (!input && !${U}_OVER_TIME && !state->time)
        return ${U}_BAD_CALL;
    if (input && !takes(input))
        return ${U}_BAD_INPUT;
$steps
    state->time++;
    return ${U}_OK;
}

const int32_t *${p}_readout(const ${p}_state *state)
{
    return (const int32_t *)(const void *)(state->memory + $readout_at);
}

int32_t ${p}_largest(const ${p}_state *state)
{
    const int32_t *readout = ${p}_readout(state);
    int32_t at, found = 0;
    for (at = 1; at < ${U}_OUTPUTS; at++)
        if (readout[at] > readout[found])
            found = at;
    return found;
}

int ${p}_run(${p}_state *state, const int16_t *inputs, int32_t *readouts)
{
    int32_t step;
    if (!inputs)
        return ${U}_BAD_CALL;
    ${p}_reset(state);
    for (step = 0; step < ${U}_TIMESTEPS; step++) {
        const int status = ${p}_step(state, ${U}_OVER_TIME ? inputs + (size_t)step * ${U}_INPUTS : step ? NULL : inputs);
        if (status)
            return status;
        if (readouts)
            memcpy(readouts + (size_t)step * ${U}_OUTPUTS, ${p}_readout(state), sizeof *readouts * ${U}_OUTPUTS);
    }
    return ${U}_OK;
}
