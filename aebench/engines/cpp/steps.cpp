// Training steps on a CPU, many in one call: what `native` runs.
#include "chain.h"
#include "conv.h"
#include "mlp.h"

extern "C" {

void aebench_train_mlp(Steps* steps, const Net* nets, int64_t count) { mlp::train(*steps, nets, count); }

void aebench_train_conv(Steps* steps, const Mirror* mirror) { conv::train(*steps, *mirror); }

void aebench_train_chain(Steps* steps, const chain::Chain* chains, int64_t count) {
#if defined(HAS_BF16)
    if (chains->precision == chain::BF16) return chain::train<chain::Bf16>(*steps, chains, count);
    if (chains->precision == chain::BF16X3) return chain::train<chain::Bf16x3>(*steps, chains, count);
#endif
    chain::train<chain::Float32>(*steps, chains, count);
}

// What the products of a precision are computed by; null: this processor or its system does not have it.
const char* aebench_instructions(int64_t precision) {
    if (precision == chain::FP32) return V == 16 ? "avx512" : V == 8 ? "avx" : "vectors";
#if defined(HAS_TILES)
    return chain::Tiles::allowed() ? "amx" : nullptr;
#elif defined(HAS_BF16)
    return "avx512-bf16";
#else
    return nullptr;
#endif
}
}
