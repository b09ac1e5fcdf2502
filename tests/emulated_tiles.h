// The tile unit of AMX in plain C++, for processors that have none: what is included before the engine's own C++
// so that its tests take the path of such processors anywhere that has AVX512-BF16. Slow, and for tests only.
#pragma once

#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#define __AMX_TILE__ 1
#define __AMX_BF16__ 1

namespace emulated {

struct Tile {
    uint8_t bytes[16][64];
};
struct Unit {
    bool configured = false;
    int rows[8], columns[8];
    Tile tiles[8];
};
inline Unit& unit() {
    static thread_local Unit it;
    return it;
}

inline void need(bool right, const char* what) {
    if (right) return;
    std::fprintf(stderr, "emulated tiles: %s\n", what);
    std::abort();
}

inline void configure(const void* from) {
    const uint8_t* shape = static_cast<const uint8_t*>(from);
    Unit& u = unit();
    need(shape[0] == 1 && shape[1] == 0, "no such palette");
    for (int i = 0; i < 8; i++) {
        uint16_t columns;
        std::memcpy(&columns, shape + 16 + 2 * i, 2);
        u.rows[i] = shape[48 + i], u.columns[i] = columns;
        need(u.rows[i] >= 1 && u.rows[i] <= 16 && columns >= 1 && columns <= 64, "no such shape");
    }
    std::memset(u.tiles, 0, sizeof u.tiles);
    u.configured = true;
}

inline void load(int to, const void* from, int64_t stride) {
    Unit& u = unit();
    need(u.configured, "not configured");
    std::memset(&u.tiles[to], 0, sizeof(Tile));
    for (int r = 0; r < u.rows[to]; r++)
        std::memcpy(u.tiles[to].bytes[r], static_cast<const char*>(from) + r * stride, u.columns[to]);
}

inline void store(int from, void* to, int64_t stride) {
    Unit& u = unit();
    need(u.configured, "not configured");
    for (int r = 0; r < u.rows[from]; r++)
        std::memcpy(static_cast<char*>(to) + r * stride, u.tiles[from].bytes[r], u.columns[from]);
}

inline float wide(const uint8_t* from) {
    uint16_t half;
    std::memcpy(&half, from, 2);
    const uint32_t bits = uint32_t(half) << 16;
    float x;
    std::memcpy(&x, &bits, 4);
    return x;
}

// c += a b, place after place; the shapes must fit each other.
inline void multiply(int c, int a, int b) {
    Unit& u = unit();
    need(u.configured && u.rows[c] == u.rows[a] && u.columns[c] == u.columns[b] && u.columns[a] == 4 * u.rows[b],
         "shapes that do not fit");
    float right[32][16] = {};
    for (int k = 0; k < u.columns[a] / 2; k++)
        for (int n = 0; n < u.columns[c] / 4; n++) right[k][n] = wide(u.tiles[b].bytes[k / 2] + 4 * n + k % 2 * 2);
    for (int m = 0; m < u.rows[c]; m++) {
        float sums[16];
        std::memcpy(sums, u.tiles[c].bytes[m], 64);
        for (int k = 0; k < u.columns[a] / 2; k++) {
            const float left = wide(u.tiles[a].bytes[m] + 2 * k);
            for (int n = 0; n < 16; n++) sums[n] += left * right[k][n];
        }
        std::memcpy(u.tiles[c].bytes[m], sums, u.columns[c]);
    }
}

inline void clear(int tile) {
    need(unit().configured, "not configured");
    std::memset(&unit().tiles[tile], 0, sizeof(Tile));
}

}  // namespace emulated

#undef _tile_loadconfig
#undef _tile_release
#undef _tile_zero
#undef _tile_loadd
#undef _tile_stored
#undef _tile_dpbf16ps
#define _tile_loadconfig emulated::configure
#define _tile_release() (emulated::unit().configured = false)
#define _tile_zero emulated::clear
#define _tile_loadd emulated::load
#define _tile_stored emulated::store
#define _tile_dpbf16ps emulated::multiply
#define syscall(...) 0L  // the operating system allows them
