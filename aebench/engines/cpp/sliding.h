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

// Rows of a product at a time, as even as can be.
template <class P>
INLINE int64_t tall(int64_t rows) {
    const int64_t pieces = (rows + P::ROWS - 1) / P::ROWS;
    return (rows + pieces - 1) / pieces;
}

// Memory of one thread for what a kernel sees at some pixels: a row of a product for each, as K. Chellapilla, S. Puri,
// P. Simard unroll convolutions (High Performance Convolutional Neural Networks for Document Processing, 2006). Rows
// go on from one line of an image, and from one image, to the next: lines of small images would fill no tile. And
// beside as many rows as lie in the second cache, that has to hold one panel of the weights only.
template <class P>
struct Im2row {
    using Element = typename P::Element;
    static constexpr int64_t SIZE = sizeof(Element), BYTES = 128 << 10;

    const int64_t row, count, part;  // from one row to the next; rows; from one part of a number to the next

    explicit Im2row(const Panels<P>& b)
        // A line of the cache more than a row takes: in steps of 4 KB all would compete for the same few lines.
        : row(round_up(b.segments * b.padded, 64 / SIZE) + 64 / SIZE),
          count(std::max<int64_t>(1, BYTES / (row * SIZE * P::PARTS * P::ROWS)) * P::ROWS),
          part(count * row) {}

    int64_t floats() const { return P::PARTS * part * SIZE / 4; }

    // Copy what a kernel sees from a pixel on. Behind each of its lines may come what the next one takes the place of.
    INLINE void copy(const Tensor<P>& from, const Element* first, const Panels<P>& b, Element* to) const {
        constexpr int64_t STEP = 4 * V / SIZE;
        for (int64_t h = 0; h < P::PARTS; h++)
            for (int64_t s = 0; s < b.segments; s++)
                for (int64_t k = 0; k < b.padded; k += STEP) {
                    vec some;
                    std::memcpy(&some, first + h * from.part + s * from.line + k, 4 * V);
                    std::memcpy(to + h * part + s * b.padded + k, &some, 4 * V);
                }
    }
};

// Slide a kernel over `images`. `memory` is that of `Im2row`.
template <class P, class Sink>
void slide(const Tensor<P>& from, int64_t images, const Window& w, const Panels<P>& b, float* memory, Sink& sink) {
    struct Pixel {
        int64_t n, y, x;
    };
    alignas(64) float tile[P::ROWS * PANEL];
    const Im2row<P> im2row(b);
    auto* rows = reinterpret_cast<typename P::Element*>(memory);
    std::vector<Pixel> pixels(im2row.count);
    Pixel next = {0, 0, 0};
    for (int64_t left = images * w.results.y * w.results.x; left > 0; left -= im2row.count) {
        const int64_t count = std::min(im2row.count, left), height = tall<P>(count);
        for (int64_t i = 0; i < count; i++) {
            pixels[i] = {next.n, w.to.y + next.y * w.to_step.y, w.to.x + next.x * w.to_step.x};
            im2row.copy(from, from.at(next.n, w.from.y + next.y * w.step.y, w.from.x + next.x * w.step.x), b,
                      rows + i * im2row.row);
            if (++next.x == w.results.x) next.x = 0, next.y++;
            if (next.y == w.results.y) next.y = 0, next.n++;
        }
        for (int64_t p = 0; p < panels(b.columns); p++)
            for (int64_t i = 0; i < count; i += height) {
                const int64_t some = std::min(height, count - i);
                P::multiply({rows + i * im2row.row, im2row.row, 1, 0, b.at(p), b.width, 0, 1, b.segments * b.padded,
                             tile, PANEL, false},
                            some, vectors(b.columns, p), im2row.part, b.part);
                for (int64_t r = 0; r < some; r++)
                    for (int64_t j = 0; j < vectors(b.columns, p); j++) {
                        const int64_t c = p * PANEL + j * V;
                        const auto [n, y, x] = pixels[i + r];
                        sink(n, y, x, c, b.columns - c, load(tile + r * PANEL + j * V));
                    }
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
