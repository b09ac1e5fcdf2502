// Linear layers: products between all the numbers of one image and all those of another.
//
// Their weights may be many, so their gradients are never stored: when all threads have gone back, each takes some
// inputs of every layer, adds up in registers what all images say of their weights, and lets Adam learn from that.
#pragma once

#include "sliding.h"

namespace chain {

// Memory of one thread for a moment: results of some images, and what a gradient of weights multiplies.
struct LinearScratch {
    Buffer results{0}, turned{0}, paired{0};

    // Make each at least so many bytes long.
    void reserve(int64_t of_results, int64_t of_turned, int64_t of_paired) {
        const int64_t wanted[] = {of_results, of_turned, of_paired};
        Buffer* const buffers[] = {&results, &turned, &paired};
        for (int i = 0; i < 3; i++) {
            if (wanted[i] <= bytes_[i]) continue;
            *buffers[i] = Buffer(wanted[i] / 4 + V);
            bytes_[i] = wanted[i];
        }
    }

   private:
    int64_t bytes_[3] = {};
};

template <class P>
class Linear {
   public:
    using Element = typename P::Element;

    // `master` are the weights in panels of float32, [outputs / width, inputs, width], and stay where they are.
    Linear(Shape input, Shape output, bool goes_back, float* master)
        : input_(input),
          output_(output),
          master_(output.count(), 1, input.count(), master),
          forward_(output.count(), 1, input.count()),
          back_(goes_back ? input.count() : 0, 1, output.count()) {}

    static int64_t master_size(Shape input, Shape output) {
        return panels(output.count()) * input.count() * panel_width(output.count());
    }
    static int64_t master_index(Shape input, Shape output, int64_t to, int64_t from) {
        const int64_t width = panel_width(output.count());
        return (to / PANEL * input.count() + from) * width + to % PANEL;
    }

    // From the master panels to all others, for inputs begin to end, whole vectors of them.
    void pack(int64_t begin, int64_t end) const {
        for (int64_t i = begin; i < end; i += V)
            for (int64_t o = 0; o < output_.count(); o += V) {
                vec square[V];
                const int64_t p = o / PANEL, j = o % PANEL / V;
                for (int64_t r = 0; r < V; r++)
                    square[r] = i + r < master_.places ? load(master(p, i + r) + j * V) : vec{};
                if constexpr (!std::is_same_v<P, Float32>)
                    forward_.put(p, 0, i, j, square, std::min(V, master_.places - i));
                if (!back_.columns) continue;
                transpose(square);
                back_.put(i / PANEL, 0, o, i % PANEL / V, square, std::min(V, output_.count() - o));
            }
    }

    template <class Sink>
    void forward(const Tensor<P>& x, int64_t images, LinearScratch& scratch, Sink& sink) const {
        if constexpr (std::is_same_v<P, Float32>) multiply(x, images, master_, output_, scratch, sink);
        else multiply(x, images, forward_, output_, scratch, sink);
    }

    template <class Sink>
    void backward(const Tensor<P>& grad, int64_t images, LinearScratch& scratch, Sink& sink) const {
        multiply(grad, images, back_, input_, scratch, sink);
    }

    // One thread's images of a whole batch.
    struct Seen {
        const Tensor<P>&x, &grad;
        int64_t images;
    };

    // A step of Adam for the weights of inputs begin to end, whole vectors of them; `mean` and `square` lie as the
    // master.
    void learn(const std::vector<Seen>& seen, int64_t begin, int64_t end, float* mean, float* square, const Adam& adam,
               LinearScratch& scratch) const {
        alignas(64) float tile[INPUTS * PANEL];
        const int64_t images = places(seen);
        pair(seen, images, scratch);
        for (int64_t i = begin; i < end; i += INPUTS) {
            const int64_t rows = std::min(INPUTS, std::min(end, master_.places) - i), height = tall<P>(rows);
            turn(seen, images, i, rows, scratch);
            for (int64_t p = 0; p < panels(output_.count()); p++) {
                for (int64_t r = 0; r < rows; r++)
                    for (int64_t j = 0; j < master_.width; j += 16) {
                        const int64_t at = master(p, i + r) - master_.data + j;
                        __builtin_prefetch(master_.data + at, 1);
                        __builtin_prefetch(mean + at, 1);
                        __builtin_prefetch(square + at, 1);
                    }
                for (int64_t r = 0; r < rows; r += height)
                    gradient(images, r, std::min(height, rows - r), p, scratch, tile + r * PANEL);
                for (int64_t r = 0; r < rows; r++) {
                    float* weight = master(p, i + r);
                    const int64_t at = weight - master_.data;
                    for (int64_t j = 0; j < master_.width; j += V)
                        adam(weight + j, mean + at + j, square + at + j, load(tile + r * PANEL + j));
                }
            }
            pack(i, std::min(i + INPUTS, end));
        }
    }

    // A thread's memory for `images` images, which are all threads' of a batch.
    void reserve(int64_t images, int64_t threads, LinearScratch& scratch) const {
        const int64_t places = images + threads * P::GRAIN, bytes = P::PARTS * places * int64_t(sizeof(Element));
        scratch.reserve(images * GROUP * PANEL * 4 + 64, bytes * INPUTS,
                        bytes * panels(output_.count()) * master_.width);
    }

   private:
    static constexpr int64_t GROUP =
        8;  // panels whose results are given on together: more of an image that lie together
    static constexpr int64_t INPUTS = V == 16 ? 32 : 24;  // whose weights learn at once: whole heights of a product
    static constexpr int64_t BLOCK = 256;  // places at once: a block of a panel stays in the first cache for all images

