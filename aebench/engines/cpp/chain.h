// Training steps of whatever is a chain of layers: convolutions, linear layers, norms, activations.
//
// Each thread takes its share of a batch, some images at a time, through forward and backward pass, so that what lies
// between stays in its caches, and adds up gradients of its own. When all have, each takes a share of all weights:
// adds up the threads' gradients, lets Adam learn from them, and packs the weights anew for the next step. Where a
// norm looks at a batch as a whole, a thread takes all of its images at once, and the threads wait for each other.
#pragma once

#include "model.h"

namespace chain {

// One thread's share of the work.
template <class P>
class Share {
   public:
    Share(const Model<P>& model, const Steps& steps, Team& team, int64_t me)
        : grads(model.added),
          model(model),
          chain(model.chain),
          steps(steps),
          team(team),
          me(me),
          begin(team.begin(me, batch(), 1)),
          end(team.begin(me + 1, batch(), 1)),
          mine(std::max<int64_t>(1, end - begin)),
          last(chain.count - 1),
          segments(find_segments()),
          at_once(images_at_once()),
          input(is_whole(0) ? mine : at_once, chain.image, border_of_input(0)),
          target(mine * chain.image.count()) {
        int64_t tile_channels = 0, sums = 0, im2row = 0;
        for (int64_t l = 0; l < chain.count; l++) {
            const Stage& s = chain.stages[l];
            const int64_t images = is_whole(l) || (l < last && is_whole(l + 1)) ? mine : at_once;
            outputs.push_back(std::make_unique<Output<P>>(l == last ? 0 : images, s.output,
                                                          l == last ? Border{} : border_of_input(l + 1),
                                                          Activation{s.activation, float(s.leak)}));
            gradients.push_back(std::make_unique<Tensor<P>>(images, s.output, border_of_gradient(l)));
            if (s.kind == LINEAR) model.linears[l]->reserve(batch(), team.size, linear_scratch);
            const Convolution<P>* layer = model.convolutions[l].get();
            fast.emplace_back(layer ? layer->fast_grads() : 0);
            spread.emplace_back(by_patches(l) ? s.output.width * s.output.channels + V : 0);
            means.emplace_back();
            scales.emplace_back();
            if (layer) im2row = std::max(im2row, layer->im2row());
            if (layer && layer->patches()) sums = std::max(sums, layer->g.big.count() + V);
            if (layer && layer->is_fast()) {
                tile_channels = std::max({tile_channels, layer->g.big.channels, layer->g.small.channels});
            }
        }
        if (tile_channels) scratch.tiles.emplace(tile_channels);
        scratch.sums = Buffer(sums);
        scratch.im2row = Buffer(im2row);
        if constexpr (!std::is_same_v<P, Float32>) {
            std::vector<const Convolution<P>*> layers;
            for (const auto& layer : model.convolutions)
                if (layer) layers.push_back(layer.get());
            reserve(scratch, layers);
        }
    }

    // Forward and backward pass of this thread's images; gives the sum of their squared errors.
    double train(int64_t step) {
        double loss = 0;
        spread_biases();
        const auto pass = [&](const Segment& segment, bool up, bool down) {
            each_chunk(segment, [&](int64_t n, int64_t images) {
                if (up && segment.first == 0) read(step, n, images);
                for (int64_t l = segment.first; up && l < segment.end; l++) forward(l, images, loss);
                for (int64_t l = segment.end - 1; down && l >= segment.first; l--) backward(l, images);
            });
        };
        for (size_t i = 0; i + 1 < segments.size(); i++) pass(segments[i], true, false);
        pass(segments.back(), true, true);
        for (int64_t i = int64_t(segments.size()) - 2; i >= 0; i--) pass(segments[i], false, true);
        for (int64_t l = 0; l < chain.count; l++)
            if (model.convolutions[l]) model.convolutions[l]->finish(fast[l], grads + model.places[l].weight);
        return loss;
    }

    // This thread's part in learning from a step, after which its threads' `shares` may begin the next.
    void learn(const std::vector<Share*>& shares, const Adam& adam) {
        for (int64_t j = team.begin(me, model.added, V), end = team.begin(me + 1, model.added, V); j < end; j += V) {
            vec grad = {};
            for (const Share* share : shares) {
                grad += load(share->grads + j);
                store(share->grads + j, vec{});
            }
            adam(model.value + j, model.mean + j, model.square + j, grad);
        }
        for (int64_t l = 0; l < chain.count; l++) {
            if (!model.linears[l]) continue;
            std::vector<typename Linear<P>::Seen> seen;
            for (const Share* share : shares) {
                seen.push_back({share->before(l), *share->gradients[l], share->end - share->begin});
            }
            const int64_t place = model.places[l].weight;
            model.linears[l]->learn(seen, model.begin(l, team, me), model.begin(l, team, me + 1), model.mean + place,
                                    model.square + place, adam, linear_scratch);
        }
        team.barrier();
        pack_convolutions();
    }

    // Before the first step.
    void pack() {
        for (int64_t l = 0; l < chain.count; l++)
            if (model.linears[l]) model.linears[l]->pack(model.begin(l, team, me), model.begin(l, team, me + 1));
        pack_convolutions();
    }

