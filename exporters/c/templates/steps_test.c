/* Holds the network against its first golden input, after every timestep: make test. */
#include <stdio.h>

#include "snn.h"

$tile

$expected

static uint8_t buffer[${U}_BUFFER_BYTES];
static int32_t made[${U}_TIMESTEPS * ${U}_OUTPUTS];

int main(void)
{
    const long all = (long)${U}_TIMESTEPS * ${U}_OUTPUTS;
    ${p}_state state;
    long at, differing = 0;
    int status = ${p}_init(&state, buffer, sizeof buffer);
    if (!status)
        status = ${p}_run(&state, given, made);
    if (status) {
        printf("the network returned %d\n", status);
        return 1;
    }
    for (at = 0; at < all; at++)
        differing += made[at] != expected[at];
    printf("${p}: %ld of %ld values differ\n", differing, all);
    return differing != 0;
}
