/* The dense convolution in vectors of the compiler: 16-bit products, added up while 16 bits hold them. */

typedef int8_t snn_bytes __attribute__((vector_size(8)));
typedef int16_t snn_words __attribute__((vector_size(16)));
typedef int32_t snn_longs __attribute__((vector_size(32)));

#if defined(__clang__)
#define SNN_UNROLL _Pragma("unroll")
#else
#define SNN_UNROLL _Pragma("GCC unroll 16")
#endif

/* 4 pixels by 8 `vectors` lanes. */
SNN_ALWAYS void snn_dense_block(const snn_conv *conv, const uint8_t *const *rows, int32_t pixel, int32_t zero,
                                int32_t lane, int32_t at, int32_t *sums, const int vectors)
{
    const int32_t taps = conv->kernel_rows * conv->kernel_columns, step = conv->stride * pixel;
    int32_t tap, end, from, until, input;
    int p, v;
    (void)zero;
    for (tap = 0; tap < taps; tap = end)
        for (end = tap + conv->taps < taps ? tap + conv->taps : taps, from = 0; from < conv->inputs; from = until) {
            snn_words total[SNN_BLOCK][3];
            int32_t one;
            until = from + conv->split < conv->inputs ? from + conv->split : conv->inputs;
            SNN_UNROLL
            for (p = 0; p < SNN_BLOCK; p++)
                SNN_UNROLL
                for (v = 0; v < vectors; v++)
                    total[p][v] = (snn_words){0};
            for (one = tap; one < end; one++) {
                const int32_t row = one / conv->kernel_columns, column = one % conv->kernel_columns;
                const uint8_t *source = rows[row] + at * step + column * conv->dilation * pixel;
                const int8_t *weight = conv->weight + (size_t)one * (size_t)(conv->inputs * conv->lanes) + lane;
                for (input = from; input < until; input++) {
                    snn_words held[3];
                    SNN_UNROLL
                    for (v = 0; v < vectors; v++) {
                        snn_bytes bytes;
                        memcpy(&bytes, weight + input * conv->lanes + 8 * v, sizeof bytes);
                        held[v] = __builtin_convertvector(bytes, snn_words);
                    }
                    SNN_UNROLL
                    for (p = 0; p < SNN_BLOCK; p++) {
                        const int16_t value = (int16_t)SNN_VALUE(source[p * step + input], zero);
                        SNN_UNROLL
                        for (v = 0; v < vectors; v++)
                            total[p][v] += held[v] * value;
                    }
                }
            }
            SNN_UNROLL
            for (p = 0; p < SNN_BLOCK; p++)
                SNN_UNROLL
                for (v = 0; v < vectors; v++) {
                    int32_t *target = sums + (at + p) * conv->lanes + lane + 8 * v;
                    snn_longs longs;
                    memcpy(&longs, target, sizeof longs);
                    longs += __builtin_convertvector(total[p][v], snn_longs);
                    memcpy(target, &longs, sizeof longs);
                }
        }
}

SNN_INLINE void snn_dense(const snn_conv *conv, const uint8_t *const *rows, int32_t pixel, int32_t zero,
                          int32_t count, int32_t *sums)
{
    int32_t at, lane;
    for (at = 0; at < count; at += SNN_BLOCK) {
        for (lane = 0; lane + 24 <= conv->lanes; lane += 24)
            snn_dense_block(conv, rows, pixel, zero, lane, at, sums, 3);
        if (conv->lanes % 24 == 8)
            snn_dense_block(conv, rows, pixel, zero, lane, at, sums, 1);
        if (conv->lanes % 24 == 16)
            snn_dense_block(conv, rows, pixel, zero, lane, at, sums, 2);
    }
}