    const Buffer grads;  // as the model's weights

   private:
    void pack_convolutions() {
        for (auto& layer : model.convolutions)
            if (layer) layer->pack(me, team.size);
        team.barrier();
        for (auto& layer : model.convolutions)
            if (layer) layer->pack_fast(me, team.size);
        team.barrier();
    }

    int64_t batch() const { return steps.batch * chain.planes; }

    // Layers that take as many images at once: some, so that these stay in the caches, or all of a share, as linear
    // layers do, whose weights take the place of images there. Between segments, all images are kept.
    struct Segment {
        int64_t first, end;
        bool whole;
    };

    std::vector<Segment> find_segments() const {
        std::vector<Segment> to;
        for (int64_t l = 0; l < chain.count; l++) {
            const bool whole = batch_norms() || chain.stages[l].kind == LINEAR;
            if (to.empty() || to.back().whole != whole) to.push_back({l, l, whole});
            to.back().end = l + 1;
        }
        return to;
    }

    // Whether of what goes into a layer, and comes out of it, all images are kept.
    bool is_whole(int64_t l) const { return segments.back().whole || l < segments.back().first; }

    template <class Work>
    void each_chunk(const Segment& segment, const Work& work) {
        const auto begin_at = [&](int64_t n) {
            if (is_whole(0)) input.chunk = n;
            for (int64_t l = 0; l < chain.count; l++)
                if (is_whole(l) || (l < last && is_whole(l + 1))) outputs[l]->values.chunk = gradients[l]->chunk = n;
            first = n;
        };
        const int64_t step = segment.whole ? mine : at_once;
        for (int64_t n = 0; n < end - begin || (n == 0 && batch_norms()); n += step) {
            begin_at(n);
            work(begin + n, std::min(step, end - begin - n));
        }
        begin_at(0);
    }

    bool batch_norms() const {
        for (int64_t l = 0; l < chain.count; l++)
            if (chain.stages[l].kind == BATCH_NORM) return true;
        return false;
    }

    // Whether a layer gives whole lines at a time, for which its biases are spread over one.
    bool by_patches(int64_t l) const {
        return chain.stages[l].kind == CONV_TRANSPOSE && model.convolutions[l]->patches();
    }

    // So many images that what layers give, and the gradients by it, lie in the caches.
    int64_t images_at_once() const {
        int64_t numbers = chain.image.count();
        for (int64_t l = 0; l < chain.count; l++) numbers += 2 * chain.stages[l].output.count();
        const int64_t bytes = numbers * P::PARTS * int64_t(sizeof(typename P::Element));
        return batch_norms() ? mine : std::min(mine, std::max<int64_t>(1, CACHED / bytes));
    }

    Border border_of_input(int64_t l) const {
        const Convolution<P>* layer = model.convolutions[l].get();
        return !layer ? Border{} : chain.stages[l].kind == CONV_TRANSPOSE ? layer->small_border() : layer->big_border();
    }
    Border border_of_gradient(int64_t l) const {
        const Convolution<P>* layer = model.convolutions[l].get();
        return !layer ? Border{} : chain.stages[l].kind == CONV_TRANSPOSE ? layer->big_border() : layer->small_border();
    }

    // Images of a batch, from the `first` on: input and target.
    void read(int64_t step, int64_t first, int64_t images) {
        const Shape& s = chain.image;
        std::vector<float>& pixels = read_;
        pixels.resize(s.count() + V), arranged_.resize(s.count());
        for (int64_t i = 0; i < images; i++) {
            const int64_t row = first + i, n = row / chain.planes,
                          offset = (chain.first_plane + row % chain.planes) * s.count();
            load_pixels(steps.image(step, n) + offset, pixels.data(), s.count());
            arrange(s, pixels.data(), target + (this->first + i) * s.count());
            if (const float* noise = steps.noise_of(step, n)) {
                for (int64_t j = 0; j < s.count(); j++) pixels[j] += noise[offset + j];
                arrange(s, pixels.data(), arranged_.data());
            }
            const float* x = steps.noise ? arranged_.data() : target + (this->first + i) * s.count();
            for (int64_t y = 0; y < s.height; y++, x += s.width * s.channels)
                for (int64_t f = 0; f < s.width * s.channels; f += V) {
                    const int64_t count = s.width * s.channels - f;
                    input.store(input.at(i, y, 0) + f, count >= V ? load(x + f) : load(x + f, count), count);
                }
        }
    }

    const Tensor<P>& before(int64_t l) const { return l ? outputs[l - 1]->values : input; }

    void spread_biases() {
        for (int64_t l = 0; l < chain.count; l++) {
            if (!by_patches(l)) continue;
            const Shape& s = chain.stages[l].output;
            for (int64_t i = 0; i < s.width * s.channels; i++)
                spread[l][i] = model.value[model.places[l].bias + i % s.channels];
        }
    }

