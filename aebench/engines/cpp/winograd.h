// Fast convolution of 3 x 3 kernels with stride 1, in float32: F(4 x 4, 3 x 3) of A. Lavin, S. Gray: Fast Algorithms
// for Convolutional Neural Networks (CVPR 2016), with a quarter of the multiplications.
//
// Tiles of 6 x 6 pixels and the kernels are transformed; in 36 places each, tiles times kernels are a product of
// matrices over the channels; and what that gives is transformed to tiles of 4 x 4 results. The gradient of the
// weights is the same in the other order, by the adjoint transforms.
#pragma once

#include "sliding.h"

namespace chain {

constexpr int64_t STEP = 4, SEEN = 6, PLACES = SEEN * SEEN;

// The transforms along one side, for points 0, 1, -1, 2, -2 and infinity: of pixels,
INLINE void transform_pixels(const vec (&d)[6], vec (&to)[6]) {
    const vec a = d[4] - 4.0f * d[2], b = d[3] - 4.0f * d[1], c = d[4] - d[2], e = 2.0f * (d[3] - d[1]);
    to[0] = 4.0f * d[0] - 5.0f * d[2] + d[4];
    to[1] = a + b;
    to[2] = a - b;
    to[3] = c + e;
    to[4] = c - e;
    to[5] = 4.0f * d[1] - 5.0f * d[3] + d[5];
}

// of weights,
INLINE void transform_weights(const vec (&g)[3], vec (&to)[6]) {
    const vec a = (g[0] + g[2]) * (-1 / 6.0f), b = g[1] * (-1 / 6.0f), c = g[0] * (1 / 24.0f) + g[2] * (1 / 6.0f),
              e = g[1] * (1 / 12.0f);
    to[0] = g[0] * 0.25f;
    to[1] = a + b;
    to[2] = a - b;
    to[3] = c + e;
    to[4] = c - e;
    to[5] = g[2];
}

// and back to results;
INLINE void transform_results(const vec (&m)[6], vec (&to)[4]) {
    const vec a = m[1] + m[2], b = m[1] - m[2], c = m[3] + m[4], e = m[3] - m[4];
    to[0] = m[0] + a + c;
    to[1] = b + 2.0f * e;
    to[2] = a + 4.0f * c;
    to[3] = b + 8.0f * e + m[5];
}

// the adjoints of the last two.
INLINE void adjoint_results(const vec (&y)[4], vec (&to)[6]) {
    const vec a = y[0] + y[2], b = y[1] + y[3], c = y[0] + 4.0f * y[2], e = 2.0f * y[1] + 8.0f * y[3];
    to[0] = y[0];
    to[1] = a + b;
    to[2] = a - b;
    to[3] = c + e;
    to[4] = c - e;
    to[5] = y[3];
}

INLINE void adjoint_weights(const vec (&u)[6], vec (&to)[3]) {
    const vec a = (u[1] + u[2]) * (-1 / 6.0f), c = u[3] + u[4];
    to[0] = u[0] * 0.25f + a + c * (1 / 24.0f);
    to[1] = (u[2] - u[1]) * (1 / 6.0f) + (u[3] - u[4]) * (1 / 12.0f);
    to[2] = a + c * (1 / 6.0f) + u[5];
}

// Both sides of a square, one after the other.
template <int N, int M, class Transform>
INLINE void both_sides(const vec (&from)[N][N], vec (&to)[M][M], const Transform& transform) {
    vec half[N][M];
#pragma GCC unroll 8
    for (int i = 0; i < N; i++) transform(from[i], half[i]);
#pragma GCC unroll 8
    for (int j = 0; j < M; j++) {
        vec column[N], result[M];
#pragma GCC unroll 8
        for (int i = 0; i < N; i++) column[i] = half[i][j];
        transform(column, result);
#pragma GCC unroll 8
        for (int i = 0; i < M; i++) to[i][j] = result[i];
    }
}

// Memory of one thread for tiles of some layers, the largest of which decide.
struct Tiles36 {
    static constexpr int64_t AT_ONCE = 4 * TALL;  // tiles: what they fill should lie in the second cache
    Buffer pixels, results;                       // [places, tiles, channels]

