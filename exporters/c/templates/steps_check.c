/* Runs inputs of integers through a network and writes what it gives: check INPUTS WIDTH HEIGHT FOLDER.
 *
 * Reads FOLDER/tiles, int16 [input]([timestep])[row][column][channel]; writes FOLDER/readout, int32, after the last
 * timestep; with SNN_TAPS also membranes.N, int32, and spikes.N, int8, of population N:
 * [timestep][input][row][column][channel].
 */
#include <stdio.h>
#include <stdlib.h>

#include "snn.h"

#define FRAMES (${U}_OVER_TIME ? ${U}_TIMESTEPS : 1)

static FILE *opened(const char *folder, const char *name, int number, const char *mode)
{
    char path[4096];
    FILE *file;
    if (number < 0)
        snprintf(path, sizeof path, "%s/%s", folder, name);
    else
        snprintf(path, sizeof path, "%s/%s.%d", folder, name, number);
    file = fopen(path, mode);
    if (!file) {
        fprintf(stderr, "%s: cannot be opened\n", path);
        exit(1);
    }
    return file;
}

static void put(const void *values, size_t size, size_t count, FILE *file)
{
    if (fwrite(values, size, count, file) != count) {
        fprintf(stderr, "cannot write\n");
        exit(1);
    }
}

#ifdef SNN_TAPS
#define POPULATIONS $populations
static const long neurons[POPULATIONS] = {$neurons};
static FILE *membrane_files[POPULATIONS], *spike_files[POPULATIONS];
static long inputs_all, input_now;

static void tap(void *user, int32_t population, int32_t timestep, const int32_t *membranes, const int8_t *spikes)
{
    const long place = ((long)timestep * inputs_all + input_now) * neurons[population];
    (void)user;
    fseek(membrane_files[population], place * 4, SEEK_SET);
    put(membranes, 4, (size_t)neurons[population], membrane_files[population]);
    if (!spikes)
        return;
    fseek(spike_files[population], place, SEEK_SET);
    put(spikes, 1, (size_t)neurons[population], spike_files[population]);
}
#endif

int main(int count, char **words)
{
    const size_t size = (size_t)FRAMES * ${U}_INPUTS;
    long inputs, input;
    int status = 0;
    void *buffer = malloc(${U}_BUFFER_BYTES);
    int16_t *taken = malloc(sizeof *taken * size);
    FILE *given, *readout;
    ${p}_state state;
    if (count != 5)
        return 2;
    if (!buffer || !taken || ${p}_init(&state, buffer, ${U}_BUFFER_BYTES))
        return 1;
    inputs = atol(words[1]);
    given = opened(words[4], "tiles", -1, "rb");
    readout = opened(words[4], "readout", -1, "wb");
#ifdef SNN_TAPS
    inputs_all = inputs;
    for (input = 0; input < POPULATIONS; input++) {
        membrane_files[input] = opened(words[4], "membranes", (int)input, "wb");
        spike_files[input] = opened(words[4], "spikes", (int)input, "wb");
    }
    state.tap = tap;
#endif
    for (input = 0; input < inputs && !status; input++) {
#ifdef SNN_TAPS
        input_now = input;
#endif
        if (fread(taken, sizeof *taken, size, given) != size)
            status = 1;
        else
            status = ${p}_run(&state, taken, NULL);
        put(${p}_readout(&state), sizeof(int32_t), ${U}_OUTPUTS, readout);
    }
    if (status)
        fprintf(stderr, "the network returned %d\n", status);
#ifdef SNN_TAPS
    for (input = 0; input < POPULATIONS; input++)
        if (fclose(membrane_files[input]) | fclose(spike_files[input]))
            status = 1;
#endif
    if (fclose(readout) | fclose(given))
        status = 1;
    free(buffer);
    free(taken);
    return status != 0;
}
