// Training steps of multilayer perceptrons.
//
// Every thread keeps to the same outputs of each layer: it alone reads and updates their rows of
// the weights, which so stay in its caches. Two things are exchanged in a step: what hidden layers
// give, and the threads' parts of the gradient of that. Activations lie transposed, [features,
// rows], a row being an image or one of its planes: so products read torch's own weights as they
// lie, and vectors run along the batch. The weights' gradients are never stored: Adam takes them
// out of the registers in which they were added up. Products are a GEMM of the usual kind: what is
// read over and over is packed in panels, and a micro-kernel keeps a tile of the result in registers.
#pragma once

#include "panels.h"
#include "sparse.h"

// One MLP and the planes of an image that it is given: each on its own, as rows.
struct Net {
    int64_t first_plane, planes, depth;
    int64_t sparse;  // whether the first layer, which must not be the last, leaves out pixels that are 0
    const Layer* layers;
};

namespace mlp {

// The micro-kernel: acc += A B, for R rows of A and C vectors of columns of B: A(r, i) at a[r * row + i * column].
template <int R, int C>
INLINE void micro_kernel(vec (&acc)[R][C], const float* a, int64_t row, int64_t column, const float* b, int64_t k) {
    for (int64_t i = 0; i < k; i++) {
        vec row_of_b[C];
#pragma GCC unroll 8
        for (int c = 0; c < C; c++) row_of_b[c] = load(b + (i * C + c) * V);
#pragma GCC unroll 16
        for (int r = 0; r < R; r++) {
            const float s = a[r * row + i * column];  // broadcast
#pragma GCC unroll 8
            for (int c = 0; c < C; c++) acc[r][c] += s * row_of_b[c];
        }
    }
}

// The left side of a product may be a matrix as it lies,
struct RowMajor {
    const float* a;
    int64_t stride;

    template <int R>
    INLINE void pack(int64_t, int64_t) const {}
    template <int R, int C>
    INLINE void multiply(vec (&acc)[R][C], int64_t i, const float* b, int64_t k) const {
        micro_kernel(acc, a + i * stride, stride, 1, b, k);
    }
};

// a transposed matrix, R rows of it packed where they are used,
struct Transposed {
    const float* a;
    int64_t stride;
    float* packed;  // [k, R]

    template <int R>
    INLINE void pack(int64_t i, int64_t k) const {
        for (int64_t j = 0; j < k; j++) std::memcpy(packed + j * R, a + i + j * stride, R * 4);
    }
    template <int R, int C>
    INLINE void multiply(vec (&acc)[R][C], int64_t, const float* b, int64_t k) const {
        micro_kernel(acc, packed, 1, R, b, k);
    }
};

// or one packed in panels.
struct Packed {
    const Panels<WIDE>& a;

    template <int R>
    INLINE void pack(int64_t, int64_t) const {}
    template <int R, int C>
    INLINE void multiply(vec (&acc)[R][C], int64_t i, const float* b, int64_t k) const {
        constexpr int64_t part = WIDE * V;
        for (int64_t j = 0; j < k; j += part) micro_kernel(acc, a.at(i, j), part, 1, b + j * C * V, part);
    }
};

template <int R, int C, class Left, class Epilogue>
INLINE void row_of_tiles(const Left& left, int64_t i, const Panels<C>& right, int64_t from, int64_t k,
                         const Epilogue& epilogue) {
    left.template pack<R>(i, k);
    for (int64_t n = 0; n < right.columns; n += C * V) {
        epilogue.template prefetch<R, C>(i, n);
        vec acc[R][C] = {};
        left.multiply(acc, i, right.at(from, n), k);
        epilogue(acc, i, n);
    }
}

// A GEMM: A B, tile by tile, each given to `epilogue(acc, row, column)`: rows begin to end of A, and `k` rows of
// B from the one given.
template <int R, int C, class Left, class Epilogue>
__attribute__((noinline)) void gemm(const Left& left, int64_t begin, int64_t end, const Panels<C>& right,
                                    int64_t from, int64_t k, const Epilogue& epilogue) {
    int64_t i = begin;
    for (; i + R <= end; i += R) row_of_tiles<R, C>(left, i, right, from, k, epilogue);
    for (; i + 4 <= end; i += 4) row_of_tiles<4, C>(left, i, right, from, k, epilogue);
    for (; i < end; i++) row_of_tiles<1, C>(left, i, right, from, k, epilogue);
}

// The epilogues of the GEMMs. This stores the tile after the layer's bias and activation.
struct Hidden {
    const Layer& layer;
    const Panels<WIDE>& output;

