// The first layer of an MLP on images that are mostly black, as scans of digits are.
//
// A pixel that is 0 adds nothing to what the layer gives, nor to the gradient of its weights. So the
// pixels that are not 0 are listed, of every image and again of every place, and only those are
// multiplied. The weights lie transposed, so that a pixel's weights are vectors, in panels that fit
// into the first cache piece by piece.
#pragma once

#include "panels.h"

namespace mlp {

// What is not 0 in the rows of a matrix: compressed sparse rows, each in parts of so many columns.
class Nonzeros {
   public:
    Nonzeros(int64_t rows, int64_t width, int64_t part)
        : columns(rows * round_up(width, V) + V), values(rows * round_up(width, V) + V), rows(rows), width(width),
          part(part), parts(round_up(width, part) / part), begins(rows * parts + 1) {}

    std::vector<int32_t> columns;
    Buffer values;

    // Find those of a matrix: `from(row, column)` gives a vector of it, 0 beyond its width.
    template <class From>
    void find(const From& from) {
        int64_t count = 0, *begin = begins.data();
        for (int64_t row = 0; row < rows; row++) {
            for (int64_t first = 0; first < width; first += part) {
                *begin++ = count;
                for (int64_t j = first; j < std::min(width, first + part); j += V)
                    count += append(count, from(row, j), int32_t(j));
            }
        }
        *begin = count;
    }

    INLINE int64_t begin(int64_t row, int64_t part) const { return begins[row * parts + part]; }
    INLINE int64_t end(int64_t row, int64_t part) const { return begins[row * parts + part + 1]; }

   private:
    const int64_t rows, width, part, parts;
    std::vector<int64_t> begins;  // of each part's nonzeros, and the end of the last

    // Append what is not 0 in a vector of columns from `column` on; gives how many there are.
    INLINE int64_t append(int64_t at, vec from, int32_t column) {
#if defined(__AVX512F__)
        const __m512 x = (__m512)from;
        const __mmask16 mask = _mm512_cmp_ps_mask(x, _mm512_setzero_ps(), _CMP_NEQ_UQ);
        const __m512i lanes = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
        _mm512_storeu_ps(values + at, _mm512_maskz_compress_ps(mask, x));
        _mm512_storeu_si512(columns.data() + at,
                            _mm512_maskz_compress_epi32(mask, _mm512_add_epi32(lanes, _mm512_set1_epi32(column))));
        return __builtin_popcount(mask);
#else
        int64_t count = 0;
        for (int32_t i = 0; i < V; i++) {
            values[at + count] = from[i];
            columns[at + count] = column + i;
            count += from[i] != 0;
        }
        return count;
#endif
    }
};

// One thread's outputs of the layer.
class Sparse {
   public:
    virtual ~Sparse() = default;
    // The outputs, after bias and activation, into their rows of `output`.
    virtual void forward(const Panels<WIDE>& output) = 0;
    // A step of Adam for the weights, from the gradient by the layer's outputs.
    virtual void update(const Panels<WIDE>& grad, const Adam& adam) = 0;
    // Give the weights and their moments back to torch.
    virtual void save() = 0;

    Nonzeros by_image, by_pixel;

   protected:
    Sparse(int64_t rows, int64_t pixels, int64_t tile) : by_image(rows, pixels, tile), by_pixel(pixels, rows, rows) {}
};

// With panels of C vectors.
template <int C>
class SparseLayer : public Sparse {
   public:
    SparseLayer(const Layer& layer, int64_t rows, int64_t begin, int64_t end)
        : Sparse(rows, layer.inputs, TILE), layer(layer), rows(rows), first(begin), count(end - begin),
          weight(layer.inputs, count), mean(layer.inputs, count), square(layer.inputs, count),
          output(round_up(rows, V), count), grad(round_up(rows, V), count), seen(layer.inputs) {
        pack(layer.weight, weight);
        pack(layer.weight_mean, mean);
        pack(layer.weight_square, square);
        for (int64_t pixel = 0; pixel < layer.inputs; pixel++)
            for (int64_t i = 0; i < count; i++) seen[pixel] |= *mean.at(pixel, i) != 0 || *square.at(pixel, i) != 0;
    }

    void save() override {
        unpack(weight, layer.weight);
        unpack(mean, layer.weight_mean);
        unpack(square, layer.weight_square);
    }

    void forward(const Panels<WIDE>& to) override {
        for (int64_t n = 0; n < output.columns; n += C * V) {
            for (int64_t tile = 0; tile * TILE < layer.inputs; tile++)
                for (int64_t row = 0; row < rows; row++) add(row, n, tile);
        }
        transpose(rows, count, [&](int64_t row, int64_t i) { return load(output.at(row, i)); },
             [&](int64_t i, int64_t row, vec x) {
                 const float bias = layer.bias ? layer.bias[first + i] : 0;
                 store(to.at(first + i, row), activate(x + bias, layer.activation));
             });
    }

