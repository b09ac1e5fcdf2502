// One convolution, or one transposed: its weights in panels for both directions, its products, its gradients.
#pragma once

#include <memory>
#include <optional>

#include "winograd.h"

namespace chain {

// Memory of one thread for what layers need for a moment.
template <class P>
struct Scratch {
    std::optional<Tiles36> tiles;
    Buffer sums{0}, im2row{0};    // of `scatter_patches` and `slide`
    Buffer turned{0}, paired{0};  // what a gradient of weights multiplies, places side by side; not in float32
};

template <class P>
class Convolution {
   public:
    // `master` are the weights in panels of float32, as `master_size` says, and stay where they are.
    Convolution(const Geometry& g, bool scatters, const float* master)
        : g(g),
          master_(g.small.channels, g.kernel.y, g.kernel.x * g.big.channels, master),
          gather_(g.small.channels, g.kernel.y, g.kernel.x * g.big.channels) {
        const bool fast = P::FAST_CONVOLUTION && Winograd::fits(g);
        if constexpr (P::FAST_CONVOLUTION)
            if (fast) fast_gather_.emplace(master_);
        if (!scatters) return;
        if (patches()) {
            scatter_.emplace_back(g.taps() * g.big.channels, 1, g.small.channels);
            return;
        }
        for (int64_t a = 0; a < g.stride.y; a++)
            for (int64_t b = 0; b < g.stride.x; b++)
                scatter_.emplace_back(g.big.channels, down(a).weights, across(b).weights * g.small.channels);
        if constexpr (P::FAST_CONVOLUTION)
            if (fast) fast_scatter_.emplace(scatter_[0]);
    }

    static int64_t master_size(const Geometry& g) {
        return panels(g.small.channels) * g.taps() * g.big.channels * panel_width(g.small.channels);
    }

    // Where the weight between two channels lies in the master panels.
    static int64_t master_index(const Geometry& g, int64_t small, int64_t big, int64_t y, int64_t x) {
        const int64_t width = panel_width(g.small.channels);
        return ((small / PANEL * g.kernel.y + y) * g.kernel.x + x) * g.big.channels * width + big * width +
               small % PANEL;
    }

    // From the master panels to all others, the share of thread `me`: first these,
    void pack(int64_t me, int64_t threads) {
        if constexpr (!std::is_same_v<P, Float32>) pack_gather(me, threads);
        if (scatter_.empty()) return;
        if (patches()) {
            pack_turned(scatter_[0], 0, 0, 0, g.taps() * g.big.channels, 0, me, threads);
            return;
        }
        for (int64_t a = 0; a < g.stride.y; a++)
            for (int64_t b = 0; b < g.stride.x; b++) {
                const Panels<P>& to = scatter_[a * g.stride.x + b];
                const int64_t rows = down(a).weights, columns = across(b).weights;
                for (int64_t r = 0; r < rows; r++)
                    for (int64_t c = 0; c < columns; c++)
                        pack_turned(to, a + g.stride.y * (rows - 1 - r), b + g.stride.x * (columns - 1 - c), r,
                                    g.big.channels, c * g.small.channels, me, threads);
            }
    }

    // and then, when every thread has done so, these.
    void pack_fast(int64_t me, int64_t threads) {
        if (fast_gather_) fast_gather_->pack(me, threads);
        if (fast_scatter_) fast_scatter_->pack(me, threads);
    }

    // Borders that are read of the big and of the small image.
    Border big_border() const {
        const auto end = [](int64_t results, int64_t stride, int64_t kernel, int64_t padding, int64_t size) {
            return std::max<int64_t>(0, (results - 1) * stride + kernel - padding - size);
        };
        return {g.padding.y, end(g.small.height, g.stride.y, g.kernel.y, g.padding.y, g.big.height), g.padding.x,
                end(g.small.width, g.stride.x, g.kernel.x, g.padding.x, g.big.width)};
    }
    Border small_border() const {
        Border border;
        if (patches()) return border;
        const auto widen = [](const Phase& phase, int64_t size, int64_t& before, int64_t& after) {
            before = std::max(before, -phase.from);
            after = std::max(after, phase.from + phase.weights - 1 + phase.results - size);
        };
        for (int64_t a = 0; a < g.stride.y; a++) widen(down(a), g.small.height, border.top, border.bottom);
        for (int64_t b = 0; b < g.stride.x; b++) widen(across(b), g.small.width, border.left, border.right);
        return border;
    }

