// Matrix products in three kinds of arithmetic, all of one form, which is that of every layer here:
//
//     C[i, j] (+)= sum over segments s and places k of  A[s, i, k] * B[s, k, j]
//
// A may lie in memory with any strides, so that a convolution reads an image as it lies: i runs along a
// row of pixels, s down the rows of the kernel, k along the pixels and channels under one row of it.
// B lies in panels: a few vectors of columns wide, row after row. Sums are float32.
#pragma once

#include <array>

#include "common.h"

#if defined(__AVX512BF16__)
#define HAS_BF16 1
#endif
#if defined(HAS_BF16) && defined(__AMX_BF16__) && defined(__AMX_TILE__)
#define HAS_TILES 1
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace chain {

constexpr int WIDE = 2;  // vectors of columns in a panel, one where there are no more
#if defined(__AVX512F__)
constexpr int TALL = 14;  // rows of a product that are in registers together
#elif defined(__AVX__)
constexpr int TALL = 6;
#else
constexpr int TALL = 4;
#endif
constexpr int64_t PANEL = WIDE * V;

template <class Element>
struct Product {
    const Element* a;
    int64_t a_row, a_place, a_segment;  // strides
    const Element* b;
    int64_t b_place, b_segment;
    int64_t segments, places;
    float* c;
    int64_t c_row;
    bool add;  // to what is in C
};

template <class Element>
using Kernel = void (*)(const Product<Element>&);

// What is in C is added at the end: GCC lets sums that begin with it make a detour through the stack.
template <int R, int C>
INLINE void finish(const vec (&acc)[R][C], float* c, int64_t c_row, bool add) {
#pragma GCC unroll 16
    for (int r = 0; r < R; r++)
#pragma GCC unroll 2
        for (int j = 0; j < C; j++) {
            float* to = c + r * c_row + j * V;
            store(to, add ? load(to) + acc[r][j] : acc[r][j]);
        }
}

// The micro-kernel: a tile of the result stays in registers. What is a row of B, what of A is broadcast and how the
// two are multiplied is said by an `Arithmetic`, which takes `PLACES` places at once. B may come from the third cache,
// in hundreds of cycles, and is asked for so many rows `AHEAD`; past the end of a panel, the next one lies.
template <class Arithmetic, int R, int C>
void micro_kernel(const Product<typename Arithmetic::Element>& p) {
    constexpr int64_t PLACES = Arithmetic::PLACES, AHEAD = 32, LINE = 16 / V;  // a line of the cache, in vectors
    vec acc[R][C] = {};
    for (int64_t s = 0; s < p.segments; s++) {
        const auto *a = p.a + s * p.a_segment, *b = p.b + s * p.b_segment;
        for (int64_t k = 0; k < p.places; k += PLACES, a += PLACES * p.a_place, b += PLACES * p.b_place) {
#pragma GCC unroll 2
            for (int j = 0; j < C; j += LINE) __builtin_prefetch(b + PLACES * (AHEAD * p.b_place + j * V));
            typename Arithmetic::Numbers row[C];
#pragma GCC unroll 2
            for (int j = 0; j < C; j++) row[j] = Arithmetic::row(b + PLACES * j * V);
#pragma GCC unroll 16
            for (int r = 0; r < R; r++) {
                const auto x = Arithmetic::spread(a + r * p.a_row);
#pragma GCC unroll 2
                for (int j = 0; j < C; j++) acc[r][j] = Arithmetic::add(acc[r][j], x, row[j]);
            }
        }
    }
    finish(acc, p.c, p.c_row, p.add);
}

// A table of micro-kernels for 1 to `TALL` rows and 1 to `WIDE` vectors.
template <class Arithmetic, int... R>
constexpr std::array<std::array<Kernel<typename Arithmetic::Element>, WIDE>, TALL> table(
    std::integer_sequence<int, R...>) {
    return {{{micro_kernel<Arithmetic, R + 1, 1>, micro_kernel<Arithmetic, R + 1, 2>}...}};
}

template <class Arithmetic>
INLINE void run(const Product<typename Arithmetic::Element>& p, int64_t rows, int64_t vectors) {
    static constexpr auto kernels = table<Arithmetic>(std::make_integer_sequence<int, TALL>{});
    kernels[rows - 1][vectors - 1](p);
}

struct Singles {
    using Element = float;
    using Numbers = vec;
    static constexpr int64_t PLACES = 1;
    static INLINE vec row(const float* from) { return load(from); }
    static INLINE vec spread(const float* from) { return broadcast(*from); }
    static INLINE vec add(vec sum, vec x, vec row) { return sum + x * row; }
};

// What a number is stored as, and how numbers are multiplied.
struct Float32 {
    using Element = float;
    static constexpr int PARTS = 1;        // of a number, each an Element
    static constexpr int64_t GRAIN = 1;    // places of a segment that are multiplied together
    static constexpr int64_t ROWS = TALL;  // of a product at most
    static constexpr bool FAST_CONVOLUTION = true;

    static INLINE vec load(const Element* from, int64_t) { return ::load(from); }
    static INLINE vec load(const Element* from, int64_t, int64_t count) { return ::load(from, count); }
    static INLINE void store(Element* to, int64_t, vec x) { ::store(to, x); }
    static INLINE void store(Element* to, int64_t, vec x, int64_t count) { std::memcpy(to, &x, count * 4); }
    static void multiply(const Product<float>& p, int64_t rows, int64_t vectors, int64_t, int64_t) {
        run<Singles>(p, rows, vectors);
    }
};

#if defined(HAS_BF16)
typedef uint16_t bf16;

// The first 16 bits of floats, rounded to nearest; what a second bf16 adds to that leaves 16 significant bits.
INLINE __m256i rounded(vec x) { return (__m256i)_mm512_cvtneps_pbh((__m512)x); }
INLINE vec widened(__m256i x) { return (vec)_mm512_slli_epi32(_mm512_cvtepu16_epi32(x), 16); }

// bf16, sums in float32: a pair of places in one instruction.
struct Pairs {
    using Element = bf16;
    using Numbers = __m512bh;
    static constexpr int64_t PLACES = 2;
    static INLINE __m512bh row(const bf16* from) { return (__m512bh)_mm512_loadu_si512(from); }
    static INLINE __m512bh spread(const bf16* from) {
        int32_t pair;
        std::memcpy(&pair, from, 4);
        return (__m512bh)_mm512_set1_epi32(pair);
    }
    static INLINE vec add(vec sum, __m512bh x, __m512bh row) { return (vec)_mm512_dpbf16_ps((__m512)sum, x, row); }
};

#if defined(HAS_TILES)
// The tile unit: 16 rows of 32 places times 32 places of 16 columns in one instruction. Four tiles hold sums, two
// each what is multiplied.
class Tiles {
   public:
    // Whether the operating system lets this process use them, which is asked once.
    static bool allowed() {
        constexpr int REQUEST = 0x1023, DATA = 18;  // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA
        static const bool granted = syscall(SYS_arch_prctl, REQUEST, DATA) == 0;
        return granted;
    }

    // `rows`, at most 32, are two tiles; `rows` of the first of them.
    static void multiply(const Product<bf16>& p, int64_t rows, int64_t vectors) {
        const int64_t first = std::min<int64_t>(rows, 16), second = rows - first;
        configure(first, second);
        if (vectors == 2 && second) run<2, 2>(p);
        else if (vectors == 2) run<1, 2>(p);
        else if (second) run<2, 1>(p);
        else run<1, 1>(p);
    }

    static void release() {
        if (configured()) _tile_release();
        configured() = 0;
    }

   private:
    static int64_t& configured() {
        static thread_local int64_t rows = 0;
        return rows;
    }

    static void configure(int64_t first, int64_t second) {
        const int64_t wanted = first * 64 + second;
        if (configured() == wanted) return;
        configured() = wanted;
        struct alignas(64) {
            uint8_t palette, start, reserved[14];
            uint16_t bytes[16];
            uint8_t rows[16];
        } shape = {};
        shape.palette = 1;
        const int64_t rows[8] = {first, first, second, second, first, second, 16, 16};
        for (int i = 0; i < 8; i++) {
            shape.rows[i] = uint8_t(rows[i] ? rows[i] : 1);
            shape.bytes[i] = 64;
        }
        _tile_loadconfig(&shape);
    }

    template <int R, int C>
    static void run(const Product<bf16>& p) {
        const int64_t c_row = p.c_row * 4, a_row = p.a_row * 2, b_row = p.b_place * 4;
        float* below = p.c + 16 * p.c_row;
        if (p.add) {
            _tile_loadd(0, p.c, c_row);
            if (C > 1) _tile_loadd(1, p.c + V, c_row);
            if (R > 1) _tile_loadd(2, below, c_row);
            if (R > 1 && C > 1) _tile_loadd(3, below + V, c_row);
        } else {
            _tile_zero(0);
            if (C > 1) _tile_zero(1);
            if (R > 1) _tile_zero(2);
            if (R > 1 && C > 1) _tile_zero(3);
        }
        for (int64_t s = 0; s < p.segments; s++) {
            const bf16 *a = p.a + s * p.a_segment, *b = p.b + s * p.b_segment;
            for (int64_t k = 0; k < p.places; k += 32, a += 32, b += 32 * p.b_place) {
                _tile_loadd(6, b, b_row);
                if (C > 1) _tile_loadd(7, b + 2 * V, b_row);
                _tile_loadd(4, a, a_row);
                _tile_dpbf16ps(0, 4, 6);
                if (C > 1) _tile_dpbf16ps(1, 4, 7);
                if (R > 1) {
                    _tile_loadd(5, a + 16 * p.a_row, a_row);
                    _tile_dpbf16ps(2, 5, 6);
                    if (C > 1) _tile_dpbf16ps(3, 5, 7);
                }
            }
        }
        _tile_stored(0, p.c, c_row);
        if (C > 1) _tile_stored(1, p.c + V, c_row);
        if (R > 1) _tile_stored(2, below, c_row);
        if (R > 1 && C > 1) _tile_stored(3, below + V, c_row);
    }
};
#endif

struct Bf16 {
    using Element = bf16;
    static constexpr int PARTS = 1;
    static constexpr bool FAST_CONVOLUTION = false;
#if defined(HAS_TILES)
    static constexpr int64_t GRAIN = 32, ROWS = 32;
#else
    static constexpr int64_t GRAIN = 2, ROWS = TALL;
#endif

    static INLINE vec load(const bf16* from, int64_t) {
        return widened(_mm256_loadu_si256(reinterpret_cast<const __m256i_u*>(from)));
    }
    static INLINE vec load(const bf16* from, int64_t, int64_t count) {
        __m256i x = {};
        std::memcpy(&x, from, count * 2);
        return widened(x);
    }
    static INLINE void store(bf16* to, int64_t, vec x) {
        _mm256_storeu_si256(reinterpret_cast<__m256i_u*>(to), rounded(x));
    }
    static INLINE void store(bf16* to, int64_t, vec x, int64_t count) {
        const __m256i y = rounded(x);
        std::memcpy(to, &y, count * 2);
    }
    static void multiply(const Product<bf16>& p, int64_t rows, int64_t vectors, int64_t, int64_t) {
#if defined(HAS_TILES)
        Tiles::multiply(p, rows, vectors);
#else
        run<Pairs>(p, rows, vectors);
#endif
    }
};

// Two bf16 a number, the second so far from the first as what rounding took off: high x high + high x low +
// low x high is near float32 (what is left out is 2^-16 of a product).
struct Bf16x3 : Bf16 {
    static constexpr int PARTS = 2;

    static INLINE vec load(const bf16* from, int64_t part) { return Bf16::load(from, 0) + Bf16::load(from + part, 0); }
    static INLINE vec load(const bf16* from, int64_t part, int64_t count) {
        return Bf16::load(from, 0, count) + Bf16::load(from + part, 0, count);
    }
    static INLINE void store(bf16* to, int64_t part, vec x) {
        const __m256i high = rounded(x);
        _mm256_storeu_si256(reinterpret_cast<__m256i_u*>(to), high);
        Bf16::store(to + part, 0, x - widened(high));
    }
    static INLINE void store(bf16* to, int64_t part, vec x, int64_t count) {
        const __m256i high = rounded(x);
        std::memcpy(to, &high, count * 2);
        Bf16::store(to + part, 0, x - widened(high), count);
    }
    static void multiply(Product<bf16> p, int64_t rows, int64_t vectors, int64_t a_part, int64_t b_part) {
        Bf16::multiply(p, rows, vectors, 0, 0);
        p.add = true;
        p.b += b_part;
        Bf16::multiply(p, rows, vectors, 0, 0);
        p.b -= b_part;
        p.a += a_part;
        Bf16::multiply(p, rows, vectors, 0, 0);
    }
};
#endif

}  // namespace chain
