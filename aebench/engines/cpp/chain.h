// Training steps of whatever is a chain of layers: convolutions, linear layers, norms, activations.
//
// Each thread takes its share of a batch, some images at a time, through forward and backward pass, so that what lies
// between stays in its caches, and adds up gradients of its own. When all have, each takes a share of all weights:
// adds up the threads' gradients, lets Adam learn from them, and packs the weights anew for the next step. Where a
// norm looks at a batch as a whole, a thread takes all of its images at once, and the threads wait for each other.
#pragma once

#include "norms.h"
#include "weights.h"

namespace chain {

enum Kind : int64_t { LINEAR, CONV, CONV_TRANSPOSE, LAYER_NORM, BATCH_NORM, JUST_ACTIVATION };
enum Precision : int64_t { FP32, BF16, BF16X3 };

// One layer and the activation behind it. Mirrored field by field in `native.py`.
struct Stage {
    int64_t kind, activation;
    double leak, eps, momentum;
    Shape input, output;
    Pair kernel, stride, padding;
    Learned weight, bias;
    float *running_mean, *running_variance;  // null: none
    int64_t weight_strides[4];  // of a convolution's, [small, big, kernel, kernel]
};

struct Chain {
    int64_t first_plane, planes;  // those of an image that are images of their own here: all, one, or 1 of all channels
    Shape image;
    int64_t precision, count;
    const Stage* stages;
};

INLINE bool has_kernel(const Stage& s) { return s.kind <= CONV_TRANSPOSE; }

inline Geometry geometry(const Stage& s) {
    if (s.kind == LINEAR) return {{s.input.count(), 1, 1}, {s.output.count(), 1, 1}, {1, 1}, {1, 1}, {0, 0}};
    if (s.kind == CONV) return {s.input, s.output, s.kernel, s.stride, s.padding};
    return {s.output, s.input, s.kernel, s.stride, s.padding};
}

// Where in torch's images, [channels, height, width], number `i` of ours, [height, width, channels], lies.
INLINE int64_t torch_index(Shape s, int64_t i) { return i % s.channels * s.height * s.width + i / s.channels; }

// What all threads share: the weights, laid out as the products want them, one array for Adam.
template <class P>
class Model {
   public:
    struct Place {
        int64_t weight, bias, fast;  // where a stage's numbers begin
    };

    Model(const Chain& chain, int64_t threads) : chain(chain), places(layout(chain)), value(size), mean(size), square(size) {
        move([](float* mine, float* torch) { *mine = *torch; });
        for (int64_t l = 0; l < chain.count; l++) {
            const Stage& s = chain.stages[l];
            layers.emplace_back(!has_kernel(s) ? nullptr
                                               : std::make_unique<Weights<P>>(geometry(s), s.kind == LINEAR, s.kind == CONV_TRANSPOSE ? s.output : s.input,
                                                                              s.kind == CONV_TRANSPOSE ? s.input : s.output,
                                                                              l > 0 || s.kind == CONV_TRANSPOSE, value + places[l].weight));
            sums.emplace_back(s.kind == BATCH_NORM ? std::make_unique<Sums>(threads, s.input.channels, 4) : nullptr);
        }
    }

    // Back to torch.
    void write() const {
        move([](float* mine, float* torch) { *torch = *mine; });
    }

    void pack(int64_t me, Team& team) {
        for (auto& layer : layers)
            if (layer) layer->pack(me, team.size);
        team.barrier();
        for (auto& layer : layers)
            if (layer) layer->pack_fast(me, team.size);
        team.barrier();
    }

    const Chain& chain;
    int64_t size = 0;
    const std::vector<Place> places;
    const Buffer value, mean, square;
    std::vector<std::unique_ptr<Weights<P>>> layers;
    std::vector<std::unique_ptr<Sums>> sums;  // of each batch norm

   private:
    std::vector<Place> layout(const Chain& chain) {
        std::vector<Place> to;
        for (int64_t l = 0; l < chain.count; l++) {
            const Stage& s = chain.stages[l];
            const int64_t weights = has_kernel(s) ? Weights<P>::master_size(geometry(s)) : learned(s);
            const int64_t biases = has_kernel(s) ? (s.kind == LINEAR ? s.output.count() : s.output.channels) : learned(s);
            to.push_back({size, size + round_up(weights, V), 0});
            size += round_up(weights, V) + round_up(biases, V) + V;
        }
        return to;
    }

    static int64_t learned(const Stage& s) { return s.kind == LAYER_NORM ? s.input.count() : s.kind == BATCH_NORM ? s.input.channels : 0; }

