// Convolutions and transposed ones: how a kernel is slid over an image, in either direction.
//
// Both kinds of convolution are seen as one: between a big image and a small one, each pixel of the small one
// being joined by the kernel to a window of the big one. To gather is to go from big to small, as a convolution
// does forward and a transposed one backward; to scatter is the other way. Scattering with stride s is, for each
// of the s x s sets of pixels of the big image that meet the same weights, gathering from the small one with the
// kernel turned around.
#pragma once

#include <vector>

#include "tensors.h"

namespace chain {

struct Pair {
    int64_t y, x;
};

struct Geometry {
    Shape big, small;
    Pair kernel, stride, padding;
    int64_t taps() const { return kernel.y * kernel.x; }
};

INLINE int64_t panel_width(int64_t columns) { return columns <= V ? V : PANEL; }
INLINE int64_t panels(int64_t columns) { return (columns + PANEL - 1) / PANEL; }
INLINE int64_t vectors(int64_t columns, int64_t panel) {
    return std::min<int64_t>(WIDE, (columns - panel * PANEL + V - 1) / V);
}

// The right side of a product in panels: [columns / width, segments, places, width].
template <class P>
struct Panels {
    using Element = typename P::Element;
    int64_t columns, segments, places, width, part;
    int64_t padded;  // places of a segment, rounded up to those that are multiplied together
    Buffer own;
    const Element* data;

    Panels(int64_t columns, int64_t segments, int64_t places)
        : columns(columns),
          segments(segments),
          places(places),
          width(panel_width(columns)),
          padded(round_up(places, P::GRAIN)),
          own(round_up(P::PARTS * size() * int64_t(sizeof(Element)), 4) / 4),
          data(reinterpret_cast<Element*>(static_cast<float*>(own))) {
        part = size();
    }
    // Panels that lie at `from`.
    Panels(int64_t columns, int64_t segments, int64_t places, const Element* from)
        : columns(columns),
          segments(segments),
          places(places),
          width(panel_width(columns)),
          part(0),
          padded(places),
          own(0),
          data(from) {}
    int64_t size() const { return panels(columns) * segments * padded * width; }
    INLINE const Element* at(int64_t panel) const { return data + panel * segments * padded * width; }

