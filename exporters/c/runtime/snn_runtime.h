/* What every exported network has in common: rings of rows, convolutions of one row, neurons.
 *
 * Only snn.c includes this file. All of it is static, so that networks with different prefixes link into one
 * program. Integers only; of the C library memcpy and memset alone are used.
 */
#ifndef SNN_RUNTIME_H
#define SNN_RUNTIME_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Kernels of the dense convolution: plain C, vectors of the compiler, AVX2, DSP instructions of ARM. All give the
 * same integers. */
#define SNN_SCALAR 0
#define SNN_VECTOR 1
#define SNN_AVX2 2
#define SNN_DSP 3
#ifndef SNN_KERNEL
#if defined(__AVX2__) && !defined(SNN_PORTABLE)
#define SNN_KERNEL SNN_AVX2
#elif defined(__GNUC__) && (defined(__SSE2__) || defined(__ARM_NEON) || defined(__wasm_simd128__))
#define SNN_KERNEL SNN_VECTOR
#elif defined(__GNUC__) && defined(__ARM_FEATURE_SIMD32) && !defined(SNN_PORTABLE)
#define SNN_KERNEL SNN_DSP
#else
#define SNN_KERNEL SNN_SCALAR
#endif
#endif

/* A layer with fewer nonzero inputs of 1000 than this runs event-driven: measured, docs/results/speed.md. */
#ifndef SNN_EVENTS_BELOW
#if SNN_KERNEL == SNN_AVX2
#define SNN_EVENTS_BELOW 50
#elif SNN_KERNEL == SNN_VECTOR || SNN_KERNEL == SNN_DSP
#define SNN_EVENTS_BELOW 300
#else
#define SNN_EVENTS_BELOW 1001
#endif
#endif

/* Code of its own for every layer is fastest; with SNN_SMALL, and -Os, all layers share one. */
#if defined(__GNUC__)
#define SNN_ALWAYS static inline __attribute__((always_inline))
#else
#define SNN_ALWAYS static inline
#endif
#if defined(__GNUC__) && !defined(__OPTIMIZE_SIZE__) && defined(__OPTIMIZE__) && !defined(SNN_SMALL)
#define SNN_INLINE SNN_ALWAYS
#elif defined(__GNUC__)
#define SNN_INLINE static __attribute__((noinline, unused))
#else
#define SNN_INLINE static inline
#endif

#define SNN_SEGMENT 64 /* output pixels that are computed at a time, at most */
#define SNN_BLOCK 4    /* of which so many share the weights that are in registers */
#define SNN_MOST_ROWS 64
#define SNN_MOST_UPSAMPLE 16
#define SNN_LARGEST ((1 << 23) - 1)

/* One convolution. Weights lie as [row][column][input][lane], `lanes` being the outputs rounded up to 8; for
 * AVX2 and DSP as [row][column][input / 4][lane][4]. */
typedef struct {
    int32_t inputs, outputs, lanes;
    int32_t kernel_rows, kernel_columns, stride, padding, dilation, upsample;
    int32_t factor;     /* 2^exponent of the weights */
    int32_t wraps;      /* sums may leave 24 bits and are cut to them */
    int32_t taps;       /* kernel positions whose products 16 bits hold, for any input (SNN_VECTOR) */
    int32_t split;      /* inputs of one position, where 16 bits do not hold them all */
    int32_t fast_taps;  /* the same for AVX2 in pairs of bytes; 0: not at all */
    int32_t fast_split; /* in quadruples of inputs */
    int32_t event_rows; /* kernel rows whose products 16 bits hold; 0: not one */
    int32_t segment;    /* output pixels that are computed at a time */
    int32_t events;     /* skip zeros */
    const int8_t *weight, *fast_weight;
    const int32_t *sums; /* of the weights of each lane */
} snn_conv;

#if SNN_KERNEL == SNN_AVX2
#define SNN_VALUE(byte, zero) ((int32_t)(byte) - (zero))
#define SNN_ZERO(zero) (zero)
#define SNN_SUMS(sums) (sums)
#else
#define SNN_SUMS(sums) NULL
#define SNN_VALUE(byte, zero) ((int32_t)(int8_t)(byte))
#define SNN_ZERO(zero) ((zero)*0)
#endif

#include "snn_rows.h"
#if SNN_KERNEL == SNN_VECTOR || SNN_KERNEL == SNN_AVX2
#include "snn_vector.h"
#elif SNN_KERNEL == SNN_DSP
#include "snn_dsp.h"
#endif
#if SNN_KERNEL == SNN_AVX2
#include "snn_avx2.h"
#endif

