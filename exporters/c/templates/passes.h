/* $title It runs $passes times on an image: the first
 * pass reads the image twice, each further one the image and the result of the pass before, in bytes.
 *
 * Made by snn-tool from network.nir; exact to the last integer (README.md). All passes stream side by side: rows
 * go in at the top and come out with a delay; memory grows with the width of the image alone. One pass for
 * itself, which reads 2 x $channels channels, is in snn_pass.h.
 */
#ifndef ${U}_SNN_H
#define ${U}_SNN_H

#include "snn_pass.h"

#ifdef __cplusplus
extern "C" {
#endif

#define ${U}_PASSES $passes
#define ${U}_CHANNELS $channels /* of the image; channels of a pixel lie side by side */
#define ${U}_OUT_CHANNELS ${U}_PASS_OUT_CHANNELS
#define ${U}_WIDTH_MULTIPLE ${U}_PASS_WIDTH_MULTIPLE /* other widths and heights are mirrored up to a multiple */
#define ${U}_HEIGHT_MULTIPLE ${U}_PASS_HEIGHT_MULTIPLE
#define ${U}_FIXED_SIZE ${U}_PASS_FIXED_SIZE
#define ${U}_DELAY_ROWS $delay /* image rows that are taken before the first row comes out */

/* Bytes of memory for images of a width; a constant expression if `width` is one. */
#define ${U}_BUFFER_BYTES(width) (${U}_PASSES * ${U}_PASS_BUFFER_BYTES(width))

/* What functions return; 0 and above is no failure. */
#define ${U}_OK ${U}_PASS_OK
#define ${U}_BAD_WIDTH ${U}_PASS_BAD_WIDTH       /* not above 0, or not the one that the network is made for */
#define ${U}_SMALL_BUFFER ${U}_PASS_SMALL_BUFFER /* fewer bytes than ${U}_BUFFER_BYTES(width) */
#define ${U}_FULL ${U}_PASS_FULL                 /* take rows out with ${p}_pop_row first, then call again */
#define ${U}_BAD_CALL ${U}_PASS_BAD_CALL         /* a row after ${p}_finish, no row before it, or a wrong height */

typedef struct {
    ${p}_pass_state pass[${U}_PASSES]; /* with SNN_TAPS each has a tap and a user */
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

/* The same with the last pass's membranes, int32 [width][${U}_OUT_CHANNELS]; either may be NULL. */
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
