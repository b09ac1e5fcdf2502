// Images between layers, [images, height, width, channels], and what is done to every number of them:
// activations on the way forward, their derivatives on the way back, the loss between the two.
#pragma once

#include "products.h"

namespace chain {

struct Shape {
    int64_t channels, height, width;
    int64_t count() const { return channels * height * width; }
};

// An image from torch's [channels, height, width] to [height, width, channels].
inline void arrange(Shape s, const float* from, float* to) {
    if (s.channels == 1) {
        std::memcpy(to, from, s.count() * 4);
        return;
    }
    for (int64_t c = 0; c < s.channels; c++)
        for (int64_t i = 0; i < s.height * s.width; i++) to[i * s.channels + c] = from[c * s.height * s.width + i];
}

// Rows above and below an image and pixels left and right of it that are 0 for good.
struct Border {
    int64_t top = 0, bottom = 0, left = 0, right = 0;
};

template <class P>
class Tensor {
   public:
    using Element = typename P::Element;

    Tensor(int64_t images, Shape shape, Border border)
        : shape(shape),
          line((shape.width + border.left + border.right) * shape.channels),
          image((shape.height + border.top + border.bottom) * line),
          part(round_up(images * image + OVERREAD * (line + shape.channels + V), 64)),
          first_(border.top * line + border.left * shape.channels),
          data_(round_up(P::PARTS * part * int64_t(sizeof(Element)), 4) / 4) {}

    const Shape shape;
    const int64_t line, image, part;  // from one line, image or part of a number to the next
    mutable int64_t chunk = 0;        // the image that is counted as the first

    // Whether the numbers of an image lie together.
    bool dense() const { return image == shape.count(); }

    INLINE Element* at(int64_t n, int64_t y, int64_t x) const {
        return reinterpret_cast<Element*>(static_cast<float*>(data_)) + first_ + (chunk + n) * image + y * line +
               x * shape.channels;
    }
    INLINE vec load(const Element* from, int64_t count) const {
        return count >= V ? P::load(from, part) : P::load(from, part, count);
    }
    INLINE void store(Element* to, vec x, int64_t count) const {
        if (count >= V) P::store(to, part, x);
        else P::store(to, part, x, count);
    }

   private:
    // Lines beyond the last image that a tile may read, whatever lies there: what it makes of them is not used.
    static constexpr int64_t OVERREAD = 4;
    const int64_t first_;
    const Buffer data_;
};

enum : int64_t { TANH = 3, LEAKY_RELU = 4, GELU = 5, SILU = 6 };  // after those of `common.h`

INLINE vec tanh(vec x) {
    const vec y = 1.0f - 2.0f * reciprocal(1.0f + exponential(2.0f * x));
    return x == x ? y : x;
}

// The error function, to some units in the last place: rational approximation of Eigen's `erf` for floats.
INLINE vec error_function(vec x) {
    vec z = x < -4.0f ? broadcast(-4.0f) : x;
    z = z > 4.0f ? broadcast(4.0f) : z;
    const vec s = z * z;
    vec p = s * -2.72614225801306e-10f + 2.77068142495902e-08f;
    p = p * s - 2.10102402082508e-06f;
    p = p * s - 5.69250639462346e-05f;
    p = p * s - 7.34990630326855e-04f;
    p = p * s - 2.95459980854025e-03f;
    p = p * s - 1.60960333262415e-02f;
    vec q = s * -1.45660718464996e-05f - 2.13374055278905e-04f;
    q = q * s - 1.68282697438203e-03f;
    q = q * s - 7.37332916720468e-03f;
    q = q * s - 1.42647390514189e-02f;
    return z * p / q;
}

struct Activation {
    int64_t kind;
    float leak;  // slope of a leaky ReLU below 0

    // Whether the derivative is not had from what comes out, and is kept beside it.
    bool keeps_slope() const { return kind == GELU || kind == SILU; }

    // What comes out, and the derivative, which has much of its arithmetic in common with that.
    INLINE vec operator()(vec x, vec& slope) const {
        switch (kind) {
            case GELU: {
                const vec share = 0.5f * (1.0f + error_function(x * 0.70710678118654752f));
                slope = share + x * (0.39894228040143268f * exponential(-0.5f * x * x));
                return x * share;
            }
            case SILU: {
                const vec s = sigmoid(x);
                slope = s * (1.0f + x * (1.0f - s));
                return x * s;
            }
            default: {
                const vec y = kind == TANH ? tanh(x) : kind == LEAKY_RELU ? (x < 0 ? x * leak : x) : activate(x, kind);
                slope = slope_at(y);
                return y;
            }
        }
    }

    // The derivative where `y` came out; not of those that keep it.
    INLINE vec slope_at(vec y) const {
        switch (kind) {
            case TANH: return 1.0f - y * y;
            case LEAKY_RELU: return y > 0 ? broadcast(1) : broadcast(leak);
            default: return slope(y, kind);
        }
    }
};

// What a layer gave, after its activation; and that one's derivative, where it is kept.
template <class P>
struct Output {
    Activation activation;
    Tensor<P> values;
    Buffer slopes;  // [images, height, width, channels]

    Output(int64_t images, Shape shape, Border border, Activation activation)
        : activation(activation),
          values(images, shape, border),
          slopes(activation.keeps_slope() ? images * shape.count() : 0) {}