/* Whether a convolution runs in bytes of AVX2. */
SNN_ALWAYS int snn_is_fast(const snn_conv *conv)
{
    return SNN_KERNEL == SNN_AVX2 && conv->fast_taps > 0 && !conv->events;
}

/* Sums of `count` pixels before the first product; bytes that hold value + zero are set right here. */
SNN_INLINE void snn_begin(const snn_conv *conv, int32_t zero, int32_t count, int32_t *sums)
{
    const int32_t all = (count + SNN_BLOCK - 1) / SNN_BLOCK * SNN_BLOCK;
    int32_t pixel, lane;
    if (!snn_is_fast(conv) || zero == 0) {
        memset(sums, 0, (size_t)all * (size_t)conv->lanes * sizeof *sums);
        return;
    }
    for (pixel = 0; pixel < all; pixel++)
        for (lane = 0; lane < conv->lanes; lane++)
            sums[pixel * conv->lanes + lane] = -zero * conv->sums[lane];
}

#if SNN_KERNEL == SNN_SCALAR
SNN_INLINE void snn_dense(const snn_conv *conv, const uint8_t *const *rows, int32_t pixel, int32_t zero,
                          int32_t count, int32_t *sums)
{
    int32_t at, row, column, input, lane;
    (void)zero;
    for (at = 0; at < count; at++)
        for (row = 0; row < conv->kernel_rows; row++)
            for (column = 0; column < conv->kernel_columns; column++) {
                const uint8_t *source = rows[row] + (at * conv->stride + column * conv->dilation) * pixel;
                const int8_t *weight =
                    conv->weight + (row * conv->kernel_columns + column) * conv->inputs * conv->lanes;
                for (input = 0; input < conv->inputs; input++) {
                    const int32_t value = SNN_VALUE(source[input], zero);
                    for (lane = 0; lane < conv->outputs; lane++)
                        sums[at * conv->lanes + lane] += weight[input * conv->lanes + lane] * value;
                }
            }
}
#endif

/* Add one input's products of every kernel column that it meets. */
SNN_ALWAYS void snn_spread(const snn_conv *conv, const int8_t *weight, int32_t value, int32_t first,
                           int32_t last, int32_t x, int32_t *sums, int16_t *narrow)
{
    int32_t column, lane;
    for (column = first; column < last; column++) {
        const int32_t place = x - column * conv->dilation;
        const int8_t *one = weight + column * conv->inputs * conv->lanes;
        if (conv->stride > 1 && place % conv->stride)
            continue;
        if (narrow) {
            int16_t *target = narrow + place / conv->stride * conv->lanes;
            for (lane = 0; lane < conv->lanes; lane++)
                target[lane] = (int16_t)(target[lane] + one[lane] * (int16_t)value);
        } else {
            int32_t *target = sums + place / conv->stride * conv->lanes;
            for (lane = 0; lane < conv->lanes; lane++)
                target[lane] += one[lane] * value;
        }
    }
}

/* The convolution of a segment from its nonzero inputs alone. */
SNN_INLINE void snn_events(const snn_conv *conv, const uint8_t *const *rows, int32_t pixel, int32_t zero,
                           int32_t count, int32_t *sums, int16_t *narrow)
{
    const int32_t taken = (count - 1) * conv->stride + (conv->kernel_columns - 1) * conv->dilation + 1;
    int32_t row, x, input, at;
    (void)zero;
    if (!conv->event_rows)
        narrow = NULL;
    for (row = 0; row < conv->kernel_rows; row++) {
        const int8_t *weight = conv->weight + row * conv->kernel_columns * conv->inputs * conv->lanes;
        if (narrow && row % conv->event_rows == 0)
            memset(narrow, 0, (size_t)count * (size_t)conv->lanes * sizeof *narrow);
        for (x = 0; x < taken; x++) {
            const uint8_t *source = rows[row] + x * pixel;
            const int32_t beyond = x - (count - 1) * conv->stride; /* columns left of this miss the segment */
            const int32_t first = beyond > 0 ? (beyond + conv->dilation - 1) / conv->dilation : 0;
            const int32_t last =
                x / conv->dilation + 1 < conv->kernel_columns ? x / conv->dilation + 1 : conv->kernel_columns;
            for (input = 0; input < conv->inputs; input++) {
                const int32_t value = SNN_VALUE(source[input], zero);
                if (value)
                    snn_spread(conv, weight + input * conv->lanes, value, first, last, x, sums, narrow);
            }
        }
        if (narrow && ((row + 1) % conv->event_rows == 0 || row + 1 == conv->kernel_rows))
            for (at = 0; at < count * conv->lanes; at++)
                sums[at] += narrow[at];
    }
}