    Tiles36(int64_t channels, int64_t columns)
        : pixels(PLACES * AT_ONCE * round_up(channels, V)), results(PLACES * AT_ONCE * round_up(columns, PANEL)) {}
};

class Winograd {
   public:
    // Kernels for panels of 3 x 3 weights.
    explicit Winograd(const Panels<Float32>& weights)
        : weights(weights),
          channels(weights.places / 3),
          size(panels(weights.columns) * channels * weights.width),
          kernels(PLACES * size) {}

    static bool fits(const Geometry& g) {
        return g.kernel.y == 3 && g.kernel.x == 3 && g.stride.y == 1 && g.stride.x == 1 && g.big.channels >= V &&
               g.small.channels >= V;
    }

    // The share of thread `me`.
    void pack(int64_t me, int64_t threads) const {
        for (int64_t p = 0; p < panels(weights.columns); p++)
            for (int64_t k = me; k < channels; k += threads)
                for (int64_t j = 0; j < weights.width; j += V) {
                    vec g[3][3], u[6][6];
                    for (int r = 0; r < 3; r++)
                        for (int c = 0; c < 3; c++)
                            g[r][c] = load(weights.at(p) + (r * weights.padded + c * channels + k) * weights.width + j);
                    both_sides(g, u, [](const vec(&x)[3], vec(&y)[6]) { transform_weights(x, y); });
                    float* to = kernels + (p * channels + k) * weights.width + j;
                    for (int i = 0; i < PLACES; i++) store(to + i * size, u[i / SEEN][i % SEEN]);
                }
    }

    // Slide the kernel over `images`, from pixel `start` on.
    template <class Sink>
    void slide(const Tensor<Float32>& from, int64_t images, Pair start, Pair results, const Tiles36& tiles,
               Sink& sink) const {
        const int64_t columns = round_up(weights.columns, weights.width), pixel = round_up(channels, V);
        each_block(images, results, [&](int64_t first, int64_t count) {
            for (int64_t i = 0; i < count; i++)
                transform(from, place(first + i, results), start, tiles.pixels + i * pixel);
            for (int64_t place = 0; place < PLACES; place++) {
                const float* a = tiles.pixels + place * Tiles36::AT_ONCE * pixel;
                float* c = tiles.results + place * Tiles36::AT_ONCE * columns;
                for (int64_t p = 0; p < panels(weights.columns); p++)
                    for (int64_t i = 0; i < count; i += TALL)
                        Float32::multiply(
                            {a + i * pixel, pixel, 1, 0, kernels + place * size + p * channels * weights.width,
                             weights.width, 0, 1, channels, c + i * columns + p * PANEL, columns, false},
                            std::min<int64_t>(TALL, count - i), vectors(weights.columns, p), 0, 0);
            }
            for (int64_t i = 0; i < count; i++)
                give(tiles.results + i * columns, columns, place(first + i, results), results, sink);
            sink.finish();
        });
    }

    // Add to `grads`, [places, panels, channels, width], the gradient by the transformed kernels, of images whose
    // windows in `big` begin at pixel `start`.
    void weigh(const Tensor<Float32>& big, const Tensor<Float32>& small, int64_t images, Pair start,
               const Tiles36& tiles, float* grads) const {
        const int64_t pixel = round_up(channels, V), columns = round_up(weights.columns, weights.width);
        const Pair results = {small.shape.height, small.shape.width};
        each_block(images, results, [&](int64_t first, int64_t count) {
            for (int64_t i = 0; i < count; i++) {
                transform(big, place(first + i, results), start, tiles.pixels + i * pixel);
                transform_back(small, place(first + i, results), tiles.results + i * columns, columns);
            }
            for (int64_t at = 0; at < PLACES; at++)
                for (int64_t p = 0; p < panels(weights.columns); p++)
                    for (int64_t k = 0; k < channels; k += TALL)
                        Float32::multiply(
                            {tiles.pixels + at * Tiles36::AT_ONCE * pixel + k, 1, pixel, 0,
                             tiles.results + at * Tiles36::AT_ONCE * columns + p * PANEL, columns, 0, 1, count,
                             grads + at * size + (p * channels + k) * weights.width, weights.width, true},
                            std::min<int64_t>(TALL, channels - k), vectors(weights.columns, p), 0, 0);
        });
    }