    float* master(int64_t p, int64_t i) const { return const_cast<float*>(master_.at(p)) + i * master_.width; }

    // All images times all weights, panel by panel. `results_are` the shape of the results.
    template <class Sink>
    static void multiply(const Tensor<P>& from, int64_t images, const Panels<P>& b, Shape results_are,
                         LinearScratch& scratch, Sink& sink) {
        const Shape shape = sink.dense() ? Shape{b.columns, 1, 1} : results_are;
        const int64_t height = tall<P>(images), wide = GROUP * PANEL;
        float* results = scratch.results;
        for (int64_t first = 0; first < b.columns; first += wide) {
            const int64_t last = std::min(b.columns, first + wide);
            for (int64_t p = first / PANEL; p * PANEL < last; p++)
                for (int64_t k = 0; k < b.padded; k += BLOCK)
                    for (int64_t n = 0; n < images; n += height)
                        P::multiply(
                            {from.at(n, 0, 0) + k, from.image, 1, 0, b.at(p) + k * b.width, b.width, 0, 1,
                             std::min(BLOCK, b.padded - k), results + n * wide + p * PANEL - first, wide, k > 0},
                            std::min(height, images - n), vectors(b.columns, p), from.part, b.part);
            for (int64_t n = 0; n < images; n++)
                for (int64_t f = first, pixel = f / shape.channels, c = f % shape.channels;
                     f < last;) {  // what fills a vector, of one pixel
                    const int64_t count = std::min(last - f, shape.channels - c);
                    sink(n, pixel / shape.width, pixel % shape.width, c, count, load(results + n * wide + f - first));
                    f += std::min(count, V), c += std::min(count, V);
                    if (c == shape.channels) c = 0, pixel++;
                }
            sink.finish();
        }
    }

    // The gradient by the weights of inputs i + r and some more, to a tile.
    void gradient(int64_t images, int64_t r, int64_t rows, int64_t p, const LinearScratch& scratch, float* tile) const {
        const Element *turned = reinterpret_cast<Element*>(static_cast<float*>(scratch.turned)),
                      *paired = reinterpret_cast<Element*>(static_cast<float*>(scratch.paired));
        const int64_t width = master_.width, panel = images * width;
        const bool plain = std::is_same_v<P, Float32>;
        P::multiply({turned + r * (plain ? 1 : images), plain ? 1 : images, plain ? INPUTS : 1, 0, paired + p * panel,
                     width, 0, 1, images, tile, PANEL, false},
                    rows, vectors(output_.count(), p), INPUTS * images, panels(output_.count()) * panel);
    }

    // Images of all threads, each one's rounded up to as many as are multiplied together.
    static int64_t places(const std::vector<Seen>& seen) {
        int64_t all = 0;
        for (const Seen& s : seen) all += round_up(s.images, P::GRAIN);
        return all;
    }

    // What came in, `rows` inputs from `i` on, image after image. In bf16 pairs of images lie side by side: it is
    // transposed,
    void turn(const std::vector<Seen>& seen, int64_t images, int64_t i, int64_t rows, LinearScratch& scratch) const {
        Element* to = reinterpret_cast<Element*>(static_cast<float*>(scratch.turned));
        for (const Seen& s : seen) {
            const int64_t count = round_up(s.images, P::GRAIN);
            const auto inputs = [&](int64_t n, int64_t r) {
                return n < s.images ? s.x.load(s.x.at(n, 0, 0) + i + r, master_.places - i - r) : vec{};
            };
            if constexpr (std::is_same_v<P, Float32>) {
                for (int64_t n = 0; n < count; n++, to += INPUTS)
                    for (int64_t r = 0; r < rows; r += V) store(to + r, inputs(n, r));
            } else {
                for (int64_t r = 0; r < rows; r += V)
                    for (int64_t n = 0; n < count; n += V) {
                        vec square[V];
                        for (int64_t j = 0; j < V; j++) square[j] = inputs(n + j, r);
                        transpose(square);
                        for (int64_t j = 0; j < V; j++)
                            P::store(to + (r + j) * images + n, INPUTS * images, square[j], std::min(V, count - n));
                    }
                to += count;
            }
        }
    }

    // and of the gradients, in panels: as they lie, the same numbers of all images would compete for a few lines of
    // the first cache.
    void pair(const std::vector<Seen>& seen, int64_t images, LinearScratch& scratch) const {
        const int64_t width = master_.width, panel = images * width, part = panels(output_.count()) * panel;
        Element* to = reinterpret_cast<Element*>(static_cast<float*>(scratch.paired));
        int64_t first = 0;
        for (const Seen& s : seen) {
            const int64_t count = round_up(s.images, P::GRAIN);
            const auto grad = [&](int64_t n, int64_t o) {
                return n < s.images ? s.grad.load(s.grad.at(n, 0, 0) + o, output_.count() - o) : vec{};
            };
            for (int64_t n = 0; n < count; n += std::min<int64_t>(P::GRAIN, 2))
                for (int64_t o = 0; o < output_.count(); o += V) {
                    Element* of = to + o / PANEL * panel;
                    if constexpr (std::is_same_v<P, Float32>) store(of + (first + n) * width + o % PANEL, grad(n, o));
                    else put_pair<P>(of, first + n, width, o % PANEL / V, grad(n, o), grad(n + 1, o), part);
                }
            first += count;
        }
    }

    const Shape input_, output_;
    const Panels<Float32> master_;
    const Panels<P> forward_, back_;
};

}  // namespace chain