    template <class Move>
    void move(const Move& move) const {
        const auto one = [&](int64_t mine, const Learned& torch, int64_t at) {
            if (!torch.weight) return;
            move(value + mine, torch.weight + at);
            move(mean + mine, torch.mean + at);
            move(square + mine, torch.square + at);
        };
        for (int64_t l = 0; l < chain.count; l++) {
            const Stage& s = chain.stages[l];
            if (!has_kernel(s)) {
                for (int64_t i = 0; i < learned(s); i++) {
                    const int64_t at = s.kind == LAYER_NORM ? torch_index(s.input, i) : i;
                    one(places[l].weight + i, s.weight, at);
                    one(places[l].bias + i, s.bias, at);
                }
                continue;
            }
            const Geometry g = geometry(s);
            for (int64_t o = 0; o < g.small.channels; o++)
                for (int64_t i = 0; i < g.big.channels; i++)
                    for (int64_t y = 0; y < g.kernel.y; y++)
                        for (int64_t x = 0; x < g.kernel.x; x++) {
                            const int64_t out = s.kind == LINEAR ? torch_index(s.output, o) : o, in = s.kind == LINEAR ? torch_index(s.input, i) : i;
                            const int64_t* strides = s.weight_strides;
                            one(places[l].weight + Weights<P>::master_index(g, o, i, y, x), s.weight,
                                s.kind == LINEAR ? out * g.big.channels + in
                                                 : out * strides[0] + in * strides[1] + y * strides[2] + x * strides[3]);
                        }
            for (int64_t o = 0; o < (s.kind == LINEAR ? s.output.count() : s.output.channels); o++)
                one(places[l].bias + o, s.bias, s.kind == LINEAR ? torch_index(s.output, o) : o);
        }
    }
};

// One thread's share of the work.
template <class P>
class Share {
   public:
    Share(Model<P>& model, const Steps& steps, Team& team, int64_t me)
        : grads(model.size), model(model), chain(model.chain), steps(steps), team(team), me(me),
          begin(team.begin(me, steps.batch * chain.planes, 1)), end(team.begin(me + 1, steps.batch * chain.planes, 1)),
          at_once(images_at_once()), last(chain.count - 1), input(at_once, chain.image, border_of_input(0)),
          target(at_once * chain.image.count()) {
        int64_t tile_channels = 0, tile_columns = 0, sums = 0;
        for (int64_t l = 0; l < chain.count; l++) {
            const Stage& s = chain.stages[l];
            outputs.push_back(std::make_unique<Output<P>>(l == last ? 0 : at_once, s.output, l == last ? Border{} : border_of_input(l + 1),
                                                          Activation{s.activation, float(s.leak)}));
            gradients.push_back(std::make_unique<Tensor<P>>(at_once, s.output, border_of_gradient(l)));
            const Weights<P>* layer = model.layers[l].get();
            fast.emplace_back(layer ? layer->fast_grads() : 0);
            spread.emplace_back(by_patches(l) ? s.output.width * s.output.channels + V : 0);
            means.emplace_back();
            scales.emplace_back();
            if (layer && layer->patches()) sums = std::max(sums, layer->g.big.count() + V);
            if (layer && layer->is_fast()) {
                const int64_t most = std::max(layer->g.big.channels, layer->g.small.channels);
                tile_channels = std::max(tile_channels, most), tile_columns = std::max(tile_columns, most);
            }
        }
        if (tile_channels) scratch.tiles.emplace(tile_channels, tile_columns);
        scratch.sums = Buffer(sums);
        if constexpr (!std::is_same_v<P, Float32>) {
            std::vector<const Weights<P>*> layers;
            for (const auto& layer : model.layers)
                if (layer) layers.push_back(layer.get());
            reserve(scratch, layers, at_once);
        }
    }

    // Forward and backward pass of this thread's images; gives the sum of their squared errors.
    double train(int64_t step) {
        double loss = 0;
        spread_biases();
        for (int64_t n = begin; n < end || n == begin; n += at_once) {
            const int64_t images = std::min(at_once, end - n);
            if (images <= 0 && !batch_norms()) break;
            read(step, n, images);
            for (int64_t l = 0; l < chain.count; l++) forward(l, images, loss);
            for (int64_t l = last; l >= 0; l--) backward(l, images);
        }
        for (int64_t l = 0; l < chain.count; l++)
            if (model.layers[l]) model.layers[l]->finish(fast[l], grads + model.places[l].weight);
        return loss;
    }

    const Buffer grads;  // as the model's weights

   private:
    bool batch_norms() const {
        for (int64_t l = 0; l < chain.count; l++)
            if (chain.stages[l].kind == BATCH_NORM) return true;
        return false;
    }

    // Whether a layer gives whole lines at a time, for which its biases are spread over one.
    bool by_patches(int64_t l) const { return chain.stages[l].kind == CONV_TRANSPOSE && model.layers[l]->patches(); }

