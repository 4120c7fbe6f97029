/* A camera without a camera: rows of an image go through a network, and a lamp blinks with every row that comes out.
 *
 * Nothing but a strip of rows is ever in memory. `lamp` is the board's; on a computer any function does.
 */
#include <stdio.h>

#include "snn.h"

#ifndef WIDTH
#define WIDTH 64
#endif
#ifndef HEIGHT
#define HEIGHT 64
#endif
/* Of the export's snn.h: -DNETWORK=denoise_25 -DBUFFER_BYTES=DENOISE_25_BUFFER_BYTES. */
#define JOIN_(a, b) a##b
#define JOIN(a, b) JOIN_(a, b)
#define CALL(name) JOIN(NETWORK, name)

void lamp(int on);

static uint8_t buffer[BUFFER_BYTES(WIDTH)];
static uint8_t row[WIDTH * 3], restored[WIDTH * 3];

/* Stands for the sensor: a ramp with an edge in it, and noise of a linear congruential generator. */
static void read_row(int y)
{
    static uint32_t state = 1;
    int at;
    for (at = 0; at < WIDTH * 3; at++) {
        const int clean = 40 + at / 3 * 100 / WIDTH + (y > HEIGHT / 2 ? 80 : 0);
        state = state * 1664525u + 1013904223u;
        row[at] = (uint8_t)(clean - 25 + (int)(state >> 24) * 50 / 255);
    }
}

int main(void)
{
    CALL(_state) network;
    uint32_t sum = 0;
    int y, rows = 0, at;
    if (CALL(_init)(&network, buffer, sizeof buffer, WIDTH))
        return 1;
    for (y = 0; y <= HEIGHT; y++) {
        if (y < HEIGHT) {
            read_row(y);
            CALL(_push_row)(&network, row);
        } else {
            CALL(_finish)(&network);
        }
        while (CALL(_pop_row)(&network, restored)) {
            lamp(++rows % 2);
            for (at = 0; at < WIDTH * 3; at++)
                sum = sum * 31u + restored[at];
        }
    }
    printf("%d rows, sum %08lx\n", rows, (unsigned long)sum);
    return rows != HEIGHT;
}