    template <class Sink>
    void gather(const Tensor<P>& from, int64_t images, Scratch<P>& scratch, Sink& sink) const {
        const Pair start = {-g.padding.y, -g.padding.x}, results = {g.small.height, g.small.width};
        if constexpr (P::FAST_CONVOLUTION)
            if (fast_gather_) return fast_gather_->slide(from, images, start, results, *scratch.tiles, sink);
        slide(from, images, {start, g.stride, results, {0, 0}, {1, 1}}, forward(), scratch.im2row, sink);
    }

    template <class Sink>
    void scatter(const Tensor<P>& from, int64_t images, Scratch<P>& scratch, Sink& sink) const {
        if constexpr (P::FAST_CONVOLUTION)
            if (fast_scatter_)
                return fast_scatter_->slide(from, images, {down(0).from, across(0).from}, {g.big.height, g.big.width},
                                            *scratch.tiles, sink);
        if (patches()) {
            for (int64_t n = 0; n < images; n++) scatter_patches(from, n, g, scatter_[0], scratch.sums, sink);
            return;
        }
        for (int64_t a = 0; a < g.stride.y; a++)
            for (int64_t b = 0; b < g.stride.x; b++) {
                const Phase y = down(a), x = across(b);
                slide(from, images, {{y.from, x.from}, {1, 1}, {y.results, x.results}, {y.first, x.first}, g.stride},
                      scatter_[a * g.stride.x + b], scratch.im2row, sink);
            }
    }

    // Add the gradient by the weights to `to`, master panels; `fast` is what `finish` will add, see `Winograd`.
    void weigh(const Tensor<P>& big, const Tensor<P>& small, int64_t images, Scratch<P>& scratch, float* to,
               float* fast) const;

    void finish(float* fast, float* to) const {
        if (fast_gather_) fast_gather_->finish(fast, to);
    }

    int64_t fast_grads() const { return fast_gather_ ? fast_gather_->grads() : 0; }
    bool is_fast() const { return bool(fast_gather_); }

    const Geometry g;

    // Floats of a thread's memory that `slide` takes.
    int64_t im2row() const {
        if (is_fast()) return 0;
        int64_t most = Im2row<P>(forward()).floats();
        if (!patches())
            for (const Panels<P>& b : scatter_) most = std::max(most, Im2row<P>(b).floats());
        return most;
    }

    // Whether to scatter goes by patches.
    bool patches() const { return g.big.channels < V; }

   private:
    Phase down(int64_t a) const { return {a, g.kernel.y, g.stride.y, g.padding.y, g.big.height}; }
    Phase across(int64_t b) const { return {b, g.kernel.x, g.stride.x, g.padding.x, g.big.width}; }

    const Panels<P>& forward() const {
        if constexpr (std::is_same_v<P, Float32>) return master_;
        else return gather_;
    }

    void pack_gather(int64_t me, int64_t threads) {
        for (int64_t p = 0; p < panels(master_.columns); p++)
            for (int64_t s = 0; s < master_.segments; s++)
                for (int64_t k = 2 * me; k < master_.places; k += 2 * threads)
                    for (int64_t j = 0; j < master_.width / V; j++) {
                        const float* from = master_.at(p) + (s * master_.padded + k) * master_.width + j * V;
                        const bool both = k + 1 < master_.places;
                        const vec rows[] = {load(from), both ? load(from + master_.width) : vec{}};
                        gather_.put(p, s, k, j, rows, both ? 2 : 1);
                    }
    }

    // Transpose the weights of one tap, [big, small], to rows from `place` on of a segment.
    void pack_turned(const Panels<P>& to, int64_t y, int64_t x, int64_t segment, int64_t columns, int64_t place,
                     int64_t me, int64_t threads) {
        const float* from = master_.data + (y * g.kernel.x + x) * g.big.channels * master_.width;
        for (int64_t i = me * V; i < columns; i += threads * V)
            for (int64_t s = 0; s < g.small.channels; s += V) {
                vec square[V];
                const float* rows = from + s / PANEL * master_.segments * master_.padded * master_.width + s % PANEL;
                for (int64_t r = 0; r < V; r++)
                    square[r] = i + r < columns ? load(rows + (i + r) * master_.width) : vec{};
                transpose(square);
                to.put(i / PANEL, segment, place + s, i % PANEL / V, square, std::min(V, g.small.channels - s));
            }
    }