/* Add the products of one plane to the sums of `count` output pixels. */
SNN_INLINE void snn_convolve(const snn_conv *conv, const uint8_t *const *rows, int32_t pixel, int32_t zero,
                             int32_t count, int32_t *sums, int16_t *narrow)
{
    if (conv->events) {
        snn_events(conv, rows, pixel, zero, count, sums, narrow);
        return;
    }
#if SNN_KERNEL == SNN_AVX2
    if (conv->fast_taps) {
        snn_dense_avx2(conv, rows, pixel, count, sums);
        return;
    }
#endif
#if SNN_KERNEL == SNN_DSP
    snn_dense_dsp(conv, rows, pixel, count, sums);
#else
    snn_dense(conv, rows, pixel, zero, count, sums);
#endif
}

/* The low 24 bits as a signed number. */
SNN_ALWAYS int32_t snn_cut(int32_t sum)
{
    return (int32_t)(((uint32_t)sum & 0xFFFFFFu) ^ 0x800000u) - 0x800000;
}

/* Put the currents of a segment into rows of sums, or add them: shift, cut, pixel-shuffle. */
SNN_INLINE void snn_deliver(const snn_conv *conv, const int32_t *sums, int32_t first, int32_t count, int adds,
                            const snn_sums *rows)
{
    const int32_t factor = conv->upsample, channels = conv->outputs / (factor * factor);
    int32_t at, y, x, channel;
    for (at = 0; at < count; at++)
        for (y = 0; y < factor; y++)
            for (x = 0; x < factor; x++) {
                const int32_t place = ((first + at) * factor + x) * channels;
                const int32_t *source = sums + at * conv->lanes + y * factor + x;
                for (channel = 0; channel < channels; channel++) {
                    int32_t current = source[channel * factor * factor] * conv->factor;
                    if (conv->wraps)
                        current = snn_cut(current);
                    if (adds)
                        current += snn_sum(&rows[y], place + channel);
                    snn_keep(&rows[y], place + channel, current);
                }
            }
}

/* Everything that a synapse needs to know of its source's ring. */
typedef struct {
    const snn_ring *ring;
    const snn_ring *nothing; /* a row of zeros; of bits there is none */
    int32_t made;            /* rows of the source so far */
    int32_t zero;            /* what is added to a value in its byte; of the image, to its high part */
    int32_t high;            /* factor of the image's second plane; 0: planes are timesteps */
} snn_source;

/* Where a kernel's rows stand for a segment that begins at output pixel `first`: in their ring, or bits as bytes. */
SNN_ALWAYS void snn_find(const snn_conv *conv, const snn_source *source, const uint8_t *const *begin,
                         const size_t *step, int32_t plane, int32_t first, int32_t count, uint8_t *loose,
                         const uint8_t **now)
{
    const snn_ring *ring = source->ring;
    const int32_t from = ring->left - conv->padding + first * conv->stride;
    const int32_t all = (count + SNN_BLOCK - 1) / SNN_BLOCK * SNN_BLOCK;
    const int32_t taken = (all - 1) * conv->stride + (conv->kernel_columns - 1) * conv->dilation + 1;
    int32_t y;
    for (y = 0; y < conv->kernel_rows; y++) {
        if (!ring->share) {
            now[y] = begin[y] + step[y] * (size_t)plane + (size_t)from * (size_t)ring->pixel;
            continue;
        }
        if (begin[y])
            snn_unpack(ring, begin[y] + step[y] * (size_t)(plane / 8), plane, from, taken, loose);
        else
            memset(loose, 0, (size_t)taken * (size_t)ring->pixel);
        now[y] = loose;
        loose += taken * ring->pixel;
    }
}

