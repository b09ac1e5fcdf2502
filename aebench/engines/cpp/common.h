// What both kinds of training step share: vectors of floats, the activations, Adam, and a team of
// threads. Vectors are those of GCC and Clang, so one text serves every processor that they know.
#pragma once

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <memory>
#include <new>
#include <thread>
#include <utility>
#include <vector>

#if defined(_OPENMP)
#include <omp.h>
#endif

#if defined(__AVX512F__)
#include <immintrin.h>
constexpr int64_t V = 16;        // floats in a vector
constexpr int REGISTERS = 24;    // vectors of sums that a loop keeps in registers
#elif defined(__AVX__)
constexpr int64_t V = 8;
constexpr int REGISTERS = 12;
#else
constexpr int64_t V = 4;
constexpr int REGISTERS = 16;
#endif

#define INLINE __attribute__((always_inline)) inline

typedef float vec __attribute__((vector_size(V * 4)));
typedef int32_t ints __attribute__((vector_size(V * 4)));
typedef float unaligned __attribute__((vector_size(V * 4), aligned(4), may_alias));

INLINE vec load(const float* from) { return *reinterpret_cast<const unaligned*>(from); }
INLINE void store(float* to, vec x) { *reinterpret_cast<unaligned*>(to) = x; }
INLINE vec broadcast(float x) { return x - vec{}; }

INLINE float sum(vec x) {
    float total = 0;
    for (int i = 0; i < V; i++) total += x[i];
    return total;
}

// The first `count` floats, and zeros: a masked load.
INLINE vec load(const float* from, int64_t count) {
    vec x = {};
    std::memcpy(&x, from, count * 4);
    return x;
}

// `x` masked: zeros from lane `count` on.
INLINE vec mask(vec x, int64_t count) {
    vec result = {};
    if (count > 0) std::memcpy(&result, &x, std::min(count, V) * 4);
    return result;
}

template <int... J>
INLINE vec shuffled(vec a, vec b, std::integer_sequence<int, J...>) {
#if defined(__clang__)
    return __builtin_shufflevector(a, b, J...);
#else
    return __builtin_shuffle(a, b, ints{J...});
#endif
}

// Of rows i and i + S, below `last`, exchange blocks of S lanes: the second of row i and the first of
// the other.
template <int S, int last = int(V), int... J>
INLINE void exchange(vec (&rows)[V], std::integer_sequence<int, J...>) {
    using First = std::integer_sequence<int, ((J & S) ? int(V) + J - S : J)...>;
    using Second = std::integer_sequence<int, ((J & S) ? int(V) + J : J + S)...>;
#pragma GCC unroll 16
    for (int i = 0; i < last; i++) {
        if (i & S) continue;
        const vec a = rows[i], b = rows[i + S];
        rows[i] = shuffled(a, b, First{});
        rows[i + S] = shuffled(a, b, Second{});
    }
}

// Transpose a square: log2(V) rounds of exchanging ever smaller blocks.
INLINE void transpose(vec (&rows)[V]) {
    using Lanes = std::make_integer_sequence<int, int(V)>;
    if constexpr (V > 8) exchange<8>(rows, Lanes{});
    if constexpr (V > 4) exchange<4>(rows, Lanes{});
    exchange<2>(rows, Lanes{});
    exchange<1>(rows, Lanes{});
}

// What is not a number stays so, or no training could be seen to diverge.
INLINE vec relu(vec x) { return x < 0 ? vec{} : x; }

// e to the x to about one unit in the last place, for x within what a float can hold the result of.
// Range reduction and minimax polynomial as in Cephes' expf (S. Moshier).
INLINE vec exponential(vec x) {
    x = x < -87.0f ? broadcast(-87.0f) : x;
    x = x > 88.0f ? broadcast(88.0f) : x;
    const float magic = 12582912.0f;  // 1.5 * 2^23: adding it rounds to a whole number
    vec n = (x * 1.44269504088896341f + magic) - magic;
    vec r = x - n * 0.693359375f;
    r = r + n * 2.12194440e-4f;
    vec p = r * 1.9875691500e-4f + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * (r * r) + r + 1.0f;
    ints power = (__builtin_convertvector(n, ints) + 127) << 23;
    return p * reinterpret_cast<vec>(power);
}

// 1 / x to about one unit in the last place. On AVX-512 a hardware estimate of 14 bits and a Newton
// step, for its divider takes as long as all the rest of a sigmoid.
INLINE vec reciprocal(vec x) {
#if defined(__AVX512F__)
    const vec guess = (vec)_mm512_rcp14_ps((__m512)x);
    return guess * (2.0f - x * guess);
#else
    return 1.0f / x;
#endif
}