    const Panels<Float32> master_;
    Panels<P> gather_;
    std::vector<Panels<P>> scatter_;  // of each phase, or of the patches
    std::optional<Winograd> fast_gather_, fast_scatter_;
};

template <>
inline void Convolution<Float32>::weigh(const Tensor<Float32>& big, const Tensor<Float32>& small, int64_t images,
                                        Scratch<Float32>& scratch, float* to, float* fast) const {
    const int64_t width = master_.width, rows = g.kernel.x * g.big.channels, height = tall<Float32>(rows);
    if (fast_gather_)
        return fast_gather_->weigh(big, small, images, {-g.padding.y, -g.padding.x}, *scratch.tiles, fast);
    for (int64_t n = 0; n < images; n++)
        for (int64_t r = 0; r < g.kernel.y; r++)
            for (int64_t i = 0; i < rows; i += height)
                for (int64_t p = 0; p < panels(master_.columns); p++) {
                    const Product<float> product = {big.at(n, r - g.padding.y, -g.padding.x) + i,
                                                    1,
                                                    g.stride.x * g.big.channels,
                                                    g.stride.y * big.line,
                                                    small.at(n, 0, 0) + p * PANEL,
                                                    g.small.channels,
                                                    small.line,
                                                    g.small.height,
                                                    g.small.width,
                                                    to + ((p * g.kernel.y + r) * rows + i) * width,
                                                    width,
                                                    true};
                    Float32::multiply(product, std::min(height, rows - i), vectors(master_.columns, p), 0, 0);
                }
}

#if defined(HAS_BF16)
// In bf16 pairs of places lie side by side, and here places are pixels. So the small image is paired, line after
// line with a margin as wide as the kernel reaches, in which it is 0; and the big one is turned, so that each channel's
// pixels lie side by side: a step of the kernel is then a step through memory. With strides, the pixels that meet the
// same weights are a plane of their own; and of few channels there is a copy for every weight, so as to fill a tile.
template <class P>
struct Turned {
    const Geometry& g;
    const int64_t pitch, lines, places, length;  // `length` of a row of pixels
    const bool copies;
    const int64_t rows;  // of a plane, or of all copies

    explicit Turned(const Geometry& g)
        : g(g),
          pitch(g.small.width + reach().x),
          lines(g.small.height),
          places(round_up(lines * pitch, P::GRAIN)),
          length(places + reach().y * pitch + reach().x + V),
          copies(g.big.channels < V),
          rows(copies ? g.taps() * g.big.channels : g.big.channels) {}

