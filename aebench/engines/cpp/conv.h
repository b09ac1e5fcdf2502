// Training steps of a convolution and the transposed convolution that mirrors it, 3 x 3 both.
//
// Each thread takes whole images, one at a time, through forward and backward pass: what lies
// between stays in its caches. A vector holds as many channels of one pixel, so that the weights
// of all nine taps, and the sums of their gradients, stay in registers while an image is swept.
#pragma once

#include "common.h"

// Images of [colours, height, width] to [channels, height - 2, width - 2] and back.
struct Mirror {
    int64_t colours, height, width, channels, inner, outer;  // activations of code and output
    Learned down, down_bias, up, up_bias;  // [channels, colours, 3, 3], [channels], as down, [colours]
    int64_t weight_strides[4];             // of both
};

namespace conv {

constexpr int64_t TAPS = 9;

// Horizontal sums of V vectors, in one.
template <int S>
INLINE void halve(vec (&rows)[V]) {
    exchange<S, 2 * S>(rows, std::make_integer_sequence<int, int(V)>{});
#pragma GCC unroll 8
    for (int i = 0; i < S; i++) rows[i] += rows[i + S];
}

INLINE vec sums(vec (&rows)[V]) {
    if constexpr (V > 8) halve<8>(rows);
    if constexpr (V > 4) halve<4>(rows);
    halve<2>(rows);
    halve<1>(rows);
    return rows[0];
}

// All that is learned, in vectors of channels: for each block of V channels the weights of the
// convolution, its biases and the weights back, and last the biases of the colours.
class Weights {
   public:
    explicit Weights(const Mirror& m)
        : m(m), taps(m.colours * TAPS), block((2 * taps + 1) * V), blocks(round_up(m.channels, V) / V),
          size(blocks * block + round_up(m.colours, V)), weight(size), mean(size), square(size) {
        each([&](float* mine, const float* theirs) { *mine = *theirs; });
    }

    // Back to where they came from.
    void write() const {
        each([&](const float* mine, float* theirs) { *theirs = *mine; });
    }

    const Mirror& m;
    const int64_t taps, block, blocks, size;
    const Buffer weight, mean, square;

   private:
    template <class Move>
    void each(Move move) const {
        const auto move_all = [&](int64_t offset, const Learned& from, int64_t i) {
            if (!from.weight) return;
            move(weight + offset, from.weight + i);
            move(mean + offset, from.mean + i);
            move(square + offset, from.square + i);
        };
        for (int64_t k = 0; k < m.channels; k++) {
            const int64_t start = k / V * block + k % V;
            for (int64_t t = 0; t < taps; t++) {
                const int64_t* stride = m.weight_strides;
                const int64_t at = k * stride[0] + t / TAPS * stride[1] + t % TAPS / 3 * stride[2] + t % 3 * stride[3];
                move_all(start + t * V, m.down, at);
                move_all(start + (taps + 1 + t) * V, m.up, at);
            }
            move_all(start + taps * V, m.down_bias, k);
        }
        for (int64_t c = 0; c < m.colours; c++) move_all(blocks * block + c, m.up_bias, c);
    }
};

class Share {
   public:
    Share(const Weights& weights, const Steps& steps)
        : grad(weights.size), weights(weights), steps(steps), m(weights.m), pixels(m.height * m.width),
          line(m.width + 2), x(m.colours * pixels), clean(steps.noise ? m.colours * pixels : 0),
          code(weights.blocks * (m.height + 2) * line * V), output(m.colours * round_up(pixels, V) * V),
          error(m.colours * round_up(pixels, V)), code_grad(pixels * V) {}

    // Images begin to end of a step, whose gradients are added to `grad`; their squared errors.
    double train(int64_t step, int64_t begin, int64_t end) {
        double loss = 0;
        for (int64_t i = begin; i < end; i++) {
            load_pixels(steps.image(step, i), x, m.colours * pixels);
            if (steps.noise) {
                std::memcpy(clean, x, m.colours * pixels * 4);
                const float* noise = steps.noise_of(step, i);
                for (int64_t j = 0; j < m.colours * pixels; j++) x[j] += noise[j];
            }
            for (int64_t b = 0; b < weights.blocks; b++) {
                encode(b);
                for (int64_t c = 0; c < m.colours; c++) decode(b, c);
            }
            for (int64_t c = 0; c < m.colours; c++) loss += compare(c);
            for (int64_t b = 0; b < weights.blocks; b++) {
                for (int64_t c = 0; c < m.colours; c++) decode_backward(b, c);
                for (int64_t c = 0; c < m.colours; c++) encode_backward(b, c);
            }
        }
        return loss;
    }

    const Buffer grad;  // as `Weights`

   private:
    // Address of a block's code, [height + 2, width + 2] vectors with a margin of two zeros.
    INLINE float* coded(int64_t b, int64_t row, int64_t column) const {
        return code + ((b * (m.height + 2) + row + 2) * line + column + 2) * V;
    }

    template <class From>
    INLINE static void load_taps(vec (&to)[TAPS], const From* from) {
#pragma GCC unroll 9
        for (int t = 0; t < TAPS; t++) to[t] = load(from + t * V);
    }

    INLINE static void accumulate_taps(float* to, const vec (&from)[TAPS]) {
#pragma GCC unroll 9
        for (int t = 0; t < TAPS; t++) store(to + t * V, load(to + t * V) + from[t]);
    }