    // So many images that what layers give, and the gradients by it, lie in the caches.
    int64_t images_at_once() const {
        int64_t numbers = chain.image.count();
        for (int64_t l = 0; l < chain.count; l++) numbers += 2 * chain.stages[l].output.count();
        const int64_t bytes = numbers * P::PARTS * int64_t(sizeof(typename P::Element)), mine = std::max<int64_t>(1, end - begin);
        return batch_norms() ? mine : std::min(mine, std::max<int64_t>(1, CACHED / bytes));
    }

    Border border_of_input(int64_t l) const {
        const Weights<P>* layer = model.layers[l].get();
        return !layer ? Border{} : chain.stages[l].kind == CONV_TRANSPOSE ? layer->small_border() : layer->big_border();
    }
    Border border_of_gradient(int64_t l) const {
        const Weights<P>* layer = model.layers[l].get();
        return !layer ? Border{} : chain.stages[l].kind == CONV_TRANSPOSE ? layer->big_border() : layer->small_border();
    }

    // Images of a batch, from the `first` on: input and target.
    void read(int64_t step, int64_t first, int64_t images) {
        const Shape& s = chain.image;
        const int64_t plane = s.height * s.width;
        std::vector<float>& pixels = read_;
        pixels.resize(s.count() + V);
        for (int64_t i = 0; i < images; i++) {
            const int64_t row = first + i, n = row / chain.planes, offset = (chain.first_plane + row % chain.planes) * s.count();
            load_pixels(steps.image(step, n) + offset, pixels.data(), s.count());
            const float* noise = steps.noise_of(step, n);
            for (int64_t y = 0; y < s.height; y++)
                for (int64_t x = 0; x < s.width; x++)
                    for (int64_t c = 0; c < s.channels; c++) target[((i * s.height + y) * s.width + x) * s.channels + c] = pixels[c * plane + y * s.width + x];
            for (int64_t j = 0; noise && j < s.count(); j++) pixels[j] += noise[offset + j];
            for (int64_t y = 0; y < s.height; y++)
                for (int64_t f = 0; f < s.width * s.channels; f += V) {
                    vec v = {};
                    for (int64_t k = 0; k < std::min(V, s.width * s.channels - f); k++)
                        v[k] = pixels[(f + k) % s.channels * plane + y * s.width + (f + k) / s.channels];
                    input.store(input.at(i, y, 0) + f, v, s.width * s.channels - f);
                }
        }
    }

    const Tensor<P>& before(int64_t l) const { return l ? outputs[l - 1]->values : input; }

    void spread_biases() {
        for (int64_t l = 0; l < chain.count; l++) {
            if (!by_patches(l)) continue;
            const Shape& s = chain.stages[l].output;
            for (int64_t i = 0; i < s.width * s.channels; i++) spread[l][i] = model.value[model.places[l].bias + i % s.channels];
        }
    }

    void forward(int64_t l, int64_t images, double& loss) {
        const Stage& s = chain.stages[l];
        const float* bias = !has_kernel(s) || !s.bias.weight ? nullptr : by_patches(l) ? spread[l] : model.value + model.places[l].bias;
        const int64_t bias_pixel = s.kind == LINEAR ? s.output.channels : 0;
        if (l < last) {
            Forward<P> sink{*outputs[l], bias, bias_pixel};
            compute(l, images, sink);
        } else {
            const float scale = 2.0f / float(steps.batch * chain.planes * chain.image.count());
            Compare<P> sink{outputs[l]->activation, bias, bias_pixel, target, *gradients[l], scale, loss};
            compute(l, images, sink);
        }
    }

    template <class Sink>
    void compute(int64_t l, int64_t images, Sink& sink) {
        const Stage& s = chain.stages[l];
        const Tensor<P>& x = before(l);
        if (s.kind == CONV_TRANSPOSE) model.layers[l]->scatter(x, images, scratch, sink);
        else if (has_kernel(s)) model.layers[l]->gather(x, images, scratch, sink);
        else if (s.kind == JUST_ACTIVATION) pass(x, images, sink);
        else {
            const Norm norm = norm_of(l);
            norm.statistics(x, images, means[l], scales[l]);
            norm.forward(x, images, s.weight.weight ? model.value + model.places[l].weight : nullptr, model.value + model.places[l].bias,
                         means[l], scales[l], sink);
            if (s.running_mean && me == 0) remember(s, norm.variances, means[l]);
        }
    }