    template <int R, int C>
    INLINE void prefetch(int64_t, int64_t) const {}
    template <int R, int C>
    INLINE void operator()(vec (&acc)[R][C], int64_t i, int64_t n) const {
        for (int r = 0; r < R; r++) {
            const float bias = layer.bias ? layer.bias[i + r] : 0;
            for (int c = 0; c < C; c++)
                store(output.at(i + r, n) + c * V, activate(acc[r][c] + bias, layer.activation));
        }
    }
};

// The last layer: the loss, and its gradient by what the layer gives before its activation.
struct Output {
    const Layer& layer;
    const Panels<WIDE>&target, &grad;
    float* bias_grad;
    int64_t used;  // columns
    float scale;
    double& loss;

    template <int R, int C>
    INLINE void prefetch(int64_t, int64_t) const {}
    template <int R, int C>
    INLINE void operator()(vec (&acc)[R][C], int64_t i, int64_t n) const {
        vec squares = {};
        for (int r = 0; r < R; r++) {
            const float bias = layer.bias ? layer.bias[i + r] : 0;
            vec grads = {};
            for (int c = 0; c < C; c++) {
                const vec y = activate(acc[r][c] + bias, layer.activation);
                vec error = y - load(target.at(i + r, n) + c * V);
                if (n + (c + 1) * V > used) error = mask(error, used - n - c * V);
                squares += error * error;
                const vec g = error * scale * slope(y, layer.activation);
                store(grad.at(i + r, n) + c * V, g);
                grads += g;
            }
            bias_grad[i + r] = (n ? bias_grad[i + r] : 0) + sum(grads);
        }
        loss += sum(squares);
    }
};

struct Store {
    const Panels<WIDE>& to;

    template <int R, int C>
    INLINE void prefetch(int64_t, int64_t) const {}
    template <int R, int C>
    INLINE void operator()(vec (&acc)[R][C], int64_t i, int64_t n) const {
        for (int r = 0; r < R; r++)
            for (int c = 0; c < C; c++) store(to.at(i + r, n) + c * V, acc[r][c]);
    }
};

struct Update {
    const Layer& layer;
    const Adam& adam;

    template <int R, int C>
    INLINE void prefetch(int64_t i, int64_t n) const {
        for (int r = 0; r < R; r++) {
            const int64_t at = (i + r) * layer.inputs + n;
            for (int64_t j = 0; j < C * V; j += 16) {
                __builtin_prefetch(layer.weight + at + j, 1);
                __builtin_prefetch(layer.weight_mean + at + j, 1);
                __builtin_prefetch(layer.weight_square + at + j, 1);
            }
        }
    }
    template <int R, int C>
    INLINE void operator()(vec (&acc)[R][C], int64_t i, int64_t n) const {
        for (int r = 0; r < R; r++) {
            for (int c = 0; c < C; c++) {
                const int64_t at = (i + r) * layer.inputs + n + c * V, left = layer.inputs - n - c * V;
                float *weight = layer.weight + at, *mean = layer.weight_mean + at, *square = layer.weight_square + at;
                if (left >= V) adam(weight, mean, square, acc[r][c]);
                else if (left > 0) adam.part(weight, mean, square, acc[r][c], left);
            }
        }
    }
};

// What the threads share of a net, layer by layer.
struct Shared {
    struct Activations {
        std::vector<Panels<WIDE>> parts;  // of the gradient by the layer's inputs, one a thread
        Panels<WIDE> output, grad;        // [outputs, rows]
        Buffer bias_grad;                 // [outputs]
        Activations(const Layer& layer, int64_t rows, bool first, bool last, int64_t threads)
            : output(last ? 0 : layer.outputs, rows), grad(layer.outputs, rows), bias_grad(layer.outputs) {
            for (int64_t i = 0; i < threads && !first; i++) parts.emplace_back(layer.inputs, rows);
        }
    };