    void encode(int64_t b) {
        const float* w = weights.weight + b * weights.block;
        for (int64_t c = 0; c < m.colours; c++) {
            vec down[TAPS];
            load_taps(down, w + c * TAPS * V);
            const vec bias = load(w + weights.taps * V);
            for (int64_t r = 0; r < m.height - 2; r++) {
                const float* seen = x + c * pixels + r * m.width;
                float* to = coded(b, r, 0);
                for (int64_t j = 0; j < m.width - 2; j++) {
                    vec z = c ? load(to + j * V) : bias;
#pragma GCC unroll 9
                    for (int t = 0; t < TAPS; t++) z += seen[t / 3 * m.width + j + t % 3] * down[t];
                    store(to + j * V, c + 1 == m.colours ? activate(z, m.inner) : z);
                }
            }
        }
    }

    void decode(int64_t b, int64_t c) {
        vec up[TAPS];
        load_taps(up, weights.weight + b * weights.block + (weights.taps + 1 + c * TAPS) * V);
        float* to = output + c * round_up(pixels, V) * V;
        for (int64_t r = 0; r < m.height; r++) {
            const float* from = coded(b, r, 0);
            for (int64_t j = 0; j < m.width; j++, to += V) {
                vec z = b ? load(to) : vec{};
#pragma GCC unroll 9
                for (int t = 0; t < TAPS; t++) z += load(from + (j - t % 3 - t / 3 * line) * V) * up[t];
                store(to, z);
            }
        }
    }

    double compare(int64_t c) {
        const float bias = weights.weight[weights.blocks * weights.block + c];
        const float scale = 2.0f / float(steps.batch * m.colours * pixels);
        const float* target = (steps.noise ? clean : x) + c * pixels;
        vec squares = {}, grads = {};
        for (int64_t q = 0; q < pixels; q += V) {
            vec rows[V];
#pragma GCC unroll 16
            for (int i = 0; i < V; i++) rows[i] = load(output + (c * round_up(pixels, V) + q + i) * V);
            const vec y = activate(sums(rows) + bias, m.outer);
            const int64_t left = pixels - q;
            vec e = left >= V ? y - load(target + q) : mask(y - load(target + q, left), left);
            squares += e * e;
            e *= scale * slope(y, m.outer);
            grads += e;
            store(error + c * round_up(pixels, V) + q, e);
        }
        if (m.up_bias.weight) grad[weights.blocks * weights.block + c] += sum(grads);
        return sum(squares);
    }

    void decode_backward(int64_t b, int64_t c) {
        const int64_t offset = b * weights.block + (weights.taps + 1 + c * TAPS) * V;
        const bool last = c + 1 == m.colours;
        vec up[TAPS], grads[TAPS] = {}, bias = {};
        load_taps(up, weights.weight + offset);
        float* to = code_grad;
        for (int64_t r = 0; r < m.height - 2; r++) {
            const float* seen = error + c * round_up(pixels, V) + r * m.width;
            const float* from = coded(b, r, 0);
            for (int64_t j = 0; j < m.width - 2; j++, to += V) {
                const vec a = load(from + j * V);
                vec z = c ? load(to) : vec{};
#pragma GCC unroll 9
                for (int t = 0; t < TAPS; t++) {
                    const float e = seen[t / 3 * m.width + j + t % 3];
                    z += e * up[t];
                    grads[t] += e * a;
                }
                if (last) {
                    z *= slope(a, m.inner);
                    bias += z;
                }
                store(to, z);
            }
        }
        accumulate_taps(grad + offset, grads);
        if (last && m.down_bias.weight) {
            float* to_bias = grad + b * weights.block + weights.taps * V;
            store(to_bias, load(to_bias) + bias);
        }
    }

    void encode_backward(int64_t b, int64_t c) {
        vec grads[TAPS] = {};
        const float* from = code_grad;
        for (int64_t r = 0; r < m.height - 2; r++) {
            const float* seen = x + c * pixels + r * m.width;
            for (int64_t j = 0; j < m.width - 2; j++, from += V) {
                const vec z = load(from);
#pragma GCC unroll 9
                for (int t = 0; t < TAPS; t++) grads[t] += seen[t / 3 * m.width + j + t % 3] * z;
            }
        }
        accumulate_taps(grad + b * weights.block + c * TAPS * V, grads);
    }

    const Weights& weights;
    const Steps& steps;
    const Mirror& m;
    const int64_t pixels, line;
    const Buffer x, clean;  // [colours, pixels]; the same without noise
    const Buffer code;      // see `coded`
    const Buffer output;    // before activation, its terms channel by channel, [colours, pixels] vectors
    const Buffer error;     // the loss's gradient by that, [colours, pixels]
    const Buffer code_grad;  // and by a block's code, vectors
};

inline void train(Steps& steps, const Mirror& mirror) {
    const Weights weights(mirror);
    Team team(steps.threads);
    std::vector<std::unique_ptr<Share>> shares(team.size);
    std::vector<double> losses(team.size);
    team.run([&](int64_t me) {
        shares[me] = std::make_unique<Share>(weights, steps);
        double loss = 0;
        const int64_t begin = team.begin(me, weights.size, V), end = team.begin(me + 1, weights.size, V);
        for (int64_t at = 0; at < steps.count; at++) {
            loss += shares[me]->train(at, team.begin(me, steps.batch, 1), team.begin(me + 1, steps.batch, 1));
            team.barrier();
            const Adam adam(steps.rates[at], steps.beta1, steps.beta2, steps.eps, steps.taken + at + 1);
            for (int64_t i = begin; i < end; i += V) {
                vec grad = {};
                for (const auto& share : shares) {
                    grad += load(share->grad + i);
                    store(share->grad + i, vec{});
                }
                adam(weights.weight + i, weights.mean + i, weights.square + i, grad);
            }
            team.barrier();
        }
        losses[me] = loss;
    });
    weights.write();
    for (const double loss : losses) steps.loss += loss / double(steps.batch * steps.planes * steps.plane);
    steps.taken += steps.count;
}

}  // namespace conv