INLINE vec sigmoid(vec x) {
    vec y = reciprocal(1.0f + exponential(-x));
    return x == x ? y : x;  // the clamps above lose what is not a number
}

enum Activation : int64_t { NONE = 0, RELU = 1, SIGMOID = 2 };

INLINE vec activate(vec x, int64_t activation) {
    return activation == SIGMOID ? sigmoid(x) : activation == RELU ? relu(x) : x;
}

// The derivative of an activation, from what it gave.
INLINE vec slope(vec y, int64_t activation) {
    return activation == SIGMOID ? y * (1.0f - y) : activation == RELU ? (y > 0 ? broadcast(1) : vec{}) : broadcast(1);
}

// 1 / (sqrt(x) * scale + eps), to about one unit in the last place; the root found as `reciprocal` is.
INLINE vec reciprocal_root(vec x, float scale, float eps) {
    vec root;
#if defined(__AVX512F__)
    x = x < 1e-37f ? broadcast(1e-37f) : x;  // its root is nothing beside eps
    const vec guess = (vec)_mm512_rsqrt14_ps((__m512)x);
    root = x * guess;
    root += (x - root * root) * (guess * 0.5f);
#else
    for (int i = 0; i < V; i++) root[i] = __builtin_sqrtf(x[i]);
#endif
    return reciprocal(root * scale + eps);
}

// Adam (Kingma and Ba, 2015) as torch computes it, for one step.
struct Adam {
    float to_mean, keep_square, to_square, eps, rate, correct;

    Adam(double learning_rate, double beta1, double beta2, double epsilon, int64_t step)
        : to_mean(float(1 - beta1)), keep_square(float(beta2)), to_square(float(1 - beta2)), eps(float(epsilon)),
          rate(float(learning_rate / (1 - std::pow(beta1, double(step))))),
          correct(float(1 / std::sqrt(1 - std::pow(beta2, double(step))))) {}

    INLINE void operator()(float* weight, float* mean, float* square, vec grad) const {
        vec m = load(mean), v = load(square);
        m += (grad - m) * to_mean;
        v = v * keep_square + grad * grad * to_square;
        store(mean, m);
        store(square, v);
        store(weight, load(weight) - rate * m * reciprocal_root(v, correct, eps));
    }

    // `count` numbers, fewer than a vector.
    INLINE void part(float* weight, float* mean, float* square, vec grad, int64_t count) const {
        vec w = load(weight, count), m = load(mean, count), v = load(square, count);
        (*this)(reinterpret_cast<float*>(&w), reinterpret_cast<float*>(&m), reinterpret_cast<float*>(&v), grad);
        std::memcpy(weight, &w, count * 4);
        std::memcpy(mean, &m, count * 4);
        std::memcpy(square, &v, count * 4);
    }

    // `count` numbers, one after another.
    void update(float* weight, float* mean, float* square, const float* grad, int64_t count) const {
        int64_t i = 0;
        for (; i + V <= count; i += V) (*this)(weight + i, mean + i, square + i, load(grad + i));
        if (i < count) part(weight + i, mean + i, square + i, load(grad + i, count - i), count - i);
    }
};

// Zeros, aligned to a cache line.
class Buffer {
   public:
    explicit Buffer(int64_t count) : data_(static_cast<float*>(::operator new(count * 4 + 64, std::align_val_t(64)))) {
        std::memset(data_, 0, count * 4 + 64);
    }
    Buffer(Buffer&& other) noexcept : data_(other.data_) { other.data_ = nullptr; }
    Buffer& operator=(Buffer&& other) noexcept {
        std::swap(data_, other.data_);
        return *this;
    }
    Buffer(const Buffer&) = delete;
    ~Buffer() { ::operator delete(data_, std::align_val_t(64)); }
    operator float*() const { return data_; }

   private:
    float* data_;
};

inline int64_t round_up(int64_t n, int64_t to) { return (n + to - 1) / to * to; }

// While it lives, results too small for a normal float are zero in this thread: squares of tiny
// gradients are, and would cost a hundred cycles each. Beside Adam's eps their roots are nothing.
class NoDenormals {
   public:
#if defined(__x86_64__)
    NoDenormals() : before_(__builtin_ia32_stmxcsr()) { __builtin_ia32_ldmxcsr(before_ | 0x8040); }
    ~NoDenormals() { __builtin_ia32_ldmxcsr(before_); }