    const Net& net;
    const int64_t rows;  // in a batch
    std::vector<Activations> activations;

    Shared(const Net& net, const Steps& steps) : net(net), rows(steps.batch * net.planes) {
        for (int64_t l = 0; l < net.depth; l++)
            activations.emplace_back(net.layers[l], rows, l == 0, l + 1 == net.depth, steps.threads);
    }
};

// One thread's work on a net.
class Share {
   public:
    Share(const Shared& shared, const Steps& steps, Team& team, int64_t me)
        : shared(shared), steps(steps), team(team), me(me), net(shared.net), input(steps.plane, shared.rows),
          clean(steps.noise ? steps.plane : 0, shared.rows), images(shared.rows), packed(longest(net) * TALL) {
        inputs.emplace_back(net.sparse ? 0 : input.columns, steps.plane);
        if (net.sparse) sparse = mlp::sparse(net.layers[0], shared.rows, begin(0), end(0));
        for (int64_t l = 0; l + 1 < net.depth; l++) inputs.emplace_back(input.columns, net.layers[l].outputs);
    }

    // One training step; gives the sum of the squared errors of this thread's outputs.
    double step(int64_t at) {
        read(at);
        const double loss = forward();
        backward();
        update(at);
        return loss;
    }

    // After the last step: torch has its weights again.
    void save() {
        if (sparse) sparse->save();
    }

   private:
    // The batch, as it lies and transposed. Everybody needs all of it, and makes it quicker than
    // it would come from another core.
    void read(int64_t at) {
        const int64_t count = steps.plane;
        for (int64_t row = 0; row < shared.rows; row++)
            images[row] = steps.image(at, row / net.planes) + (net.first_plane + row % net.planes) * count;
        if (sparse) {
            find_nonzeros();
            return;
        }
        const Panels<UPDATE_WIDE>& rows = inputs[0];
        const int64_t part = rows.COLUMNS;
        for (int64_t row = 0; row < shared.rows; row++)
            for (int64_t i = 0; i < count; i += part)
                load_pixels(images[row] + i, rows.at(row, i), std::min(part, count - i));
        if (steps.noise) {
            transpose(rows, clean, count);
            for (int64_t row = 0; row < shared.rows; row++) {
                const int64_t plane = net.first_plane + row % net.planes;
                const float* noise = steps.noise_of(at, row / net.planes) + plane * count;
                for (int64_t i = 0; i < count; i++) *rows.at(row, i) += noise[i];
            }
        }
        transpose(rows, input, count);
    }

    // The same for a first layer that leaves out pixels: lists of the others, and the batch transposed.
    void find_nonzeros() {
        const int64_t count = steps.plane;
        const auto row = [&](int64_t i, int64_t j) { return load_pixels(images[i] + j, count - j); };
        transpose(shared.rows, count, row, [&](int64_t j, int64_t i, vec x) { store(input.at(j, i), x); });
        sparse->by_image.find(row);
        sparse->by_pixel.find([&](int64_t i, int64_t j) { return load(input.at(i, j)); });
    }

    double forward() {
        const Panels<WIDE>* x = &input;
        const int64_t last = net.depth - 1;
        for (int64_t l = 0; l < last; l++) {
            const Layer& layer = net.layers[l];
            const Panels<WIDE>& output = shared.activations[l].output;
            if (l == 0 && sparse) sparse->forward(output);
            else gemm<TALL>(RowMajor{layer.weight, layer.inputs}, begin(l), end(l), *x, 0, layer.inputs,
                                Hidden{layer, output});
            team.barrier();
            transpose(output, inputs[l + 1], output.columns);
            x = &output;
        }
        const Layer& layer = net.layers[last];
        const Shared::Activations& trace = shared.activations[last];
        double loss = 0;
        const float scale = 2.0f / float(steps.batch * steps.planes * steps.plane);
        gemm<TALL>(RowMajor{layer.weight, layer.inputs}, begin(last), end(last), *x, 0, layer.inputs,
                       Output{layer, steps.noise ? clean : input, trace.grad, trace.bias_grad, shared.rows, scale, loss});
        return loss;
    }