    INLINE int64_t dense(int64_t n, int64_t y, int64_t x, int64_t c) const {
        const Shape& s = values.shape;
        return (((values.chunk + n) * s.height + y) * s.width + x) * s.channels + c;
    }
    INLINE vec slope(int64_t n, int64_t y, int64_t x, int64_t c, int64_t count) const {
        if (activation.kind == NONE) return broadcast(1);
        if (!activation.keeps_slope()) return activation.slope_at(values.load(values.at(n, y, x) + c, count));
        const float* from = slopes + dense(n, y, x, c);
        return count >= V ? load(from) : load(from, count);
    }
};

// Sinks take what a layer computes, as many channels of a pixel as fit a vector: of image n, pixel (y, x), from
// channel c on, the first `count`; `finish` is told now and then. This one takes what it gives, before bias and
// activation.
template <class P>
struct Forward {
    const Output<P>& to;
    const float* bias;   // null: none
    int64_t bias_pixel;  // from the bias of one pixel to that of the next: 0, or each has its own

    INLINE void operator()(int64_t n, int64_t y, int64_t x, int64_t c, int64_t count, vec v) const {
        if (bias) v += load(bias + (y * to.values.shape.width + x) * bias_pixel + c);
        vec slope;
        to.values.store(to.values.at(n, y, x) + c, to.activation(v, slope), count);
        if (!to.activation.keeps_slope()) return;
        float* kept = to.slopes + to.dense(n, y, x, c);
        if (count >= V) ::store(kept, slope);
        else std::memcpy(kept, &slope, count * 4);
    }
    bool dense() const { return to.values.dense(); }
    void finish() {}
};

// Of the last layer: the loss, and its gradient by what the layer gives before its activation.
template <class P>
struct Compare {
    const Activation activation;
    const float* bias;
    int64_t bias_pixel;
    const float* target;  // [images, height, width, channels]
    const Tensor<P>& grad;
    float scale;
    double& loss;
    vec squares = {};

    INLINE void operator()(int64_t n, int64_t y, int64_t x, int64_t c, int64_t count, vec v) {
        const Shape& s = grad.shape;
        if (bias) v += load(bias + (y * s.width + x) * bias_pixel + c);
        vec slope;
        const vec out = activation(v, slope);
        const float* wanted = target + ((n * s.height + y) * s.width + x) * s.channels + c;
        vec error = count >= V ? out - load(wanted) : mask(out - load(wanted, count), count);
        squares += error * error;
        error *= scale * slope;
        grad.store(grad.at(n, y, x) + c, error, count);
    }
    bool dense() const { return grad.dense(); }
    void finish() {
        loss += sum(squares);
        squares = vec{};
    }
};

// What comes back to a layer: the gradient by what it gave, to be made that by what its activation was given.
template <class P>
struct Backward {
    const Output<P>& of;
    const Tensor<P>& grad;
    const Tensor<P>* past;  // the gradient that came past the layers behind; null: none did

    INLINE void operator()(int64_t n, int64_t y, int64_t x, int64_t c, int64_t count, vec v) const {
        if (past) v += past->load(past->at(n, y, x) + c, count);
        grad.store(grad.at(n, y, x) + c, v * of.slope(n, y, x, c, count), count);
    }
    bool dense() const { return grad.dense() && of.values.dense() && (!past || past->dense()); }
    void finish() {}
};

// Give all numbers of some images to a sink, as they are or with those of `other` added.
template <class P, class Sink>
void pass(const Tensor<P>& from, int64_t images, Sink& sink, const Tensor<P>* other = nullptr) {
    const Shape& s = from.shape;
    for (int64_t n = 0; n < images; n++) {
        for (int64_t y = 0; y < s.height; y++)
            for (int64_t x = 0; x < s.width; x++)
                for (int64_t c = 0; c < s.channels; c += V) {
                    vec v = from.load(from.at(n, y, x) + c, s.channels - c);
                    if (other) v += other->load(other->at(n, y, x) + c, s.channels - c);
                    sink(n, y, x, c, s.channels - c, v);
                }
        sink.finish();
    }
}

// Add up the gradients of each number over images that lie dense: those by the biases of a linear layer.
template <class P>
void sum_numbers(const Tensor<P>& grad, int64_t images, float* to) {
    const int64_t count = grad.shape.count();
    for (int64_t n = 0; n < images; n++)
        for (int64_t f = 0; f < count; f += V) store(to + f, load(to + f) + grad.load(grad.at(n, 0, 0) + f, count - f));
}

// Add up the gradients of each channel over images begin to end: those by a bias.
template <class P>
void sum_channels(const Tensor<P>& grad, int64_t images, float* to) {
    const Shape& s = grad.shape;
    if (s.channels >= V) {
        for (int64_t c = 0; c < s.channels; c += V) {
            vec total = {};
            for (int64_t n = 0; n < images; n++)
                for (int64_t y = 0; y < s.height; y++)
                    for (int64_t x = 0; x < s.width; x++) total += grad.load(grad.at(n, y, x) + c, s.channels - c);
            store(to + c, load(to + c) + total);
        }
        return;
    }
    vec totals[V] = {};  // so many vectors have a whole number of pixels
    for (int64_t n = 0; n < images; n++)
        for (int64_t y = 0; y < s.height; y++)
            for (int64_t f = 0, m = 0; f < s.width * s.channels; f += V, m = m + 1 == s.channels ? 0 : m + 1)
                totals[m] += grad.load(grad.at(n, y, 0) + f, s.width * s.channels - f);
    for (int64_t m = 0; m < s.channels; m++)
        for (int64_t j = 0; j < V; j++) to[(m * V + j) % s.channels] += totals[m][j];
}

}  // namespace chain
