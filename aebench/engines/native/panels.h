// Layers as torch keeps them, and matrices in panels: as wide as a tile, one after another, so that
// what is read over and over is read in the order in which it lies.
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

// `from` turned over its diagonal; what lies beyond its `width` columns is left out.
template <int C, int D>
void transpose(const Panels<C>& from, const Panels<D>& to, int64_t width) {
    for (int64_t j = 0; j < width; j += V) {
        for (int64_t i = 0; i < from.height; i += V) {
            const int64_t tall = std::min(V, from.height - i), wide = std::min(V, width - j);
            vec rows[V];
            const float* here = from.at(i, j);
            for (int64_t r = 0; r < V; r++) rows[r] = r < tall ? load(here + r * C * V) : vec{};
            ::transpose(rows);
            float* there = to.at(j, i);
            for (int64_t r = 0; r < wide; r++) store(there + r * D * V, rows[r]);
        }
    }
}

}  // namespace mlp