    // From the gradient by the last layer's outputs to those by all others'.
    void backward() {
        for (int64_t l = net.depth - 1; l > 0; l--) {
            const Layer &layer = net.layers[l], &before = net.layers[l - 1];
            const Shared::Activations &trace = shared.activations[l], &to = shared.activations[l - 1];
            gemm<TALL>(Transposed{layer.weight + begin(l) * layer.inputs, layer.inputs, packed}, 0, layer.inputs,
                           trace.grad, begin(l), end(l) - begin(l), Store{trace.parts[me]});
            team.barrier();
            for (int64_t i = begin(l - 1); i < end(l - 1); i++) {
                vec total = {};
                for (int64_t j = 0; j < input.columns; j += V) {
                    vec grad = load(trace.parts[0].at(i, j));
                    for (int64_t t = 1; t < team.size; t++) grad += load(trace.parts[t].at(i, j));
                    grad *= slope(load(to.output.at(i, j)), before.activation);
                    store(to.grad.at(i, j), grad);
                    total += grad;
                }
                to.bias_grad[i] = sum(total);
            }
        }
    }

    void update(int64_t at) {
        const Adam adam(steps.rates[at], steps.beta1, steps.beta2, steps.eps, steps.taken + at + 1);
        for (int64_t l = net.depth - 1; l >= 0; l--) {
            const Layer& layer = net.layers[l];
            const Shared::Activations& trace = shared.activations[l];
            const int64_t mine = begin(l);
            if (l == 0 && sparse) sparse->update(trace.grad, adam);
            else gemm<UPDATE_TALL>(Packed{trace.grad}, mine, end(l), inputs[l], 0, input.columns, Update{layer, adam});
            if (layer.bias)
                adam.update(layer.bias + mine, layer.bias_mean + mine, layer.bias_square + mine,
                            trace.bias_grad + mine, end(l) - mine);
        }
    }

    // This thread's outputs of a layer.
    int64_t begin(int64_t layer) const { return team.begin(me, net.layers[layer].outputs, 4); }
    int64_t end(int64_t layer) const { return team.begin(me + 1, net.layers[layer].outputs, 4); }

    static int64_t longest(const Net& net) {
        int64_t most = 0;
        for (int64_t l = 0; l < net.depth; l++) most = std::max(most, net.layers[l].outputs);
        return most;
    }

    const Shared& shared;
    const Steps& steps;
    Team& team;
    const int64_t me;
    const Net& net;
    Panels<WIDE> input, clean;                // [plane, rows]; the same without noise
    std::vector<Panels<UPDATE_WIDE>> inputs;  // of each layer, [rows, inputs]
    std::vector<const uint8_t*> images;       // of the batch, row by row
    Buffer packed;  // of a `Transposed`
    std::unique_ptr<Sparse> sparse;  // the first layer, if only pixels that are not 0 are multiplied
};

inline void train(Steps& steps, const Net* nets, int64_t count) {
    Team team(steps.threads);
    std::vector<std::unique_ptr<Shared>> shared;
    for (int64_t n = 0; n < count; n++) shared.push_back(std::make_unique<Shared>(nets[n], steps));
    std::vector<double> losses(team.size);
    team.run([&](int64_t me) {
        std::vector<std::unique_ptr<Share>> shares;
        for (const auto& net : shared) shares.push_back(std::make_unique<Share>(*net, steps, team, me));
        double loss = 0;
        for (int64_t at = 0; at < steps.count; at++)
            for (const auto& share : shares) loss += share->step(at);
        for (const auto& share : shares) share->save();
        losses[me] = loss;
    });
    for (const double loss : losses) steps.loss += loss / double(steps.batch * steps.planes * steps.plane);
    steps.taken += steps.count;
}

}  // namespace mlp
