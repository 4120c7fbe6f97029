/* Runs images of integers through a network and writes what it gives: check TILES WIDTH HEIGHT FOLDER.
 *
 * Reads FOLDER/tiles, int16 [tile][row][column][channel]; writes FOLDER/readout, int32, and FOLDER/bytes; with
 * SNN_TAPS also membranes.N, int32, and spikes.N, int8, of population N: [timestep][tile][row][column][channel],
 * of all passes of a network one after the other: [timestep][pass][tile] and so on.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "snn.h"

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
static const long channels[POPULATIONS] = {$channels_of}, widths[POPULATIONS] = {$of_widths},
                  heights[POPULATIONS] = {$heights};
static FILE *membrane_files[POPULATIONS], *spike_files[POPULATIONS];
static long tiles_all, tile_now;
static int numbers[$passes];

static void tap(void *user, int32_t population, int32_t timestep, int32_t row, const int32_t *membranes,
                const uint8_t *spikes, int32_t pixel, int32_t zero)
{
    const long width = widths[population], count = channels[population];
    const long tile = ((long)timestep * $passes + *(const int *)user) * tiles_all + tile_now;
    const long place = (tile * heights[population] + row) * width * count;
    long x, channel;
    fseek(membrane_files[population], place * 4, SEEK_SET);
    put(membranes, 4, (size_t)(width * count), membrane_files[population]);
    if (!spikes)
        return;
    fseek(spike_files[population], place, SEEK_SET);
    for (x = 0; x < width; x++)
        for (channel = 0; channel < count; channel++) {
            const signed char spike = (signed char)(zero ? spikes[x * pixel + channel] - zero
                                                         : (int8_t)spikes[x * pixel + channel]);
            put(&spike, 1, 1, spike_files[population]);
        }
}
#endif

int main(int count, char **words)
{
    long tiles, width, height, tile, row;
    size_t bytes, wide;
    int status = 0;
#ifdef SNN_TAPS
    int pass;
#endif
    void *buffer;
    int16_t *taken;
    uint8_t *given;
    int32_t *readout;
    FILE *input, *bytes_file, *readout_file;
    ${p}_state state;
    if (count != 5)
        return 2;
    tiles = atol(words[1]);
    width = atol(words[2]);
    height = atol(words[3]);
    bytes = ${U}_BUFFER_BYTES(width);
    wide = (size_t)width * $widest;
    buffer = malloc(bytes);
    taken = malloc(sizeof *taken * (size_t)width * ${U}_CHANNELS);
    given = malloc(wide);
    readout = malloc(sizeof *readout * wide);
    if (!buffer || !taken || !given || !readout)
        return 1;
    input = opened(words[4], "tiles", -1, "rb");
    bytes_file = opened(words[4], "bytes", -1, "wb");
    readout_file = opened(words[4], "readout", -1, "wb");
#ifdef SNN_TAPS
    tiles_all = tiles;
    for (row = 0; row < POPULATIONS; row++) {
        membrane_files[row] = opened(words[4], "membranes", (int)row, "wb");
        spike_files[row] = opened(words[4], "spikes", (int)row, "wb");
    }
#endif
    for (tile = 0; tile < tiles && !status; tile++) {
        status = ${p}_init(&state, buffer, bytes, (int32_t)width);
#ifdef SNN_TAPS
        tile_now = tile;
        for (pass = 0; pass < $passes; pass++) {
            numbers[pass] = pass;
            $state.tap = tap;
            $state.user = &numbers[pass];
        }
#endif
        for (row = 0; row <= height && !status; row++) {
            if (row == height)
                status = ${p}_finish(&state);
            else if (fread(taken, sizeof *taken, (size_t)width * ${U}_CHANNELS, input) != (size_t)width * ${U}_CHANNELS)
                status = 1;
            else
                status = ${p}_push_integers(&state, taken);
            while (!status && ${p}_pop(&state, given, readout)) {
                const size_t made = (size_t)($same_size ? width : width / $unit_width * $out_width) * $out_channels;
                put(given, 1, made, bytes_file);
                put(readout, sizeof *readout, made, readout_file);
            }
        }
    }
    if (status)
        fprintf(stderr, "the network returned %d\n", status);
#ifdef SNN_TAPS
    for (row = 0; row < POPULATIONS; row++)
        if (fclose(membrane_files[row]) | fclose(spike_files[row]))
            status = 1;
#endif
    if (fclose(bytes_file) | fclose(readout_file) | fclose(input))
        status = 1;
    free(buffer);
    free(taken);
    free(given);
    free(readout);
    return status != 0;
}
