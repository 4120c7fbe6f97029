/* $title
 *
 * Made by snn-tool from network.nir; exact to the last integer (README.md).
 * One timestep at a time: an input goes in, all populations run once, the read-out can be taken.
 */
#ifndef ${U}_SNN_H
#define ${U}_SNN_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The input of a timestep, int16 [height][width][channels]; a vector has height and width 1. */
#define ${U}_HEIGHT $height
#define ${U}_WIDTH $width
#define ${U}_CHANNELS $channels
#define ${U}_INPUTS (${U}_HEIGHT * ${U}_WIDTH * ${U}_CHANNELS)
#define ${U}_LOW ($low)
#define ${U}_HIGH $high

/* The read-out, int32 [height][width][channels]. */
#define ${U}_OUT_HEIGHT $out_height
#define ${U}_OUT_WIDTH $out_width
#define ${U}_OUT_CHANNELS $out_channels
#define ${U}_OUTPUTS (${U}_OUT_HEIGHT * ${U}_OUT_WIDTH * ${U}_OUT_CHANNELS)

#define ${U}_TIMESTEPS $timesteps /* that the network was made for; more are exact as well */
#define ${U}_OVER_TIME $over_time /* 1: another input at each timestep; 0: the same at all */

/* All the memory that it needs, a constant expression. */
#define ${U}_BUFFER_BYTES ((size_t)$bytes)

/* What functions return; 0 is no failure. */
#define ${U}_OK 0
#define ${U}_SMALL_BUFFER (-2) /* fewer bytes than ${U}_BUFFER_BYTES */
#define ${U}_BAD_CALL (-4)     /* no input where there must be one */
#define ${U}_BAD_INPUT (-5)    /* a value outside of ${U}_LOW .. ${U}_HIGH; nothing was changed */

#ifdef SNN_TAPS
/* Sees every population at every timestep: membranes int32 [height][width][channels] after the reset, and spikes,
 * 0 or 1; NULL for the read-out. */
typedef void (*${p}_tap)(void *user, int32_t population, int32_t timestep, const int32_t *membranes,
                         const int8_t *spikes);
#endif

typedef struct {
    uint8_t *memory;
    int32_t time; /* timesteps since the last reset */
#ifdef SNN_TAPS
    ${p}_tap tap;
    void *user;
#endif
} ${p}_state;

/* Begin, at rest. `buffer` needs no alignment and belongs to the state as long as it is used. */
int ${p}_init(${p}_state *state, void *buffer, size_t bytes);

/* Go back to rest, for the next sequence. */
void ${p}_reset(${p}_state *state);

/* Run all populations for one timestep. $null */
int ${p}_step(${p}_state *state, const int16_t *input);

/* The read-out's membranes now, [height][width][channels]; they stay where they are and change with every step. */
const int32_t *${p}_readout(const ${p}_state *state);

/* Place of the largest read-out, the first of equal ones: the class, of a classifier. */
int32_t ${p}_largest(const ${p}_state *state);

/* From rest through ${U}_TIMESTEPS steps: int16 [timesteps][height][width][channels], or, if ${U}_OVER_TIME is 0, one
 * input. `readouts`, int32 [timesteps][outputs], gets the read-out after every step; it may be NULL. */
int ${p}_run(${p}_state *state, const int16_t *inputs, int32_t *readouts);

#ifdef __cplusplus
}
#endif
#endif