/* One row of a convolution: currents of a plane into `copies` planes of sums, `apart` bytes from each other. */
SNN_INLINE void snn_synapse(uint8_t *memory, uint32_t unit, const snn_conv *conv, const snn_source *source,
                            int32_t row, int32_t width, int32_t plane, int32_t *scratch, int adds,
                            int32_t copies, size_t apart, const snn_sums *rows)
{
    int16_t *narrow = (int16_t *)(void *)(scratch + conv->segment * conv->lanes);
    uint8_t *loose = (uint8_t *)(narrow + conv->segment * conv->lanes);
    const size_t bytes = snn_plane_bytes(source->ring, unit);
    const int32_t pixel = source->ring->pixel, bits = source->ring->share;
    const uint8_t *begin[SNN_MOST_ROWS], *now[SNN_MOST_ROWS];
    size_t step[SNN_MOST_ROWS]; /* from plane to plane; all planes of timesteps share one row of zeros */
    snn_sums targets[SNN_MOST_UPSAMPLE];
    int32_t first, copy, y, at;
    for (y = 0; y < conv->kernel_rows; y++) {
        const int32_t taken = row * conv->stride - conv->padding + y * conv->dilation;
        const int inside = taken >= 0 && taken < source->made;
        begin[y] = inside ? snn_row(memory, unit, source->ring, taken)
                          : bits ? NULL : snn_row(memory, unit, source->nothing, 0);
        step[y] = inside || (!bits && source->nothing->planes > 1) ? bytes : 0;
    }
    for (first = 0; first < width; first += conv->segment) {
        const int32_t count = width - first < conv->segment ? width - first : conv->segment;
        snn_find(conv, source, begin, step, source->high ? 1 : plane, first, count, loose, now);
        snn_begin(conv, source->zero, count, scratch);
        snn_convolve(conv, now, pixel, source->zero, count, scratch, narrow);
        if (source->high) {
            for (at = 0; at < count * conv->lanes; at++)
                scratch[at] *= source->high;
            for (y = 0; y < conv->kernel_rows; y++)
                now[y] -= step[y];
            snn_convolve(conv, now, pixel, 0, count, scratch, narrow);
        }
        for (copy = 0; copy < copies; copy++) {
            for (y = 0; y < conv->upsample; y++)
                {
                targets[y] = rows[y];
                targets[y].row += apart * (size_t)(plane + copy);
            }
            snn_deliver(conv, scratch, first, count, adds, targets);
        }
    }
}

SNN_ALWAYS int32_t snn_clip(int32_t value)
{
    return value > SNN_LARGEST ? SNN_LARGEST : value < -SNN_LARGEST ? -SNN_LARGEST : value;
}

/* Graded neurons: sign(v) min(levels, (2 |v| + threshold) / (2 threshold)) for v = current + bias.
 * With `multiplier` the division is (2 |v| + threshold) multiplier >> shift, exact up to the highest level. */
typedef struct {
    int32_t channels, threshold, levels, is_signed, clips;
    uint32_t multiplier;
    int32_t shift;
    const int32_t *bias;
} snn_graded;

SNN_INLINE void snn_grade(const snn_graded *neurons, const snn_sums *currents, const snn_sums *beside, int32_t width,
                          int32_t pixel, int32_t zero, uint8_t *spikes, int32_t *membranes)
{
    const int32_t highest = (2 * neurons->levels - 1) * neurons->threshold / 2 + neurons->threshold;
    int32_t x, channel;
    for (x = 0; x < width; x++)
        for (channel = 0; channel < neurons->channels; channel++) {
            const int32_t at = x * neurons->channels + channel;
            int32_t membrane = snn_sum(currents, at) + snn_sum(beside, at) + neurons->bias[channel];
            int32_t size, level;
            if (neurons->clips)
                membrane = snn_clip(membrane);
            if (membranes)
                membranes[at] = membrane;
            size = membrane < 0 ? -membrane : membrane;
            size = size > highest ? highest : size;
            if (neurons->multiplier)
                level = (int32_t)((uint32_t)(2 * size + neurons->threshold) * neurons->multiplier >> neurons->shift);
            else
                level = (int32_t)((uint32_t)(2 * size + neurons->threshold) / (2u * (uint32_t)neurons->threshold));
            level = level > neurons->levels ? neurons->levels : level;
            level = membrane < 0 ? (neurons->is_signed ? -level : 0) : level;
            spikes[x * pixel + channel] = (uint8_t)(level + zero);
        }
}

/* Lava's LIF; with `fires` 0 the read-out, whose membrane after the last timestep is kept. */
typedef struct {
    int32_t channels, threshold, fires;
    int32_t kept, steps; /* a membrane keeps kept / steps of itself per timestep */
    int32_t wide;        /* the product needs 64 bits */
    int32_t wraps, clips;
    const int32_t *bias;
} snn_lif;

SNN_ALWAYS int32_t snn_decayed(const snn_lif *neurons, int32_t membrane)
{
    if (neurons->kept == neurons->steps)
        return membrane;
    if (neurons->wide)
        return (int32_t)((int64_t)membrane * neurons->kept / neurons->steps);
    return membrane * neurons->kept / neurons->steps;
}

