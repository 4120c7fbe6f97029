/* What snn.js calls: one state, counts of spikes, and a call for every population and timestep if it is wanted. */
#include "snn.h"

#define EXPORT(name) __attribute__((export_name(name)))
#define POPULATIONS $populations

enum { NOTHING, COUNTS, ALL };

/* Given by snn.js: sees a population after a timestep. */
__attribute__((import_module("snn"), import_name("step"))) void see_step(
    int32_t population, int32_t timestep, const int32_t *membranes, const int8_t *spikes);

extern unsigned char __heap_base;

static const int32_t neurons[POPULATIONS] = {$neurons};
static ${p}_state state;
static int32_t watched;
static uint32_t spikes_of[POPULATIONS];

static void tap(void *user, int32_t population, int32_t timestep, const int32_t *membranes, const int8_t *spikes)
{
    uint32_t fired = 0;
    int32_t at;
    (void)user;
    if (spikes)
        for (at = 0; at < neurons[population]; at++)
            fired += spikes[at] != 0;
    spikes_of[population] += fired;
    if (watched == ALL)
        see_step(population, timestep, membranes, spikes);
}

EXPORT("heap") void *heap(void)
{
    return &__heap_base;
}

EXPORT("buffer_bytes") size_t buffer_bytes(void)
{
    return ${U}_BUFFER_BYTES;
}

EXPORT("begin") int32_t begin(void *buffer, size_t bytes, int32_t watch)
{
    const int32_t status = ${p}_init(&state, buffer, bytes);
    int32_t population;
    for (population = 0; population < POPULATIONS; population++)
        spikes_of[population] = 0;
    watched = watch;
    state.tap = watch == NOTHING ? NULL : tap;
    return status;
}

EXPORT("step") int32_t step(const int16_t *input)
{
    return ${p}_step(&state, input);
}

EXPORT("readout") const int32_t *readout(void)
{
    return ${p}_readout(&state);
}

EXPORT("largest") int32_t largest(void)
{
    return ${p}_largest(&state);
}

EXPORT("spikes") const uint32_t *spikes(void)
{
    return spikes_of;
}
