/* The dense convolution in AVX2: bytes that hold value + zero times signed weights, four inputs at a time.
 *
 * vpmaddubsw adds two products in 16 bits; `fast_taps` and `fast_split` say how many of those 16 bits hold for
 * any input, proved from the weights when the network was exported.
 */
#include <immintrin.h>

/* 4 pixels by 8 `vectors` lanes. */
SNN_ALWAYS void snn_avx2_block(const snn_conv *conv, const uint8_t *const *rows, int32_t pixel, int32_t lane,
                               int32_t at, int32_t *sums, const int vectors)
{
    const int32_t quads = (conv->inputs + 3) / 4, step = conv->stride * pixel;
    const int32_t taps = conv->kernel_rows * conv->kernel_columns;
    const __m256i ones = _mm256_set1_epi16(1);
    int32_t tap, end, from, until, quad;
    int p, v;
    for (tap = 0; tap < taps; tap = end)
        for (end = tap + conv->fast_taps < taps ? tap + conv->fast_taps : taps, from = 0; from < quads; from = until) {
            __m256i total[SNN_BLOCK][3];
            int32_t one;
            until = from + conv->fast_split < quads ? from + conv->fast_split : quads;
            SNN_UNROLL
            for (p = 0; p < SNN_BLOCK; p++)
                SNN_UNROLL
                for (v = 0; v < vectors; v++)
                    total[p][v] = _mm256_setzero_si256();
            for (one = tap; one < end; one++) {
                const int32_t row = one / conv->kernel_columns, column = one % conv->kernel_columns;
                const uint8_t *source = rows[row] + at * step + column * conv->dilation * pixel;
                const int8_t *weight = conv->fast_weight + ((size_t)(one * quads) * (size_t)conv->lanes + (size_t)lane) * 4;
                for (quad = from; quad < until; quad++) {
                    const int8_t *here = weight + (size_t)quad * (size_t)conv->lanes * 4;
                    __m256i held[3];
                    SNN_UNROLL
                    for (v = 0; v < vectors; v++)
                        held[v] = _mm256_loadu_si256((const __m256i *)(const void *)(here + 32 * v));
                    SNN_UNROLL
                    for (p = 0; p < SNN_BLOCK; p++) {
                        int32_t four;
                        __m256i values;
                        memcpy(&four, source + p * step + 4 * quad, sizeof four);
                        values = _mm256_set1_epi32(four);
                        SNN_UNROLL
                        for (v = 0; v < vectors; v++)
                            total[p][v] = _mm256_add_epi16(total[p][v], _mm256_maddubs_epi16(values, held[v]));
                    }
                }
            }
            SNN_UNROLL
            for (p = 0; p < SNN_BLOCK; p++)
                SNN_UNROLL
                for (v = 0; v < vectors; v++) {
                    __m256i *target = (__m256i *)(void *)(sums + (at + p) * conv->lanes + lane + 8 * v);
                    _mm256_storeu_si256(target, _mm256_add_epi32(_mm256_loadu_si256(target),
                                                                 _mm256_madd_epi16(total[p][v], ones)));
                }
        }
}

SNN_INLINE void snn_dense_avx2(const snn_conv *conv, const uint8_t *const *rows, int32_t pixel, int32_t count,
                               int32_t *sums)
{
    int32_t at, lane;
    for (at = 0; at < count; at += SNN_BLOCK) {
        for (lane = 0; lane + 24 <= conv->lanes; lane += 24)
            snn_avx2_block(conv, rows, pixel, lane, at, sums, 3);
        if (conv->lanes % 24 == 8)
            snn_avx2_block(conv, rows, pixel, lane, at, sums, 1);
        if (conv->lanes % 24 == 16)
            snn_avx2_block(conv, rows, pixel, lane, at, sums, 2);
    }
}
