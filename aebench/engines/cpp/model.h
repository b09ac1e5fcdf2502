// What is trained: layers and activations as they are told from outside, and all that they learn.
#pragma once

#include "convolution.h"
#include "linear.h"
#include "norms.h"

namespace chain {

enum Kind : int64_t { LINEAR, CONV, CONV_TRANSPOSE, LAYER_NORM, BATCH_NORM, JUST_ACTIVATION, ADD };
enum Precision : int64_t { FP32, BF16, BF16X3 };

// One layer and the activation behind it. Mirrored field by field in `native/bindings.py`.
struct Stage {
    int64_t kind, activation;
    double leak, eps, momentum;
    Shape input, output;
    Pair kernel, stride, padding;
    Learned weight, bias;
    float *running_mean, *running_variance;  // null: none
    int64_t weight_strides[4];               // of a convolution's, [small, big, kernel, kernel]
    int64_t past;                            // of ADD: the stage whose output it adds to what comes in
};

struct Chain {
    int64_t first_plane, planes;  // those of an image that are images of their own here: all, one, or 1 of all channels
    Shape image;
    int64_t precision, count;
    const Stage* stages;
};

INLINE bool convolves(const Stage& s) { return s.kind == CONV || s.kind == CONV_TRANSPOSE; }

inline Geometry geometry(const Stage& s) {
    if (s.kind == CONV) return {s.input, s.output, s.kernel, s.stride, s.padding};
    return {s.output, s.input, s.kernel, s.stride, s.padding};
}

// Where in torch's images, [channels, height, width], number `i` of ours, [height, width, channels], lies.
INLINE int64_t torch_index(Shape s, int64_t i) { return i % s.channels * s.height * s.width + i / s.channels; }

// What all threads share: all that is learned, laid out as the products want it, in three arrays. First comes that
// whose gradients are added up by each thread and then over all, then the weights of linear layers.
template <class P>
class Model {
   public:
    struct Place {
        int64_t weight, bias;  // where a stage's numbers begin
    };

    Model(const Chain& chain, int64_t threads) : chain(chain), places(layout()), value(size), mean(size), square(size) {
        for (int64_t l = 0; l < chain.count; l++) {
            const Stage& s = chain.stages[l];
            convolutions.emplace_back(convolves(s) ? std::make_unique<Convolution<P>>(geometry(s),
                                                                                      l > 0 || s.kind == CONV_TRANSPOSE,
                                                                                      value + places[l].weight)
                                                   : nullptr);
            linears.emplace_back(s.kind == LINEAR
                                     ? std::make_unique<Linear<P>>(s.input, s.output, l > 0, value + places[l].weight)
                                     : nullptr);
            sums.emplace_back(s.kind == BATCH_NORM ? std::make_unique<Sums>(threads, s.input.channels, 4) : nullptr);
        }
    }

    // From torch, the share of one thread,
    void read(int64_t me, int64_t threads) const {
        move(me, threads, [](float* mine, float* torch) { *mine = *torch; });
    }
    // and back to it.
    void write(int64_t me, int64_t threads) const {
        move(me, threads, [](float* mine, float* torch) { *torch = *mine; });
    }

    // Inputs of a linear layer that are one thread's, whole vectors of them.
    int64_t begin(int64_t l, const Team& team, int64_t me) const {
        return team.begin(me, round_up(chain.stages[l].input.count(), V), V);
    }

    const Chain& chain;
    int64_t size = 0, added = 0;  // numbers, and how many of them have gradients that are added up
    const std::vector<Place> places;
    const Buffer value, mean, square;
    std::vector<std::unique_ptr<Convolution<P>>> convolutions;
    std::vector<std::unique_ptr<Linear<P>>> linears;
    std::vector<std::unique_ptr<Sums>> sums;  // of each batch norm

   private:
    static int64_t weights(const Stage& s) {
        return convolves(s)           ? Convolution<P>::master_size(geometry(s))
               : s.kind == LAYER_NORM ? s.input.count()
               : s.kind == BATCH_NORM ? s.input.channels
                                      : 0;
    }
    static int64_t biases(const Stage& s) {
        return convolves(s) ? s.output.channels : s.kind == LINEAR ? s.output.count() : weights(s);
    }

    std::vector<Place> layout() {
        std::vector<Place> to(chain.count);
        for (int64_t l = 0; l < chain.count; l++) {
            const Stage& s = chain.stages[l];
            to[l] = {size, size + round_up(weights(s), V)};
            size = to[l].bias + round_up(biases(s), V) + V;
        }
        added = size;
        for (int64_t l = 0; l < chain.count; l++) {
            const Stage& s = chain.stages[l];
            if (s.kind != LINEAR) continue;
            to[l].weight = size;
            size += Linear<P>::master_size(s.input, s.output);
        }
        return to;
    }

    template <class Move>
    void move(int64_t me, int64_t threads, const Move& move) const {
        const auto one = [&](int64_t mine, const Learned& torch, int64_t at) {
            if (!torch.weight) return;
            move(value + mine, torch.weight + at);
            move(mean + mine, torch.mean + at);
            move(square + mine, torch.square + at);
        };
        for (int64_t l = 0; l < chain.count; l++) {
            const Stage& s = chain.stages[l];
            const auto [weight, bias] = places[l];
            for (int64_t i = me; i < biases(s); i += threads)
                one(bias + i, s.bias,
                    s.kind == LINEAR       ? torch_index(s.output, i)
                    : s.kind == LAYER_NORM ? torch_index(s.input, i)
                                           : i);
            if (s.kind == LINEAR) {
                std::vector<int64_t> from(s.input.count());
                for (int64_t i = 0; i < s.input.count(); i++) from[i] = torch_index(s.input, i);
                for (int64_t o = me; o < s.output.count(); o += threads) {
                    const int64_t mine = weight + Linear<P>::master_index(s.input, s.output, o, 0);
                    const int64_t torch = torch_index(s.output, o) * s.input.count(),
                                  width = panel_width(s.output.count());
                    for (int64_t i = 0; i < s.input.count(); i++)
                        move(value + mine + i * width, s.weight.weight + torch + from[i]);
                    for (int64_t i = 0; i < s.input.count(); i++)
                        move(mean + mine + i * width, s.weight.mean + torch + from[i]);
                    for (int64_t i = 0; i < s.input.count(); i++)
                        move(square + mine + i * width, s.weight.square + torch + from[i]);
                }
            } else if (convolves(s)) {
                const Geometry g = geometry(s);
                const int64_t* strides = s.weight_strides;
                for (int64_t o = me; o < g.small.channels; o += threads)
                    for (int64_t i = 0; i < g.big.channels; i++)
                        for (int64_t y = 0; y < g.kernel.y; y++)
                            for (int64_t x = 0; x < g.kernel.x; x++)
                                one(weight + Convolution<P>::master_index(g, o, i, y, x), s.weight,
                                    o * strides[0] + i * strides[1] + y * strides[2] + x * strides[3]);
            } else {
                for (int64_t i = me; i < weights(s); i += threads)
                    one(weight + i, s.weight, s.kind == LAYER_NORM ? torch_index(s.input, i) : i);
            }
        }
    }
};

}  // namespace chain
