/* What every network has in common that is given one timestep at a time: convolutions of what is not zero, neurons.
 *
 * Only snn.c includes this file. All of it is static, so that networks with different prefixes link into one program.
 * Integers only; of the C library memcpy and memset alone are used. Maps lie as [row][column][channel].
 */
#ifndef SNN_STEPS_H
#define SNN_STEPS_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define SNN_LARGEST ((1 << 23) - 1)

#if defined(__GNUC__)
#define SNN_STATIC static inline __attribute__((unused))
#else
#define SNN_STATIC static inline
#endif

/* One convolution. Weights lie as [row][column][input][output], or [row][column][channel] if it is `diagonal`. */
typedef struct {
    int32_t rows, columns, inputs;               /* of the source */
    int32_t made_rows, made_columns, outputs;    /* before the pixel-shuffle */
    int32_t kernel_rows, kernel_columns, stride, padding, dilation, upsample;
    int32_t factor;                              /* 2^exponent of the weights */
    int32_t wraps;                               /* sums may leave 24 bits and are cut to them */
    int32_t diagonal;                            /* each channel reaches itself alone */
    const int8_t *weight;
} snn_synapse;

/* Lava's LIF; with `fires` 0 the read-out. */
typedef struct {
    int32_t neurons, channels, threshold, fires;
    int32_t kept, shift;                         /* a membrane keeps kept / 2^shift per timestep */
    int32_t current_kept, current_shift;         /* the same of a current that lasts */
    const int32_t *bias;                         /* NULL: none */
} snn_population;

/* Areas of the caller's buffer. */
SNN_STATIC int32_t *snn_words(uint8_t *memory, size_t at)
{
    return (int32_t *)(void *)(memory + at);
}

SNN_STATIC int8_t *snn_bytes(uint8_t *memory, size_t at)
{
    return (int8_t *)(memory + at);
}

/* Add one value's products of every kernel position that meets the map. */
SNN_STATIC void snn_spread(const snn_synapse *synapse, int32_t y, int32_t x, int32_t input, int32_t value,
                           int32_t *target)
{
    const int32_t lanes = synapse->diagonal ? 1 : synapse->outputs;
    const int32_t block = synapse->diagonal ? synapse->inputs : synapse->inputs * synapse->outputs;
    int32_t row, column, lane;
    for (row = 0; row < synapse->kernel_rows; row++) {
        const int32_t down = y + synapse->padding - row * synapse->dilation;
        if (down < 0)
            return;
        if (down % synapse->stride || down / synapse->stride >= synapse->made_rows)
            continue;
        for (column = 0; column < synapse->kernel_columns; column++) {
            const int32_t right = x + synapse->padding - column * synapse->dilation;
            const int8_t *weight;
            int32_t *sums;
            if (right < 0)
                break;
            if (right % synapse->stride || right / synapse->stride >= synapse->made_columns)
                continue;
            weight = synapse->weight + (row * synapse->kernel_columns + column) * block + input * lanes;
            sums = target + (down / synapse->stride * synapse->made_columns + right / synapse->stride) * synapse->outputs;
            sums += synapse->diagonal ? input : 0;
            for (lane = 0; lane < lanes; lane++)
                sums[lane] += weight[lane] * value;
        }
    }
}

/* The low 24 bits as a signed number. */
SNN_STATIC int32_t snn_cut(int32_t sum)
{
    return (int32_t)(((uint32_t)sum & 0xFFFFFFu) ^ 0x800000u) - 0x800000;
}

/* Add the sums of a convolution to a population's: shift, cut, pixel-shuffle. */
SNN_STATIC void snn_deliver(const snn_synapse *synapse, const int32_t *sums, int32_t *totals)
{
    const int32_t factor = synapse->upsample, channels = synapse->outputs / (factor * factor);
    int32_t y, x, at;
    for (y = 0; y < synapse->made_rows; y++)
        for (x = 0; x < synapse->made_columns; x++)
            for (at = 0; at < synapse->outputs; at++) {
                const int32_t row = y * factor + at / factor % factor, column = x * factor + at % factor;
                const int32_t current = *sums++ * synapse->factor;
                totals[(row * synapse->made_columns * factor + column) * channels + at / (factor * factor)] +=
                    synapse->wraps ? snn_cut(current) : current;
            }
}

/* Add the currents of what is not zero, of words or bytes, to a population's sums; `sums` is NULL where they go
 * there directly. */
SNN_STATIC void snn_arrive(const snn_synapse *synapse, const int16_t *words, const int8_t *bytes, int32_t *sums,
                           int32_t *totals)
{
    const int32_t factor = sums ? 1 : synapse->factor;
    const size_t made = (size_t)(synapse->made_rows * synapse->made_columns * synapse->outputs);
    int32_t y, x, input;
    if (sums)
        memset(sums, 0, made * sizeof *sums);
    for (y = 0; y < synapse->rows; y++)
        for (x = 0; x < synapse->columns; x++)
            for (input = 0; input < synapse->inputs; input++) {
                const int32_t value = words ? *words++ : *bytes++;
                if (value)
                    snn_spread(synapse, y, x, input, value * factor, sums ? sums : totals);
            }
    if (sums)
        snn_deliver(synapse, sums, totals);
}

/* Lava's register of a current: 2^24 less above 2^23, and 2^24 more at or below -2^23, once. */
SNN_STATIC int64_t snn_wrap(int64_t drive)
{
    return drive > 1 << 23 ? drive - (1 << 24) : drive <= -(1 << 23) ? drive + (1 << 24) : drive;
}

/* What is kept of a register, toward zero. */
SNN_STATIC int32_t snn_keep(int32_t held, int32_t kept, int32_t shift)
{
    const uint32_t size = held < 0 ? (uint32_t)-held : (uint32_t)held;
    const int32_t left = (int32_t)(shift ? (uint64_t)size * (uint32_t)kept >> shift : size);
    return held < 0 ? -left : left;
}

/* One timestep of a population; `currents` is NULL where none lasts, `spikes` of the read-out. */
SNN_STATIC void snn_advance(const snn_population *population, const int32_t *totals, int32_t *currents,
                            int32_t *membranes, int8_t *spikes)
{
    int32_t at, channel = 0;
    for (at = 0; at < population->neurons; at++) {
        int64_t drive = (int64_t)totals[at] * 64;
        int32_t fired;
        if (currents)
            drive += snn_keep(currents[at], population->current_kept, population->current_shift);
        drive = snn_wrap(drive);
        if (currents)
            currents[at] = (int32_t)drive;
        if (population->bias)
            drive += (int64_t)population->bias[channel] * 64;
        drive += snn_keep(membranes[at], population->kept, population->shift);
        drive = drive > SNN_LARGEST ? SNN_LARGEST : drive < -SNN_LARGEST ? -SNN_LARGEST : drive;
        fired = population->fires && drive > population->threshold;
        membranes[at] = fired ? 0 : (int32_t)drive;
        if (spikes)
            spikes[at] = (int8_t)fired;
        channel = channel + 1 == population->channels ? 0 : channel + 1;
    }
}

#endif
