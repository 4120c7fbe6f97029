/* Rows in the caller's buffer: sums of currents in as few bytes as hold them, spikes as bytes or as bits.
 *
 * A source, the image or a population, is a ring of rows. A row has one or more planes (timesteps, or the low
 * and the high part of the image's integers), a plane has pixels, a pixel has its channels side by side, one
 * byte each. Columns of zeros lie before and after, so that no loop asks where the image ends. Spikes of 0 and 1
 * are bits: a byte holds all timesteps of a channel, and those of the next pixels as far as there is room.
 */
#ifndef SNN_ROWS_H
#define SNN_ROWS_H

/* A ring of rows in the caller's buffer, `unit` times the width in multiples plus `fixed` bytes each. */
typedef struct {
    uint32_t offset_unit, offset_fixed; /* where it begins */
    uint32_t plane_unit, plane_fixed;   /* bytes of a plane */
    int32_t planes, rows;               /* of a row, of the ring */
    int32_t left;                       /* columns of zeros before the first pixel */
    int32_t pixel;                      /* bytes of a pixel; of sums, of each */
    int32_t share, steps;               /* pixels that share a byte, with so many bits each; 0: a byte a value */
} snn_ring;

SNN_ALWAYS size_t snn_plane_bytes(const snn_ring *ring, uint32_t unit)
{
    return (size_t)ring->plane_unit * unit + ring->plane_fixed;
}

SNN_ALWAYS uint8_t *snn_row(uint8_t *memory, uint32_t unit, const snn_ring *ring, int32_t row)
{
    const size_t bytes = snn_plane_bytes(ring, unit) * (size_t)ring->planes;
    return memory + (size_t)ring->offset_unit * unit + ring->offset_fixed + (size_t)(row % ring->rows) * bytes;
}

SNN_ALWAYS int32_t *snn_integers(uint8_t *memory, uint32_t unit, const snn_ring *ring, int32_t row)
{
    return (int32_t *)(void *)snn_row(memory, unit, ring, row);
}

/* A plane of sums of `size` bytes: 4 or 2, or 3 in two parts, low half words before high bytes. Low bits that are
 * 0 in all of them, `shift` of them, are left out. */
typedef struct {
    uint8_t *row;
    int32_t count, size, shift; /* size 0: there are none, and each counts as 0 */
} snn_sums;

SNN_ALWAYS snn_sums snn_plane_of(uint8_t *row, int32_t count, int32_t size, int32_t shift)
{
    snn_sums made;
    made.row = row;
    made.count = count;
    made.size = size;
    made.shift = shift;
    return made;
}

SNN_ALWAYS int32_t snn_sum(const snn_sums *sums, int32_t at)
{
    const int16_t *halves = (const int16_t *)(const void *)sums->row;
    if (sums->size == 2)
        return halves[at] * (1 << sums->shift);
    if (sums->size == 3)
        return (((const int8_t *)(sums->row + 2 * (size_t)sums->count))[at] * 65536 + (uint16_t)halves[at])
               * (1 << sums->shift);
    return sums->size ? ((const int32_t *)(const void *)sums->row)[at] : 0;
}

/* That it fits was proved when the network was exported. */
SNN_ALWAYS void snn_keep(const snn_sums *sums, int32_t at, int32_t sum)
{
    if (sums->shift)
        sum = (int32_t)(((uint32_t)sum + 0x80000000u) >> sums->shift) - (int32_t)(0x80000000u >> sums->shift);
    if (sums->size == 2)
        ((int16_t *)(void *)sums->row)[at] = (int16_t)sum;
    else if (sums->size == 3) {
        ((uint16_t *)(void *)sums->row)[at] = (uint16_t)((uint32_t)sum & 0xFFFFu);
        ((int8_t *)(sums->row + 2 * (size_t)sums->count))[at] =
            (int8_t)((int32_t)(((uint32_t)sum + 0x800000u) >> 16) - 128);
    } else
        ((int32_t *)(void *)sums->row)[at] = sum;
}

/* A plane of sums that another ring begins. */
SNN_INLINE void snn_copy(snn_sums from, snn_sums to)
{
    int32_t at;
    for (at = 0; at < to.count; at++)
        snn_keep(&to, at, snn_sum(&from, at));
}

/* Bits of one timestep, of `count` pixels from place `from` on, as bytes: four at a time, whatever their order. */
SNN_INLINE void snn_unpack(const snn_ring *ring, const uint8_t *row, int32_t step, int32_t from, int32_t count,
                           uint8_t *bytes)
{
    int32_t place, at;
    for (place = from; place < from + count; place++, bytes += ring->pixel) {
        const uint8_t *source = row + place / ring->share * ring->pixel;
        const int32_t shift = place % ring->share * ring->steps + step % 8;
        for (at = 0; at < ring->pixel; at += 4) {
            uint32_t four;
            memcpy(&four, source + at, sizeof four);
            four = four >> shift & 0x01010101u;
            memcpy(bytes + at, &four, sizeof four);
        }
    }
}
#endif