    Pair reach() const { return {(g.kernel.y - 1) / g.stride.y, (g.kernel.x - 1) / g.stride.x}; }
    int64_t planes() const { return copies ? 1 : std::min(g.kernel.y, g.stride.y) * std::min(g.kernel.x, g.stride.x); }
    int64_t turned() const { return planes() * rows * length; }
    int64_t paired() const { return panels(g.small.channels) * places * panel_width(g.small.channels); }
};

template <class P>
void Convolution<P>::weigh(const Tensor<P>& big, const Tensor<P>& small, int64_t images, Scratch<P>& scratch, float* to,
                           float*) const {
    const Turned<P> t(g);
    bf16 *turned = reinterpret_cast<bf16*>(static_cast<float*>(scratch.turned)),
         *paired = reinterpret_cast<bf16*>(static_cast<float*>(scratch.paired));
    const int64_t turned_part = t.turned(), paired_part = t.paired(), width = master_.width, taps = g.taps();
    const Border border = big_border();
    for (int64_t n = 0; n < images; n++) {
        // The pixels of a plane whose first is (y, x), of so many lines, to rows of `to`.
        const auto turn = [&](bf16* to, int64_t y, int64_t x, int64_t lines, Pair step) {
            for (int64_t i = 0; i < lines; i++) {
                const int64_t from = y + i * step.y;
                const int64_t count = from >= g.big.height + border.bottom
                                          ? 0
                                          : std::min(t.pitch, (g.big.width + border.right - x + step.x - 1) / step.x);
                for (int64_t j = 0; j < t.pitch; j += V)
                    for (int64_t c = 0; c < g.big.channels; c += V) {
                        vec square[V];
                        for (int64_t r = 0; r < V; r++)
                            square[r] = j + r < count
                                            ? big.load(big.at(n, from, x + (j + r) * step.x) + c, g.big.channels - c)
                                            : vec{};
                        transpose(square);
                        for (int64_t r = 0; r < std::min(V, g.big.channels - c); r++)
                            P::store(to + (c + r) * t.length + i * t.pitch + j, turned_part, square[r]);
                    }
            }
        };
        const int64_t planes_x = std::min(g.kernel.x, g.stride.x);
        // What one weight of one channel meets, to a row of `to`.
        const auto copy = [&](bf16* to, int64_t y, int64_t x, int64_t c) {
            const int64_t step = g.stride.x * g.big.channels;
            for (int64_t i = 0; i < t.lines; i++, to += t.pitch)
                for (int64_t h = 0; h < P::PARTS; h++) {
                    const bf16* from = big.at(n, y + i * g.stride.y, x) + c + h * big.part;
                    bf16* line = to + h * turned_part;
                    for (int64_t j = 0; j < g.small.width; j++) line[j] = from[j * step];
                    for (int64_t j = g.small.width; j < t.pitch; j++) line[j] = 0;
                }
        };
        if (t.copies) {
            for (int64_t r = 0; r < t.rows; r++) {
                const int64_t tap = r / g.big.channels;
                copy(turned + r * t.length, tap / g.kernel.x - g.padding.y, tap % g.kernel.x - g.padding.x,
                     r % g.big.channels);
            }
        } else {
            for (int64_t plane = 0; plane < t.planes(); plane++)
                turn(turned + plane * t.rows * t.length, plane / planes_x - g.padding.y, plane % planes_x - g.padding.x,
                     t.lines + t.reach().y, g.stride);
        }
        for (int64_t q = 0; q < t.places; q += 2) {
            const auto pixel = [&](int64_t q, int64_t c) {
                const int64_t y = q / t.pitch, x = q % t.pitch;
                const bool inside = y < t.lines && x < g.small.width;
                return inside ? small.load(small.at(n, y, x) + c, g.small.channels - c) : vec{};
            };
            for (int64_t c = 0; c < g.small.channels; c += V)
                put_pair<P>(paired + c / PANEL * t.places * width, q, width, c % PANEL / V, pixel(q, c),
                            pixel(q + 1, c), paired_part);
        }
        for (int64_t tap = 0; tap < (t.copies ? 1 : taps); tap++) {
            const int64_t r = tap / g.kernel.x, c = tap % g.kernel.x;
            const int64_t plane = t.copies ? 0 : r % g.stride.y * planes_x + c % g.stride.x,
                          shift = t.copies ? 0 : r / g.stride.y * t.pitch + c / g.stride.x;
            const int64_t height = tall<P>(t.rows);
            for (int64_t i = 0; i < t.rows; i += height)
                for (int64_t p = 0; p < panels(g.small.channels); p++)
                    P::multiply({turned + (plane * t.rows + i) * t.length + shift, t.length, 1, 0,
                                 paired + p * t.places * width, width, 0, 1, t.places,
                                 to + (p * taps * g.big.channels + tap * t.rows + i) * width, width, true},
                                std::min(height, t.rows - i), vectors(g.small.channels, p), turned_part, paired_part);
        }
    }
}

// Memory that this takes.
template <class P>
void reserve(Scratch<P>& scratch, const std::vector<const Convolution<P>*>& layers) {
    int64_t turned = 0, paired = 0;
    for (const Convolution<P>* layer : layers) {
        const Turned<P> t(layer->g);
        turned = std::max(turned, t.turned()), paired = std::max(paired, t.paired());
    }
    scratch.turned = Buffer((P::PARTS * turned + V) / 2 + V);
    scratch.paired = Buffer((P::PARTS * paired + V) / 2 + V);
}
#endif

}  // namespace chain