    // Take those gradients back to the weights', in their panels, and begin anew.
    void finish(float* grads, float* to) const {
        for (int64_t p = 0; p < panels(weights.columns); p++)
            for (int64_t k = 0; k < channels; k++)
                for (int64_t j = 0; j < weights.width; j += V) {
                    vec u[6][6], g[3][3];
                    float* from = grads + (p * channels + k) * weights.width + j;
                    for (int i = 0; i < PLACES; i++) {
                        u[i / SEEN][i % SEEN] = load(from + i * size);
                        store(from + i * size, vec{});
                    }
                    both_sides(u, g, [](const vec(&x)[6], vec(&y)[3]) { adjoint_weights(x, y); });
                    for (int r = 0; r < 3; r++)
                        for (int c = 0; c < 3; c++) {
                            float* weight = to + ((p * 3 + r) * weights.padded + c * channels + k) * weights.width + j;
                            store(weight, load(weight) + g[r][c]);
                        }
                }
    }

    int64_t grads() const { return PLACES * size; }

   private:
    struct Place {
        int64_t n, y, x;
    };

    // Where a tile's results begin.
    static INLINE Place place(int64_t tile, Pair results) {
        const int64_t across = (results.x + STEP - 1) / STEP, down = (results.y + STEP - 1) / STEP;
        return {tile / (across * down), tile / across % down * STEP, tile % across * STEP};
    }

    template <class Work>
    static INLINE void each_block(int64_t images, Pair results, const Work& work) {
        const int64_t all = images * ((results.x + STEP - 1) / STEP) * ((results.y + STEP - 1) / STEP);
        for (int64_t tile = 0; tile < all; tile += Tiles36::AT_ONCE) work(tile, std::min(Tiles36::AT_ONCE, all - tile));
    }

    // The pixels that a tile's results see.
    void transform(const Tensor<Float32>& from, Place at, Pair start, float* to) const {
        const int64_t plane = Tiles36::AT_ONCE * round_up(channels, V);
        for (int64_t c = 0; c < channels; c += V) {
            vec d[6][6], t[6][6];
            for (int r = 0; r < SEEN; r++)
                for (int s = 0; s < SEEN; s++)
                    d[r][s] = from.load(from.at(at.n, start.y + at.y + r, start.x + at.x + s) + c, channels - c);
            both_sides(d, t, [](const vec(&x)[6], vec(&y)[6]) { transform_pixels(x, y); });
            for (int i = 0; i < PLACES; i++) store(to + i * plane + c, t[i / SEEN][i % SEEN]);
        }
    }

    // A tile's results, to the sink.
    template <class Sink>
    void give(const float* from, int64_t columns, Place at, Pair results, Sink& sink) const {
        for (int64_t c = 0; c < weights.columns; c += V) {
            vec m[6][6], y[4][4];
            for (int i = 0; i < PLACES; i++) m[i / SEEN][i % SEEN] = load(from + i * Tiles36::AT_ONCE * columns + c);
            both_sides(m, y, [](const vec(&x)[6], vec(&z)[4]) { transform_results(x, z); });
            for (int r = 0; r < std::min(STEP, results.y - at.y); r++)
                for (int s = 0; s < std::min(STEP, results.x - at.x); s++)
                    sink(at.n, at.y + r, at.x + s, c, weights.columns - c, y[r][s]);
        }
    }

    // The gradient by a tile's results; beyond the image it is 0.
    void transform_back(const Tensor<Float32>& from, Place at, float* to, int64_t columns) const {
        const Shape& shape = from.shape;
        for (int64_t c = 0; c < weights.columns; c += V) {
            vec y[4][4] = {}, t[6][6];
            for (int r = 0; r < std::min(STEP, shape.height - at.y); r++)
                for (int s = 0; s < std::min(STEP, shape.width - at.x); s++)
                    y[r][s] = from.load(from.at(at.n, at.y + r, at.x + s) + c, weights.columns - c);
            both_sides(y, t, [](const vec(&x)[4], vec(&z)[6]) { adjoint_results(x, z); });
            for (int i = 0; i < PLACES; i++) store(to + i * Tiles36::AT_ONCE * columns + c, t[i / SEEN][i % SEEN]);
        }
    }

    const Panels<Float32>& weights;
    const int64_t channels, size;  // numbers of the kernels in one place
    const Buffer kernels;          // [places, panels, channels, width]
};

}  // namespace chain
