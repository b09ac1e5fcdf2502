// Layers that bring numbers to mean 0 and variance 1: each image's by itself, or each channel's over a batch.
#pragma once

#include <vector>

#include "tensors.h"

namespace chain {

// Of one layer, for all threads: parts of sums over a batch, from each thread.
class Sums {
   public:
    Sums(int64_t threads, int64_t channels, int64_t kinds)
        : channels_(channels), threads_(threads), kinds_(kinds), parts_(threads * kinds * channels) {}

    double* of(int64_t thread, int64_t kind) { return parts_.data() + (thread * kinds_ + kind) * channels_; }
    double total(int64_t kind, int64_t channel) {
        double sum = 0;
        for (int64_t t = 0; t < threads_; t++) sum += of(t, kind)[channel];
        return sum;
    }

   private:
    const int64_t channels_, threads_, kinds_;
    std::vector<double> parts_;
};

// Normalization over groups: of all the numbers of an image (`per_image`), or of a channel over all threads' images.
// What is learned, `scale` and `shift`, is for each number of an image, or for each channel; null: 1 and 0.
struct Norm {
    bool per_image;
    float eps;
    int64_t batch;  // images of all threads
    Sums* sums;
    Team* team;
    int64_t me;

    template <class P>
    void statistics(const Tensor<P>& x, int64_t images, std::vector<float>& means, std::vector<float>& scales) const {
        const Shape& s = x.shape;
        const int64_t groups = per_image ? images : s.channels;
        std::vector<double> mean(groups), square(groups);
        const double count = per_image ? double(s.count()) : double(batch * s.height * s.width);
        each(x, images, [&](int64_t n, int64_t, int64_t c, float v) { mean[per_image ? n : c] += v; });
        share(mean, 0);
        for (double& m : mean) m /= count;
        each(x, images, [&](int64_t n, int64_t, int64_t c, float v) {
            const double d = v - mean[per_image ? n : c];
            square[per_image ? n : c] += d * d;
        });
        share(square, 1);
        means.assign(mean.begin(), mean.end());
        scales.resize(groups);
        for (int64_t i = 0; i < groups; i++) scales[i] = float(1 / std::sqrt(square[i] / count + eps));
        variances.assign(square.begin(), square.end());
        for (double& v : variances) v /= count;
    }

    template <class P, class Sink>
    void forward(const Tensor<P>& x, int64_t images, const float* scale, const float* shift,
                 const std::vector<float>& means, const std::vector<float>& scales, Sink& sink) const {
        each_vector(x, images, means, scales,
                    [&](int64_t n, int64_t y, int64_t px, int64_t c, int64_t at, int64_t count, vec normal, vec) {
                        sink(n, y, px, c, count,
                             scale
                                 ? normal * load(scale + at, std::min(count, V)) + load(shift + at, std::min(count, V))
                                 : normal);
                    });
        sink.finish();
    }

    // Adds to the gradients of `scale` and `shift`, and gives the gradient by `x` to the sink.
    template <class P, class Sink>
    void backward(const Tensor<P>& x, const Tensor<P>& grad, int64_t images, const float* scale,
                  const std::vector<float>& means, const std::vector<float>& scales, float* scale_grad,
                  float* shift_grad, Sink* sink) const {
        const Shape& s = x.shape;
        const int64_t groups = per_image ? images : s.channels;
        std::vector<double> sum(groups), product(groups);
        each_vector(x, images, means, scales,
                    [&](int64_t n, int64_t y, int64_t px, int64_t c, int64_t at, int64_t count, vec normal, vec) {
                        const vec g = grad.load(grad.at(n, y, px) + c, count);
                        for (int64_t i = 0; i < std::min(count, V); i++) {
                            const double h = scale ? double(g[i]) * scale[at + i] : double(g[i]);
                            sum[per_image ? n : c + i] += h;
                            product[per_image ? n : c + i] += h * normal[i];
                            if (scale_grad) scale_grad[at + i] += g[i] * normal[i];
                            if (shift_grad) shift_grad[at + i] += g[i];
                        }
                    });
        share(sum, 2);
        share(product, 3);
        if (!sink) return;
        const double count = per_image ? double(s.count()) : double(batch * s.height * s.width);
        std::vector<float> a(sum.begin(), sum.end()), b(product.begin(), product.end());
        for (int64_t i = 0; i < groups; i++) a[i] = float(sum[i] / count), b[i] = float(product[i] / count);
        each_vector(x, images, means, scales,
                    [&](int64_t n, int64_t y, int64_t px, int64_t c, int64_t at, int64_t left, vec normal, vec spread) {
                        vec g = grad.load(grad.at(n, y, px) + c, left);
                        if (scale) g *= load(scale + at, std::min(left, V));
                        const vec mean = per_image ? broadcast(a[n]) : load(a.data() + c, std::min(left, V));
                        const vec slope = per_image ? broadcast(b[n]) : load(b.data() + c, std::min(left, V));
                        (*sink)(n, y, px, c, left, spread*(g - mean - normal * slope));
                    });
        sink->finish();
    }

    mutable std::vector<double> variances;  // of the groups, as `statistics` found them

   private:
    template <class P, class Work>
    static void each(const Tensor<P>& x, int64_t images, const Work& work) {
        const Shape& s = x.shape;
        for (int64_t n = 0; n < images; n++)
            for (int64_t y = 0; y < s.height; y++)
                for (int64_t px = 0; px < s.width; px++)
                    for (int64_t c = 0; c < s.channels; c += V) {
                        const vec v = x.load(x.at(n, y, px) + c, s.channels - c);
                        for (int64_t i = 0; i < std::min(V, s.channels - c); i++) work(n, y, c + i, v[i]);
                    }
    }

    // Every vector of `x`, normalized, with where its scale and shift lie and by what was divided.
    template <class P, class Work>
    void each_vector(const Tensor<P>& x, int64_t images, const std::vector<float>& means,
                     const std::vector<float>& scales, const Work& work) const {
        const Shape& s = x.shape;
        for (int64_t n = 0; n < images; n++)
            for (int64_t y = 0; y < s.height; y++)
                for (int64_t px = 0; px < s.width; px++)
                    for (int64_t c = 0; c < s.channels; c += V) {
                        const int64_t count = s.channels - c;
                        const vec mean = per_image ? broadcast(means[n]) : load(means.data() + c, std::min(count, V));
                        const vec spread =
                            per_image ? broadcast(scales[n]) : load(scales.data() + c, std::min(count, V));
                        work(n, y, px, c, per_image ? (y * s.width + px) * s.channels + c : c, count,
                             (x.load(x.at(n, y, px) + c, count) - mean) * spread, spread);
                    }
    }

    // Make parts of sums over this thread's images sums over all.
    void share(std::vector<double>& part, int64_t kind) const {
        if (per_image) return;
        std::copy(part.begin(), part.end(), sums->of(me, kind));
        team->barrier();
        for (size_t i = 0; i < part.size(); i++) part[i] = sums->total(kind, int64_t(i));
    }
};

}  // namespace chain