    // Store vectors of so many rows, from `place` on: of panel `p`, its vector `j`.
    INLINE void put(int64_t p, int64_t segment, int64_t place, int64_t j, const vec* rows, int64_t count) const;
};

template <>
INLINE void Panels<Float32>::put(int64_t p, int64_t segment, int64_t place, int64_t j, const vec* rows,
                                 int64_t count) const {
    float* to = const_cast<float*>(at(p)) + (segment * padded + place) * width + j * V;
    for (int64_t r = 0; r < count; r++) store(to + r * width, rows[r]);
}

// In bf16 pairs of places lie together, column by column: store vector `j` of the pair whose first is `place`.
template <class P>
INLINE void put_pair(typename P::Element* panel, int64_t place, int64_t width, int64_t j, vec one, vec other,
                     int64_t part);

#if defined(HAS_BF16)
template <class P>
INLINE void put_pair(typename P::Element* panel, int64_t place, int64_t width, int64_t j, vec one, vec other,
                     int64_t part) {
    bf16* to = panel + place * width + 2 * j * V;
    for (int64_t h = 0; h < P::PARTS; h++) {
        const __m256i a = rounded(one), b = rounded(other);
        _mm512_storeu_si512(to + h * part,
                            _mm512_or_si512(_mm512_cvtepu16_epi32(a), _mm512_slli_epi32(_mm512_cvtepu16_epi32(b), 16)));
        one -= widened(a), other -= widened(b);
    }
}

template <class P>
INLINE void Panels<P>::put(int64_t p, int64_t segment, int64_t place, int64_t j, const vec* rows, int64_t count) const {
    bf16* panel = const_cast<bf16*>(at(p)) + segment * padded * width;
    for (int64_t r = 0; r < count;) {
        if ((place + r) % 2 == 0 && r + 1 < count) {
            put_pair<P>(panel, place + r, width, j, rows[r], rows[r + 1], part);
            r += 2;
            continue;
        }
        alignas(32) bf16 numbers[2 * V];  // half of a pair: the other half belongs to another tap, or is 0
        P::store(numbers, V, rows[r]);
        bf16* to = panel + (place + r) / 2 * 2 * width + 2 * j * V + (place + r) % 2;
        for (int64_t h = 0; h < P::PARTS; h++)
            for (int64_t i = 0; i < V; i++) to[h * part + 2 * i] = numbers[h * V + i];
        r++;
    }
}
#endif

// Where a kernel goes: from which pixel it reads first and how far it steps, how many rows and columns of results
// it has, and where these lie.
struct Window {
    Pair from, step, results, to, to_step;
};

// What a sink gets from a tile of results: `count` pixels of a row, from panel `p` on.
template <class Sink>
INLINE void hand_over(const float* tile, int64_t count, int64_t columns, int64_t p, Sink& sink, int64_t n, int64_t y,
                      int64_t x, int64_t x_step) {
    for (int64_t i = 0; i < count; i++)
        for (int64_t j = 0; j < vectors(columns, p); j++) {
            const int64_t c = p * PANEL + j * V;
            sink(n, y, x + i * x_step, c, columns - c, load(tile + i * PANEL + j * V));
        }
}

// Rows of a product at a time, as even as can be.
template <class P>
INLINE int64_t tall(int64_t rows) {
    const int64_t pieces = (rows + P::ROWS - 1) / P::ROWS;
    return (rows + pieces - 1) / pieces;
}

// Slide a kernel over image `n`.
template <class P, class Sink>
void slide(const Tensor<P>& from, int64_t n, const Window& w, const Panels<P>& b, Sink& sink) {
    alignas(64) float tile[P::ROWS * PANEL];
    const int64_t pixel = from.shape.channels, height = tall<P>(w.results.x);
    for (int64_t y = 0; y < w.results.y; y++)
        for (int64_t x = 0; x < w.results.x; x += height) {
            const int64_t count = std::min(height, w.results.x - x);
            for (int64_t p = 0; p < panels(b.columns); p++) {
                P::multiply({from.at(n, w.from.y + y * w.step.y, w.from.x + x * w.step.x), w.step.x * pixel, 1,
                             from.line, b.at(p), b.width, b.padded * b.width, b.segments, b.padded, tile, PANEL, false},
                            count, vectors(b.columns, p), from.part, b.part);
                hand_over(tile, count, b.columns, p, sink, n, w.to.y + y * w.to_step.y, w.to.x + x * w.to_step.x,
                          w.to_step.x);
            }
            sink.finish();
        }
}

// A big image with fewer channels than fill a vector: every pixel of the small one gives a patch, and overlapping
// patches are added up.
template <class P, class Sink>
void scatter_patches(const Tensor<P>& from, int64_t n, const Geometry& g, const Panels<P>& b, float* sums, Sink& sink) {
    alignas(64) float tile[P::ROWS * PANEL];
    const int64_t colours = g.big.channels, wide = g.big.width * colours, height = tall<P>(g.small.width);
    std::memset(sums, 0, g.big.count() * 4);
    for (int64_t y = 0; y < g.small.height; y++)
        for (int64_t x = 0; x < g.small.width; x += height) {
            const int64_t count = std::min(height, g.small.width - x);
            for (int64_t p = 0; p < panels(b.columns); p++) {
                P::multiply(
                    {from.at(n, y, x), from.shape.channels, 1, 0, b.at(p), b.width, 0, 1, b.padded, tile, PANEL, false},
                    count, vectors(b.columns, p), from.part, b.part);
                for (int64_t f = p * PANEL; f < std::min(b.columns, (p + 1) * PANEL); f++) {
                    const int64_t r = f / colours / g.kernel.x, c = f / colours % g.kernel.x;
                    const int64_t to_y = y * g.stride.y + r - g.padding.y,
                                  left = c - g.padding.x;  // of pixel 0 of the line
                    if (to_y < 0 || to_y >= g.big.height) continue;
                    // Pixels of the tile whose part of the patch lies inside the image.
                    const int64_t begin = std::max<int64_t>(0, (-left + g.stride.x - 1) / g.stride.x - x);
                    const int64_t end = std::min(count, (g.big.width - left + g.stride.x - 1) / g.stride.x - x);
                    float* to = sums + to_y * wide + (x * g.stride.x + left) * colours + f % colours;
                    const float* of = tile + f - p * PANEL;
                    for (int64_t i = begin; i < end; i++) to[i * g.stride.x * colours] += of[i * PANEL];
                }
            }
        }
    for (int64_t y = 0; y < g.big.height; y++) {
        for (int64_t f = 0; f < wide; f += V) sink(n, y, 0, f, wide - f, load(sums + y * wide + f));
        sink.finish();
    }
}

// The pixels of a big image, along one side, that meet the weights begin, begin + stride, ... of a kernel; each of
// them in turn meets the small image's pixels one further.
struct Phase {
    int64_t weights, first, from, results;

    Phase(int64_t begin, int64_t kernel, int64_t stride, int64_t padding, int64_t big)
        : weights(begin < kernel ? (kernel - begin + stride - 1) / stride : 0) {
        const int64_t step =
            begin < padding ? (padding - begin + stride - 1) / stride : 0;  // the first inside the image
        first = step * stride + begin - padding;
        from = step - (weights - 1);
        results = first < big ? (big - first + stride - 1) / stride : 0;
    }
};

}  // namespace chain
