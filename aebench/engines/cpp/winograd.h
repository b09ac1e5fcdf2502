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

// Both sides of a square of N x N, one after the other, to one of M x M. `take` and `put` are told where as constants,
// for all is unrolled: so only what lies between the two sides goes through memory.
template <int N, int M, class Take, class Transform, class Put>
INLINE void both_sides(const Take& take, const Transform& transform, const Put& put) {
    vec half[N][M];
#pragma GCC unroll 8
    for (int i = 0; i < N; i++) {
        vec line[N];
#pragma GCC unroll 8
        for (int j = 0; j < N; j++) line[j] = take(i, j);
        transform(line, half[i]);
    }
#pragma GCC unroll 8
    for (int j = 0; j < M; j++) {
        vec column[N], result[M];
#pragma GCC unroll 8
        for (int i = 0; i < N; i++) column[i] = half[i][j];
        transform(column, result);
#pragma GCC unroll 8
        for (int i = 0; i < M; i++) put(i, j, result[i]);
    }
}

// Memory of one thread for tiles of some layers, the largest of which decides.
struct Tiles36 {
    // Tiles: three products' rows on AVX-512, seven's on AVX; and of 128 channels what they fill is 1 MB, as large as
    // second caches are. With more of them kernels would come in less often, but fetching ahead hides that.
    static constexpr int64_t AT_ONCE = 42;
    // From one place to the next: a vector more than the tiles take, for in steps of a multiple of 4 KB all places of a
    // tile would compete for the same few lines of the first cache.
    static constexpr int64_t plane(int64_t channels) { return AT_ONCE * channels + V; }

    Buffer pixels, results;  // [places, tiles, channels]; [places, tiles, PANEL]

    explicit Tiles36(int64_t channels)
        : pixels(PLACES * plane(round_up(channels, V))), results(PLACES * plane(PANEL)) {}
};

class Winograd {
   public:
    // Kernels for panels of 3 x 3 weights.
    explicit Winograd(const Panels<Float32>& weights)
        : weights(weights),
          channels(weights.places / 3),
          size(channels * weights.width),
          kernels(grads()) {}

    static bool fits(const Geometry& g) {
        return g.kernel.y == 3 && g.kernel.x == 3 && g.stride.y == 1 && g.stride.x == 1 && g.big.channels >= V &&
               g.small.channels >= V;
    }

    // The share of thread `me`.
    void pack(int64_t me, int64_t threads) const {
        for (int64_t p = 0; p < panels(weights.columns); p++)
            for (int64_t k = me; k < channels; k += threads)
                for (int64_t j = 0; j < weights.width; j += V) {
                    const float* from = weights.at(p) + k * weights.width + j;
                    float* to = kernels + p * PLACES * size + k * weights.width + j;
                    both_sides<3, 6>(
                        [&](int r, int c) { return load(from + (r * weights.padded + c * channels) * weights.width); },
                        transform_weights, [&](int r, int c, vec u) { store(to + (r * SEEN + c) * size, u); });
                }
    }

    // Slide the kernel over `images`, from pixel `start` on. It is done with one panel before the next, so that beside
    // pixels of all channels the second cache has to hold the results of one panel only; and kernels lie so.
    template <class Sink>
    void slide(const Tensor<Float32>& from, int64_t images, Pair start, Pair results, const Tiles36& tiles,
               Sink& sink) const {
        const int64_t pixel = round_up(channels, V), width = weights.width;
        each_block(images, results, [&](int64_t first, int64_t count) {
            for (int64_t i = 0; i < count; i++)
                transform(from, place(first + i, results), start, tiles.pixels + i * pixel);
            const int64_t height = tall<Float32>(count);
            for (int64_t p = 0; p < panels(weights.columns); p++) {
                for (int64_t at = 0; at < PLACES; at++)
                    for (int64_t i = 0; i < count; i += height)
                        Float32::multiply({tiles.pixels + at * Tiles36::plane(pixel) + i * pixel, pixel, 1, 0,
                                           kernels + (p * PLACES + at) * size, width, 0, 1, channels,
                                           tiles.results + at * Tiles36::plane(width) + i * width, width, false},
                                          std::min(height, count - i), vectors(weights.columns, p), 0, 0);
                for (int64_t i = 0; i < count; i++)
                    give(tiles.results + i * width, p, place(first + i, results), results, sink);
            }
            sink.finish();
        });
    }