   private:
    unsigned before_;
#endif
};

// Threads that do the same work on their shares, with barriers in between.
class Team {
   public:
    explicit Team(int64_t size) : size(size), waiting_(0), round_(0) {}

    const int64_t size;

    template <class Work>
    void run(Work work) {
        const auto share = [&work](int64_t i) {
            const NoDenormals here;
            work(i);
        };
#if defined(_OPENMP)
        // The threads with which torch has just computed, and which go on spinning for a while: others
        // would have to share the cores with them. There may be fewer than asked for.
        bool done = false;
#pragma omp parallel num_threads(int(size))
        {
            if (omp_get_num_threads() == size) {
                share(omp_get_thread_num());
                if (omp_get_thread_num() == 0) done = true;
            }
        }
        if (done) return;
#endif
        std::vector<std::thread> others;
        for (int64_t i = 1; i < size; i++) others.emplace_back(share, i);
        share(0);
        for (auto& other : others) other.join();
    }

    // A barrier. Waits are short, so it spins before it lets others run.
    void barrier() {
        if (size == 1) return;
        const int64_t round = round_.load(std::memory_order_acquire);
        if (waiting_.fetch_add(1, std::memory_order_acq_rel) + 1 == size) {
            waiting_.store(0, std::memory_order_relaxed);
            round_.store(round + 1, std::memory_order_release);
            return;
        }
        for (int64_t spins = 0; round_.load(std::memory_order_acquire) == round; spins++) {
            if (spins > 20000) {
                std::this_thread::yield();
            } else {
#if defined(__x86_64__)
                __builtin_ia32_pause();
#endif
            }
        }
    }

    // Where the share of thread `i` begins, in a whole number of `grain`; that of `size` is the end.
    int64_t begin(int64_t i, int64_t count, int64_t grain) const {
        return i == size ? count : std::min(count, (count / grain) * i / size * grain);
    }

   private:
    alignas(64) std::atomic<int64_t> waiting_;
    alignas(64) std::atomic<int64_t> round_;
};

// Something that is learned, and Adam's moments of it, where torch has them; null: there is none.
struct Learned {
    float *weight, *mean, *square;
};

// What the caller asks for, and gets back. Mirrored field by field in `native/bindings.py`.
struct Steps {
    const uint8_t* images;  // [N, planes, plane]
    const int64_t* order;   // of the images of these steps; null: as they lie
    const float* noise;     // [count * batch, planes, plane], times its amplitude; or null
    const double* rates;    // [count]
    int64_t count, batch, planes, plane, threads;
    double beta1, beta2, eps;
    int64_t taken;  // steps of Adam so far; goes on counting
    double loss;    // sum over the steps of the mean squared error

    const uint8_t* image(int64_t step, int64_t i) const {
        const int64_t index = step * batch + i;
        return images + (order ? order[index] : index) * planes * plane;
    }
    const float* noise_of(int64_t step, int64_t i) const {
        return noise ? noise + (step * batch + i) * planes * plane : nullptr;
    }
};

// A vector of pixels in [0, 1] as ToTensor makes them: the quotient by 255, correctly rounded. A
// product with the inverse is not; its error, found exactly by a fused product, mends it.
INLINE vec load_pixels(const uint8_t* from) {
    vec x, rest;
#if defined(__AVX512F__)  // GCC makes one number after another of this
    x = (vec)_mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i_u*>(from))));
#else
    for (int i = 0; i < V; i++) x[i] = from[i];
#endif
    const vec guess = x * (1 / 255.0f);
#if defined(__AVX512F__)
    rest = (vec)_mm512_fnmadd_ps(_mm512_set1_ps(255), (__m512)guess, (__m512)x);
#else
    for (int i = 0; i < V; i++) rest[i] = __builtin_fmaf(-255.0f, guess[i], x[i]);
#endif
    return guess + rest * (1 / 255.0f);
}

// The first `count` pixels, and zeros.
INLINE vec load_pixels(const uint8_t* from, int64_t count) {
    if (count >= V) return load_pixels(from);
    uint8_t padded[V] = {};
    std::memcpy(padded, from, count);
    return load_pixels(padded);
}

INLINE void load_pixels(const uint8_t* from, float* to, int64_t count) {
    int64_t i = 0;
    for (; i + V <= count; i += V) store(to + i, load_pixels(from + i));
    if (i < count) {
        const vec rest = load_pixels(from + i, count - i);
        std::memcpy(to + i, &rest, (count - i) * 4);
    }
}
