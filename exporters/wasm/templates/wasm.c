/* What snn.js calls: one state, counts of spikes, and a call for every row of a population if it is wanted. */
#include "snn.h"

#define EXPORT(name) __attribute__((export_name(name)))
#define POPULATIONS $populations

enum { NOTHING, COUNTS, ROWS };

/* Given by snn.js: sees a row of `count` pixels with `channels` channels, `pixel` bytes apart. */
__attribute__((import_module("snn"), import_name("row"))) void see_row(
    int32_t population, int32_t timestep, int32_t row, const int32_t *membranes, const uint8_t *spikes,
    int32_t count, int32_t pixel, int32_t pass);

extern unsigned char __heap_base;

static const int32_t channels[POPULATIONS] = {$channels_of}, widths[POPULATIONS] = {$widths_of};
static ${p}_state state;
static int32_t watched;
static uint32_t spikes_of[POPULATIONS];
static int32_t numbers[$passes];

static void tap(void *user, int32_t population, int32_t timestep, int32_t row, const int32_t *membranes,
                const uint8_t *spikes, int32_t pixel, int32_t zero)
{
    const int32_t count = widths[population] * (int32_t)$first.unit;
    uint32_t fired = 0;
    int32_t x, channel;
    if (spikes)
        for (x = 0; x < count; x++)
            for (channel = 0; channel < channels[population]; channel++)
                fired += spikes[x * pixel + channel] != (uint8_t)zero;
    spikes_of[population] += fired;
    if (watched == ROWS)
        see_row(population, timestep, row, membranes, spikes, count, pixel, *(const int32_t *)user);
}

EXPORT("heap") void *heap(void)
{
    return &__heap_base;
}

EXPORT("buffer_bytes") size_t buffer_bytes(int32_t width)
{
    return ${p}_buffer_bytes(width);
}

static void prepare(int32_t watch)
{
    int32_t population, pass;
    for (population = 0; population < POPULATIONS; population++)
        spikes_of[population] = 0;
    watched = watch;
    for (pass = 0; pass < $passes; pass++) {
        numbers[pass] = pass;
        $state.tap = watch == NOTHING ? NULL : tap;
        $state.user = &numbers[pass];
    }
}

EXPORT("begin") int32_t begin(void *buffer, size_t bytes, int32_t width, int32_t watch)
{
    const int32_t status = ${p}_init(&state, buffer, bytes, width);
    prepare(watch);
    return status;
}

EXPORT("push_row") int32_t push_row(const uint8_t *row)
{
    return ${p}_push_row(&state, row);
}

EXPORT("push_integers") int32_t push_integers(const int16_t *row)
{
    return ${p}_push_integers(&state, row);
}

EXPORT("finish") int32_t finish(void)
{
    return ${p}_finish(&state);
}

EXPORT("pop") int32_t pop(uint8_t *row, int32_t *readout)
{
    return ${p}_pop(&state, row, readout);
}

#if $passes > 1
/* One pass alone: integers of the image and of a result. */
EXPORT("begin_pass") int32_t begin_pass(void *buffer, size_t bytes, int32_t width, int32_t watch)
{
    const int32_t status = ${p}_pass_init(state.pass, buffer, bytes, width);
    prepare(watch);
    return status;
}

EXPORT("push_integers_pass") int32_t push_integers_pass(const int16_t *row)
{
    return ${p}_pass_push_integers(state.pass, row);
}

EXPORT("finish_pass") int32_t finish_pass(void)
{
    return ${p}_pass_finish(state.pass);
}

EXPORT("pop_pass") int32_t pop_pass(uint8_t *row, int32_t *readout)
{
    return ${p}_pass_pop(state.pass, row, readout);
}
#endif

EXPORT("spikes") const uint32_t *spikes(void)
{
    return spikes_of;
}
