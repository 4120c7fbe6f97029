/* Holds the network against its first golden tile: make test. */
#include <stdio.h>
#include <stdlib.h>

#include "snn.h"

#define WIDTH $tile_width
#define HEIGHT $tile_height

$tile

$readout

$expected

static uint8_t buffer[${U}_BUFFER_BYTES(WIDTH)];
static uint8_t made[$out_values];
static int32_t membranes[$out_values];

int main(void)
{
    ${p}_state state;
    long at = 0, row, differing = 0;
    const long wide = (long)(sizeof made) / $out_height;
    int status = ${p}_init(&state, buffer, sizeof buffer, WIDTH);
    for (row = 0; row <= HEIGHT && !status; row++) {
        status = row < HEIGHT ? ${p}_push_integers(&state, tile + row * WIDTH * ${U}_CHANNELS) : ${p}_finish(&state);
        while (!status && at < (long)sizeof made && ${p}_pop(&state, made + at, membranes + at))
            at += wide;
    }
    if (status || at != (long)sizeof made) {
        printf("the network returned %d after %ld of %ld values\n", status, at, (long)sizeof made);
        return 1;
    }
    for (at = 0; at < (long)sizeof made; at++)
        differing += membranes[at] != readout[at] || made[at] != expected[at];
    printf("${p}: %ld of %ld values differ\n", differing, (long)sizeof made);
    return differing != 0;
}