    void forward(int64_t l, int64_t images, double& loss) {
        const Stage& s = chain.stages[l];
        const float* bias = (!convolves(s) && s.kind != LINEAR) || !s.bias.weight ? nullptr
                            : by_patches(l)                                       ? spread[l]
                                                                                  : model.value + model.places[l].bias;
        const int64_t bias_pixel = s.kind == LINEAR ? s.output.channels : 0;
        if (l < last) {
            Forward<P> sink{*outputs[l], bias, bias_pixel};
            compute(l, images, sink);
        } else {
            const float scale = 2.0f / float(batch() * chain.image.count());
            Compare<P> sink{outputs[l]->activation, bias,  bias_pixel, target + first * chain.image.count(),
                            *gradients[l],          scale, loss};
            compute(l, images, sink);
        }
    }

    template <class Sink>
    void compute(int64_t l, int64_t images, Sink& sink) {
        const Stage& s = chain.stages[l];
        const Tensor<P>& x = before(l);
        if (s.kind == LINEAR) model.linears[l]->forward(x, images, linear_scratch, sink);
        else if (s.kind == CONV) model.convolutions[l]->gather(x, images, scratch, sink);
        else if (s.kind == CONV_TRANSPOSE) model.convolutions[l]->scatter(x, images, scratch, sink);
        else if (s.kind == JUST_ACTIVATION) pass(x, images, sink);
        else if (s.kind == ADD) pass(x, images, sink, &outputs[s.past]->values);
        else {
            const Norm norm = norm_of(l);
            norm.statistics(x, images, means[l], scales[l]);
            norm.forward(x, images, s.weight.weight ? model.value + model.places[l].weight : nullptr,
                         model.value + model.places[l].bias, means[l], scales[l], sink);
            if (s.running_mean && me == 0) remember(s, norm.variances, means[l]);
        }
    }

    void backward(int64_t l, int64_t images) {
        const Stage& s = chain.stages[l];
        const Tensor<P>&grad = *gradients[l], &x = before(l);
        float *to = grads + model.places[l].weight, *to_bias = grads + model.places[l].bias;
        std::optional<Backward<P>> sink;
        if (l) sink.emplace(Backward<P>{*outputs[l - 1], *gradients[l - 1], past(l - 1)});
        if (s.kind == LINEAR) {
            if (s.bias.weight) sum_numbers(grad, images, to_bias);
            if (l) model.linears[l]->backward(grad, images, linear_scratch, *sink);
        } else if (convolves(s)) {
            const bool up = s.kind == CONV_TRANSPOSE;
            if (s.bias.weight) sum_channels(grad, images, to_bias);
            model.convolutions[l]->weigh(up ? grad : x, up ? x : grad, images, scratch, to, fast[l]);
            if (l && up) model.convolutions[l]->gather(grad, images, scratch, *sink);
            else if (l) model.convolutions[l]->scatter(grad, images, scratch, *sink);
        } else if (s.kind == JUST_ACTIVATION || s.kind == ADD) {
            if (l) pass(grad, images, *sink);
        } else {
            const bool learned = s.weight.weight;
            norm_of(l).backward(x, grad, images, learned ? model.value + model.places[l].weight : nullptr, means[l],
                                scales[l], learned ? to : nullptr, s.bias.weight ? to_bias : nullptr,
                                sink ? &*sink : nullptr);
        }
    }

    // The gradient by what layer `l` gave to a later one past those between; null if it gave nothing so.
    const Tensor<P>* past(int64_t l) const {
        for (int64_t i = l + 2; i < chain.count; i++)
            if (chain.stages[i].kind == ADD && chain.stages[i].past == l) return gradients[i].get();
        return nullptr;
    }

    Norm norm_of(int64_t l) {
        const Stage& s = chain.stages[l];
        return {s.kind == LAYER_NORM, float(s.eps), batch(), model.sums[l].get(), &team, me, {}};
    }

    // What a batch norm keeps for use, as torch does: the variance of a sample.
    void remember(const Stage& s, const std::vector<double>& variances, const std::vector<float>& now) const {
        const double count = double(batch() * s.input.height * s.input.width), m = s.momentum;
        for (size_t c = 0; c < now.size(); c++) {
            s.running_mean[c] = float((1 - m) * s.running_mean[c] + m * now[c]);
            s.running_variance[c] = float((1 - m) * s.running_variance[c] + m * variances[c] * count / (count - 1));
        }
    }

    static constexpr int64_t CACHED = 4 << 20;  // bytes of images at once

    const Model<P>& model;
    const Chain& chain;
    const Steps& steps;
    Team& team;
    const int64_t me, begin, end, mine, last;  // `mine`: images, at least 1
    const std::vector<Segment> segments;
    const int64_t at_once;
    int64_t first = 0;  // image of a chunk
    Tensor<P> input;
    const Buffer target;
    std::vector<float> read_, arranged_;  // an image, as it lies and as ours do
    std::vector<std::unique_ptr<Output<P>>> outputs;
    std::vector<std::unique_ptr<Tensor<P>>> gradients;  // by what layers give before their activations
    std::vector<Buffer> fast, spread;
    std::vector<std::vector<float>> means, scales;
    Scratch<P> scratch;
    LinearScratch linear_scratch;
};

}  // namespace chain
