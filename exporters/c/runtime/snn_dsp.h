/* The dense convolution in the DSP instructions of ARM (Cortex-M4, M7, M33): bytes with a sign times weights, four
 * inputs at a time, two of which SMLAD multiplies and adds in 32 bits.
 */
#include <arm_acle.h>

SNN_ALWAYS int32_t snn_four(const void *bytes)
{
    int32_t four;
    memcpy(&four, bytes, sizeof four);
    return four;
}

/* The second and the fourth byte as half words with a sign; __sxtb16 gives the first and the third. */
SNN_ALWAYS int32_t snn_odd(int32_t four)
{
    return __sxtb16((int32_t)((uint32_t)four >> 8));
}

/* Two pixels by two lanes, so that what is loaded is used twice. */
SNN_INLINE void snn_dense_dsp(const snn_conv *conv, const uint8_t *const *rows, int32_t pixel, int32_t count,
                              int32_t *sums)
{
    const int32_t quads = (conv->inputs + 3) / 4, step = conv->stride * pixel, lanes = conv->lanes;
    int32_t at, lane, row, column, quad;
    for (at = 0; at < count; at += 2)
        for (lane = 0; lane < conv->outputs; lane += 2) {
            int32_t *target = sums + at * lanes + lane;
            int32_t one = target[0], two = target[1], three = target[lanes], four = target[lanes + 1];
            for (row = 0; row < conv->kernel_rows; row++)
                for (column = 0; column < conv->kernel_columns; column++) {
                    const uint8_t *source = rows[row] + at * step + column * conv->dilation * pixel;
                    const int8_t *weight =
                        conv->fast_weight + ((row * conv->kernel_columns + column) * quads * lanes + lane) * 4;
                    for (quad = 0; quad < quads; quad++, source += 4, weight += 4 * lanes) {
                        const int32_t left = snn_four(source), right = snn_four(source + step);
                        const int32_t first = snn_four(weight), second = snn_four(weight + 4);
                        const int32_t left_even = __sxtb16(left), left_odd = snn_odd(left);
                        const int32_t right_even = __sxtb16(right), right_odd = snn_odd(right);
                        const int32_t first_even = __sxtb16(first), first_odd = snn_odd(first);
                        const int32_t second_even = __sxtb16(second), second_odd = snn_odd(second);
                        one = __smlad(left_odd, first_odd, __smlad(left_even, first_even, one));
                        two = __smlad(left_odd, second_odd, __smlad(left_even, second_even, two));
                        three = __smlad(right_odd, first_odd, __smlad(right_even, first_even, three));
                        four = __smlad(right_odd, second_odd, __smlad(right_even, second_even, four));
                    }
                }
            target[0] = one;
            target[1] = two;
            target[lanes] = three;
            target[lanes + 1] = four;
        }
}