    // Add to `grads`, [panels, places, channels, width], the gradient by the transformed kernels, of images whose
    // windows in `big` begin at pixel `start`.
    void weigh(const Tensor<Float32>& big, const Tensor<Float32>& small, int64_t images, Pair start,
               const Tiles36& tiles, float* grads) const {
        const int64_t pixel = round_up(channels, V), width = weights.width, height = tall<Float32>(channels);
        const Pair results = {small.shape.height, small.shape.width};
        each_block(images, results, [&](int64_t first, int64_t count) {
            for (int64_t i = 0; i < count; i++)
                transform(big, place(first + i, results), start, tiles.pixels + i * pixel);
            for (int64_t p = 0; p < panels(weights.columns); p++) {
                for (int64_t i = 0; i < count; i++)
                    transform_back(small, p, place(first + i, results), tiles.results + i * width);
                for (int64_t at = 0; at < PLACES; at++)
                    for (int64_t k = 0; k < channels; k += height)
                        Float32::multiply({tiles.pixels + at * Tiles36::plane(pixel) + k, 1, pixel, 0,
                                           tiles.results + at * Tiles36::plane(width), width, 0, 1, count,
                                           grads + (p * PLACES + at) * size + k * width, width, true},
                                          std::min(height, channels - k), vectors(weights.columns, p), 0, 0);
            }
        });
    }

    // Take those gradients back to the weights', in their panels, and begin anew.
    void finish(float* grads, float* to) const {
        for (int64_t p = 0; p < panels(weights.columns); p++)
            for (int64_t k = 0; k < channels; k++)
                for (int64_t j = 0; j < weights.width; j += V) {
                    float* from = grads + p * PLACES * size + k * weights.width + j;
                    float* weight = to + (p * 3 * weights.padded + k) * weights.width + j;
                    both_sides<6, 3>([&](int r, int c) { return load(from + (r * SEEN + c) * size); }, adjoint_weights,
                                     [&](int r, int c, vec g) {
                                         float* at = weight + (r * weights.padded + c * channels) * weights.width;
                                         store(at, load(at) + g);
                                     });
                    for (int i = 0; i < PLACES; i++) store(from + i * size, vec{});
                }
    }

    int64_t grads() const { return panels(weights.columns) * PLACES * size; }

   private:
    struct Place {
        int64_t n, y, x;
    };

    // Where a tile's results begin.
    static INLINE Place place(int64_t tile, Pair results) {
        const int64_t across = (results.x + STEP - 1) / STEP, down = (results.y + STEP - 1) / STEP;
        return {tile / (across * down), tile / across % down * STEP, tile % across * STEP};
    }

    // Blocks of tiles as even as can be.
    template <class Work>
    static INLINE void each_block(int64_t images, Pair results, const Work& work) {
        const int64_t all = images * ((results.x + STEP - 1) / STEP) * ((results.y + STEP - 1) / STEP),
                      blocks = (all + Tiles36::AT_ONCE - 1) / Tiles36::AT_ONCE, most = (all + blocks - 1) / blocks;
        for (int64_t tile = 0; tile < all; tile += most) work(tile, std::min(most, all - tile));
    }

    // The pixels that a tile's results see. Beyond the last channel lies what no product uses.
    void transform(const Tensor<Float32>& from, Place at, Pair start, float* to) const {
        const float* window = from.at(at.n, start.y + at.y, start.x + at.x);
        const int64_t plane = Tiles36::plane(round_up(channels, V)), line = from.line, pixel = from.shape.channels;
        for (int64_t c = 0; c < channels; c += V)
            both_sides<6, 6>([&](int r, int s) { return load(window + r * line + s * pixel + c); }, transform_pixels,
                             [&](int r, int s, vec t) { store(to + (r * SEEN + s) * plane + c, t); });
    }

    // A tile's results in panel `p`, to the sink.
    template <class Sink>
    void give(const float* from, int64_t p, Place at, Pair results, Sink& sink) const {
        const int64_t plane = Tiles36::plane(weights.width);
        const Pair inside = {std::min(STEP, results.y - at.y), std::min(STEP, results.x - at.x)};
        for (int64_t j = 0; j < vectors(weights.columns, p); j++) {
            vec y[4][4];
            both_sides<6, 4>([&](int r, int s) { return load(from + (r * SEEN + s) * plane + j * V); },
                             transform_results, [&](int r, int s, vec x) { y[r][s] = x; });
            const int64_t c = p * PANEL + j * V;
            for (int r = 0; r < inside.y; r++)
                for (int s = 0; s < inside.x; s++) sink(at.n, at.y + r, at.x + s, c, weights.columns - c, y[r][s]);
        }
    }

    // The gradient by a tile's results in panel `p`; beyond the image it is 0.
    void transform_back(const Tensor<Float32>& from, int64_t p, Place at, float* to) const {
        const int64_t plane = Tiles36::plane(weights.width);
        const Pair inside = {std::min(STEP, from.shape.height - at.y), std::min(STEP, from.shape.width - at.x)};
        for (int64_t j = 0; j < vectors(weights.columns, p); j++) {
            const int64_t c = p * PANEL + j * V;
            both_sides<4, 6>(
                [&](int r, int s) {
                    return r < inside.y && s < inside.x
                               ? from.load(from.at(at.n, at.y + r, at.x + s) + c, weights.columns - c)
                               : vec{};
                },
                adjoint_results, [&](int r, int s, vec t) { store(to + (r * SEEN + s) * plane + j * V, t); });
        }
    }

    const Panels<Float32>& weights;
    const int64_t channels, size;  // numbers of a panel in one place
    const Buffer kernels;          // [panels, places, channels, width]
};

}  // namespace chain
