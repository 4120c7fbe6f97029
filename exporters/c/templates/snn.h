/* $title
 *
 * Made by snn-tool from network.nir; exact to the last integer (README.md).
 * Rows go in at the top and come out with a delay; memory grows with the width of the image alone.
 */
#ifndef ${U}_SNN_H
#define ${U}_SNN_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define ${U}_CHANNELS $channels         /* of the image; channels of a pixel lie side by side */
#define ${U}_OUT_CHANNELS $out_channels
#define ${U}_WIDTH_MULTIPLE $unit_width   /* other widths and heights are mirrored up to a multiple */
#define ${U}_HEIGHT_MULTIPLE $unit_height
#define ${U}_FIXED_SIZE $fixed           /* 1: one unit of width and height is the only size */
#define ${U}_DELAY_ROWS $delay           /* image rows that are taken before the first row comes out */

/* Bytes of memory for images of a width; a constant expression if `width` is one. */
#ifdef SNN_TAPS
#define ${U}_BUFFER_BYTES(width) ((size_t)$taps_unit * (((size_t)(width) + $before_unit) / $unit_width) + $taps_fixed)
#else
#define ${U}_BUFFER_BYTES(width) ((size_t)$bytes_unit * (((size_t)(width) + $before_unit) / $unit_width) + $bytes_fixed)
#endif

/* What functions return; 0 and above is no failure. */
#define ${U}_OK 0
#define ${U}_BAD_WIDTH (-1)    /* not above 0, or not the one that the network is made for */
#define ${U}_SMALL_BUFFER (-2) /* fewer bytes than ${U}_BUFFER_BYTES(width) */
#define ${U}_FULL (-3)         /* take rows out with ${p}_pop_row first, then call again */
#define ${U}_BAD_CALL (-4)     /* a row after ${p}_finish, no row before it, or a height that does not fit */

#ifdef SNN_TAPS
/* Sees every row of every population at every timestep: membranes int32 [width][channels] after the reset, and
 * spikes, one byte of `pixel` bytes each that hold value + zero; NULL for the read-out. */
typedef void (*${p}_tap)(void *user, int32_t population, int32_t timestep, int32_t row,
                         const int32_t *membranes, const uint8_t *spikes, int32_t pixel, int32_t zero);
#endif

typedef struct {
    uint8_t *memory;
    int32_t width;        /* of the image */
    int32_t height;       /* -1 until ${p}_finish */
    int32_t units;        /* of height, -1 until the last row was taken */
    uint32_t unit;        /* of width */
    int32_t made[$nodes]; /* rows of the image, of every population, and rows that came out */
#ifdef SNN_TAPS
    ${p}_tap tap;
    void *user;
#endif
} ${p}_state;

/* Begin an image. `buffer` needs no alignment and belongs to the state until the last row came out. */
int ${p}_init(${p}_state *state, void *buffer, size_t bytes, int32_t width);

/* Give the next row, `width` pixels of ${U}_CHANNELS bytes. Returns ${U}_FULL if rows must be taken out first. */
int ${p}_push_row(${p}_state *state, const uint8_t *row);

/* The same with integers of the network's input grid ($low..$high) instead of bytes. */
int ${p}_push_integers(${p}_state *state, const int16_t *row);

/* Say that there are no more rows. */
int ${p}_finish(${p}_state *state);

/* Take the next row out: 1 if there was one, 0 if more rows are needed, or, after ${p}_finish, at the end. */
int ${p}_pop_row(${p}_state *state, uint8_t *row);

/* The same with the read-out's membranes, int32 [width][${U}_OUT_CHANNELS]; either may be NULL. */
int ${p}_pop(${p}_state *state, uint8_t *row, int32_t *readout);

/* A whole image, row after row. */
int ${p}_run(const uint8_t *image, int32_t width, int32_t height, uint8_t *out, void *buffer, size_t bytes);

/* ${U}_BUFFER_BYTES as a function, and the largest width for so many bytes (0 if none). */
size_t ${p}_buffer_bytes(int32_t width);
int32_t ${p}_largest_width(size_t bytes);

#ifdef __cplusplus
}
#endif
#endif