    void update(const Panels<WIDE>& from, const Adam& adam) override {
        transpose(count, rows, [&](int64_t i, int64_t row) { return load(from.at(first + i, row)); },
             [&](int64_t row, int64_t i, vec x) { store(grad.at(row, i), x); });
        for (int64_t n = 0; n < grad.columns; n += D * V)
            for (int64_t pixel = 0; pixel < layer.inputs; pixel++) learn(pixel, n, adam);
    }

   private:
    // A tile of weights and the gradients of a batch should lie in the first two caches.
    static constexpr int64_t TILE = 16384 / (C * V);
    static constexpr int AHEAD = 4;  // pixels whose weights are asked for before Adam comes to them
    static constexpr int D = C < 4 ? C : 4;
    // So many accumulators hide the latency of a multiply-add.
    static constexpr int S = C < 8 ? 2 : 1, T = 8 / D < 4 ? 8 / D : 4;

    // Add the part of a tile of pixels to a row's outputs.
    INLINE void add(int64_t row, int64_t n, int64_t tile) {
        float* to = output.at(row, n);
        vec acc[S][C] = {};
        if (tile)
            for (int c = 0; c < C; c++) acc[0][c] = load(to + c * V);
        sum(acc, by_image, by_image.begin(row, tile), by_image.end(row, tile), weight.at(0, n));
        for (int c = 0; c < C; c++) store(to + c * V, acc[0][c]);
    }

    // A pixel's gradient, taken by Adam out of the registers.
    INLINE void learn(int64_t pixel, int64_t n, const Adam& adam) {
        const int64_t begin = by_pixel.begin(pixel, 0), end = by_pixel.end(pixel, 0);
        if (begin == end && !seen[pixel]) return;
        seen[pixel] = true;
        float *w = weight.at(pixel, n), *m = mean.at(pixel, n), *v = square.at(pixel, n);
        for (int d = 0; d < D; d++) {
            __builtin_prefetch(w + AHEAD * C * V + d * V, 1);
            __builtin_prefetch(m + AHEAD * C * V + d * V, 1);
            __builtin_prefetch(v + AHEAD * C * V + d * V, 1);
        }
        vec acc[T][D] = {};
        sum(acc, by_pixel, begin, end, grad.at(0, n));
        for (int d = 0; d < D; d++) adam(w + d * V, m + d * V, v + d * V, acc[0][d]);
    }

    // acc[0] += every nonzero times its row of a panel; the other accumulators hide latency.
    template <int R, int W>
    static INLINE void sum(vec (&acc)[R][W], const Nonzeros& nonzeros, int64_t at, int64_t end, const float* panel) {
        const int32_t* columns = nonzeros.columns.data();
        const float* values = nonzeros.values;
        for (; at + R <= end; at += R) {
            for (int r = 0; r < R; r++) {
                const float* from = panel + columns[at + r] * (W * V);
                for (int w = 0; w < W; w++) acc[r][w] += values[at + r] * load(from + w * V);
            }
        }
        for (; at < end; at++) {
            const float* from = panel + columns[at] * (W * V);
            for (int w = 0; w < W; w++) acc[0][w] += values[at] * load(from + w * V);
        }
        for (int r = 1; r < R; r++)
            for (int w = 0; w < W; w++) acc[0][w] += acc[r][w];
    }

    // Between torch's [outputs, pixels] and a panel of ours.
    void pack(const float* torch, const Panels<C>& panels) const {
        transpose(count, layer.inputs,
             [&](int64_t i, int64_t pixel) { return load(torch + at(i, pixel), std::min(V, layer.inputs - pixel)); },
             [&](int64_t pixel, int64_t i, vec x) { store(panels.at(pixel, i), x); });
    }

    void unpack(const Panels<C>& panels, float* torch) const {
        transpose(layer.inputs, count, [&](int64_t pixel, int64_t i) { return load(panels.at(pixel, i)); },
             [&](int64_t i, int64_t pixel, vec x) {
                 std::memcpy(torch + at(i, pixel), &x, std::min(V, layer.inputs - pixel) * 4);
             });
    }

    int64_t at(int64_t output, int64_t pixel) const { return (first + output) * layer.inputs + pixel; }

    const Layer& layer;
    const int64_t rows, first, count;
    Panels<C> weight, mean, square;  // [pixels, outputs]
    Panels<C> output;                // [rows, outputs]
    Panels<D> grad;                  // [rows, outputs]
    std::vector<char> seen;          // pixels of whose weights the moments are not 0, so that Adam moves them
};

// For outputs begin to end of `layer`, in panels as wide as divide their vectors.
inline std::unique_ptr<Sparse> sparse(const Layer& layer, int64_t rows, int64_t begin, int64_t end) {
    const int64_t vectors = round_up(end - begin, V) / V;
    if (vectors % 8 == 0) return std::make_unique<SparseLayer<8>>(layer, rows, begin, end);
    if (vectors % 4 == 0) return std::make_unique<SparseLayer<4>>(layer, rows, begin, end);
    if (vectors % 2 == 0) return std::make_unique<SparseLayer<2>>(layer, rows, begin, end);
    return std::make_unique<SparseLayer<1>>(layer, rows, begin, end);
}

}  // namespace mlp