SNN_ALWAYS int32_t snn_integrate(const snn_lif *neurons, int32_t membrane, int32_t current, int32_t channel)
{
    int32_t drive = current * 64;
    if (neurons->wraps)
        drive = drive > 1 << 23 ? drive - (1 << 24) : drive <= -(1 << 23) ? drive + (1 << 24) : drive;
    drive += snn_decayed(neurons, membrane) + neurons->bias[channel] * 64;
    return neurons->clips ? snn_clip(drive) : drive;
}

/* Membranes int32 [width][channels] go from timestep to timestep; spikes are bits of a ring's row, if there is
 * one, and bytes of `seen` with taps. */
SNN_INLINE void snn_fire(const snn_lif *neurons, const snn_sums *currents, const snn_sums *beside, int32_t width,
                         int32_t step, const snn_ring *ring, uint8_t *row, uint8_t *seen, int32_t *membranes)
{
    int32_t x, channel;
    for (x = 0; x < width; x++) {
        const int32_t place = ring->left + x;
        const int32_t shift = ring->share ? place % ring->share * ring->steps + step % 8 : 0;
        uint8_t *spikes = ring->share ? row + place / ring->share * ring->pixel : NULL;
        for (channel = 0; channel < neurons->channels; channel++) {
            const int32_t at = x * neurons->channels + channel;
            const int32_t before = step ? membranes[at] : 0, current = snn_sum(currents, at) + snn_sum(beside, at);
            const int32_t membrane = snn_integrate(neurons, before, current, channel);
            const int32_t fired = neurons->fires && membrane > neurons->threshold;
            membranes[at] = fired ? 0 : membrane;
            if (spikes)
                spikes[channel] = (uint8_t)((spikes[channel] & ~(1 << shift)) | fired << shift);
            if (seen)
                seen[x * ring->pixel + channel] = (uint8_t)fired;
        }
    }
}

/* One node's hold on one buffer: node 0 is the image, then the populations, then the output. */
typedef struct {
    int32_t reader, buffer;
    int32_t after; /* whose rows must be there */
    int32_t stride, upsample, back, ahead;
} snn_need;

/* Who makes rows of what: `nodes` counts the image and the populations; one buffer for each, then streams. */
typedef struct {
    int32_t nodes, need_count, buffers;
    const snn_need *needs;
    const int32_t *groups;   /* rows that a node makes together */
    const int32_t *heights;  /* rows of a node per unit of height */
    const int32_t *rows;     /* of each buffer's ring */
    const int32_t *creators; /* node that begins a row of each buffer */
} snn_tables;

static int snn_has_room(const snn_tables *tables, const int32_t *made, int32_t node, int32_t count)
{
    int32_t buffer, at;
    for (buffer = 0; buffer < tables->buffers; buffer++) {
        if (tables->creators[buffer] != node)
            continue;
        for (at = 0; at < tables->need_count; at++) {
            const snn_need *need = &tables->needs[at];
            const int32_t first = made[need->reader] / need->upsample * need->stride - need->back;
            if (need->buffer == buffer && made[node] + count - (first > 0 ? first : 0) > tables->rows[buffer])
                return 0;
        }
    }
    return 1;
}

/* Whether a population can make its next rows; `units` is the image's height in units, -1 as long as unknown. */
static int snn_ready(const snn_tables *tables, const int32_t *made, int32_t units, int32_t node)
{
    const int32_t count = tables->groups[node], last = made[node] + count - 1;
    int32_t at;
    if (units >= 0 && last >= tables->heights[node] * units)
        return 0;
    for (at = 0; at < tables->need_count; at++) {
        const snn_need *need = &tables->needs[at];
        int32_t wanted = last / need->upsample * need->stride + need->ahead + 1;
        if (need->reader != node)
            continue;
        if (units >= 0 && wanted > tables->heights[need->after] * units)
            wanted = tables->heights[need->after] * units;
        if (made[need->after] < wanted)
            return 0;
    }
    return snn_has_room(tables, made, node, count);
}

/* Fill a ring with zeros as its bytes hold them; of two planes the first holds no offset. */
static void snn_clear(uint8_t *memory, uint32_t unit, const snn_ring *ring, int32_t zero, int32_t is_split)
{
    const size_t bytes = snn_plane_bytes(ring, unit);
    int32_t row, plane;
    for (row = 0; row < ring->rows; row++)
        for (plane = 0; plane < ring->planes; plane++)
            memset(snn_row(memory, unit, ring, row) + bytes * (size_t)plane,
                   is_split && plane == 0 ? 0 : SNN_ZERO(zero), bytes);
}

#endif