    void backward(int64_t l, int64_t images) {
        const Stage& s = chain.stages[l];
        const Tensor<P>&grad = *gradients[l], &x = before(l);
        float *to = grads + model.places[l].weight, *to_bias = grads + model.places[l].bias;
        std::optional<Backward<P>> sink;
        if (l) sink.emplace(Backward<P>{*outputs[l - 1], *gradients[l - 1]});
        if (has_kernel(s)) {
            const bool up = s.kind == CONV_TRANSPOSE;
            if (s.bias.weight && s.kind == LINEAR) sum_features(grad, images, to_bias);
            else if (s.bias.weight) sum_channels(grad, images, to_bias);
            model.layers[l]->weigh(up ? grad : x, up ? x : grad, images, scratch, to, fast[l]);
            if (l && up) model.layers[l]->gather(grad, images, scratch, *sink);
            else if (l) model.layers[l]->scatter(grad, images, scratch, *sink);
        } else if (s.kind == JUST_ACTIVATION) {
            if (l) pass(grad, images, *sink);
        } else {
            const bool learned = s.weight.weight;
            norm_of(l).backward(x, grad, images, learned ? model.value + model.places[l].weight : nullptr, means[l], scales[l],
                                learned ? to : nullptr, s.bias.weight ? to_bias : nullptr, sink ? &*sink : nullptr);
        }
    }

    Norm norm_of(int64_t l) {
        const Stage& s = chain.stages[l];
        return {s.kind == LAYER_NORM, float(s.eps), steps.batch * chain.planes, model.sums[l].get(), &team, me, {}};
    }

    // What a batch norm keeps for use, as torch does: the variance of a sample.
    void remember(const Stage& s, const std::vector<double>& variances, const std::vector<float>& now) const {
        const double count = double(steps.batch * chain.planes * s.input.height * s.input.width), m = s.momentum;
        for (size_t c = 0; c < now.size(); c++) {
            s.running_mean[c] = float((1 - m) * s.running_mean[c] + m * now[c]);
            s.running_variance[c] = float((1 - m) * s.running_variance[c] + m * variances[c] * count / (count - 1));
        }
    }

    template <class Sink>
    static void pass(const Tensor<P>& from, int64_t images, Sink& sink) {
        const Shape& s = from.shape;
        for (int64_t n = 0; n < images; n++) {
            for (int64_t y = 0; y < s.height; y++)
                for (int64_t x = 0; x < s.width; x++)
                    for (int64_t c = 0; c < s.channels; c += V)
                        sink(n, y, x, c, s.channels - c, from.load(from.at(n, y, x) + c, s.channels - c));
            sink.finish();
        }
    }

    // The gradient by the biases of a linear layer, which has one for every number.
    static void sum_features(const Tensor<P>& grad, int64_t images, float* to) {
        const int64_t count = grad.shape.count();
        for (int64_t f = 0; f < count; f += V) {
            vec total = {};
            for (int64_t n = 0; n < images; n++) total += grad.load(grad.at(n, 0, 0) + f, count - f);
            store(to + f, load(to + f) + total);
        }
    }

    static constexpr int64_t CACHED = 2 << 20;  // bytes of images at once

    Model<P>& model;
    const Chain& chain;
    const Steps& steps;
    Team& team;
    const int64_t me, begin, end, at_once, last;
    Tensor<P> input;
    const Buffer target;
    std::vector<float> read_;
    std::vector<std::unique_ptr<Output<P>>> outputs;
    std::vector<std::unique_ptr<Tensor<P>>> gradients;  // by what layers give before their activations
    std::vector<Buffer> fast, spread;
    std::vector<std::vector<float>> means, scales;
    Scratch<P> scratch;
};

template <class P>
void train(Steps& steps, const Chain* chains, int64_t count) {
    Team team(steps.threads);
    std::vector<std::unique_ptr<Model<P>>> models;
    for (int64_t i = 0; i < count; i++) models.push_back(std::make_unique<Model<P>>(chains[i], team.size));
    std::vector<std::vector<std::unique_ptr<Share<P>>>> shares(team.size);
    std::vector<double> losses(team.size);
    team.run([&](int64_t me) {
        for (auto& model : models) {
            shares[me].push_back(std::make_unique<Share<P>>(*model, steps, team, me));
            model->pack(me, team);
        }
        for (int64_t at = 0; at < steps.count; at++) {
            for (auto& share : shares[me]) losses[me] += share->train(at);
            team.barrier();
            const Adam adam(steps.rates[at], steps.beta1, steps.beta2, steps.eps, steps.taken + at + 1);
            for (size_t i = 0; i < models.size(); i++) {
                Model<P>& model = *models[i];
                for (int64_t j = team.begin(me, model.size, V), end = team.begin(me + 1, model.size, V); j < end; j += V) {
                    vec grad = {};
                    for (auto& all : shares) {
                        grad += load(all[i]->grads + j);
                        store(all[i]->grads + j, vec{});
                    }
                    adam(model.value + j, model.mean + j, model.square + j, grad);
                }
            }
            team.barrier();
            for (auto& model : models) model->pack(me, team);
        }
#if defined(HAS_TILES)
        Tiles::release();
#endif
    });
    for (auto& model : models) model->write();
    for (const double loss : losses) steps.loss += loss / double(steps.batch * steps.planes * steps.plane);
    steps.taken += steps.count;
}

}  // namespace chain
