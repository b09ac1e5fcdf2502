// Layers as torch keeps them, and matrices packed in panels: as wide as a tile, one after another, so
// that what a GEMM reads over and over is read in the order in which it lies.
#pragma once

#include "common.h"

struct Layer {
    int64_t inputs, outputs, activation;
    float *weight, *weight_mean, *weight_square;  // [outputs, inputs]
    float *bias, *bias_mean, *bias_square;        // [outputs]; null: none
};

namespace mlp {

// Vectors of columns, and rows, of a product that are in registers together. The more rows, the less
// often the right side is loaded; but Adam reads and writes along every row of it.
constexpr int WIDE = 2, UPDATE_WIDE = 4;
constexpr int TALL = REGISTERS / WIDE, UPDATE_TALL = REGISTERS / UPDATE_WIDE;

// A matrix in panels of C vectors of columns: [columns / (C * V), height, C * V].
template <int C>
struct Panels {
    static constexpr int64_t COLUMNS = C * V;
    int64_t height, columns;  // rounded up to whole panels
    Buffer data;

    Panels(int64_t height, int64_t columns)
        : height(height), columns(round_up(columns, COLUMNS)), data(height * this->columns) {}

    INLINE float* at(int64_t row, int64_t column) const {
        return data + (column / COLUMNS * height + row) * COLUMNS + column % COLUMNS;
    }
};

// Transpose a matrix: `from(row, column)` loads vectors of its rows, `to(column, row, x)`
// stores those of its columns, 0 beyond its height.
template <class From, class To>
INLINE void transpose(int64_t height, int64_t width, const From& from, const To& to) {
    for (int64_t i = 0; i < height; i += V) {
        for (int64_t j = 0; j < width; j += V) {
            const int64_t tall = std::min(V, height - i), wide = std::min(V, width - j);
            vec square[V];
            for (int64_t r = 0; r < V; r++) square[r] = r < tall ? from(i + r, j) : vec{};
            ::transpose(square);
            for (int64_t r = 0; r < wide; r++) to(j + r, i, square[r]);
        }
    }
}

// Transpose `from`; what lies beyond its `width` columns is left out.
template <int C, int D>
void transpose(const Panels<C>& from, const Panels<D>& to, int64_t width) {
    transpose(from.height, width, [&](int64_t i, int64_t j) { return load(from.at(i, j)); },
         [&](int64_t j, int64_t i, vec x) { store(to.at(j, i), x); });
}

}  // namespace mlp
