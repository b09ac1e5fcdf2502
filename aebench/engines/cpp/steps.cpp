// Training steps on a CPU, many in one call: what `native` runs.
#include "chain.h"
#include "conv.h"
#include "mlp.h"

namespace chain {

// All threads' shares of the chains that a model is made of, step by step.
template <class P>
static void train(Steps& steps, const Chain* chains, int64_t count) {
    Team team(steps.threads);
    std::vector<std::unique_ptr<Model<P>>> models;
    for (int64_t i = 0; i < count; i++) models.push_back(std::make_unique<Model<P>>(chains[i], team.size));
    std::vector<std::vector<std::unique_ptr<Share<P>>>> owned(count);
    std::vector<std::vector<Share<P>*>> shares(count);
    for (int64_t i = 0; i < count; i++) owned[i].resize(team.size), shares[i].resize(team.size);
    std::vector<double> losses(team.size);
    team.run([&](int64_t me) {
        for (int64_t i = 0; i < count; i++) {
            models[i]->read(me, team.size);
            owned[i][me] = std::make_unique<Share<P>>(*models[i], steps, team, me);  // in memory near this thread
            shares[i][me] = owned[i][me].get();
        }
        team.barrier();
        for (int64_t i = 0; i < count; i++) shares[i][me]->pack();
        for (int64_t at = 0; at < steps.count; at++) {
            for (int64_t i = 0; i < count; i++) losses[me] += shares[i][me]->train(at);
            team.barrier();
            const Adam adam(steps.rates[at], steps.beta1, steps.beta2, steps.eps, steps.taken + at + 1);
            for (int64_t i = 0; i < count; i++) shares[i][me]->learn(shares[i], adam);
        }
        for (int64_t i = 0; i < count; i++) models[i]->write(me, team.size);
#if defined(HAS_TILES)
        Tiles::release();
#endif
    });
    for (const double loss : losses) steps.loss += loss / double(steps.batch * steps.planes * steps.plane);
    steps.taken += steps.count;
}

}  // namespace chain

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

// Whether a stage is a convolution that takes fewer multiplications.
int aebench_is_fast(const chain::Stage* stage, int64_t precision) {
    return precision == chain::FP32 && chain::convolves(*stage) && chain::Winograd::fits(chain::geometry(*stage));
}

// What the products of a precision are computed by; null: this processor or its system does not have it.
const char* aebench_instructions(int64_t precision) {
    if (precision == chain::FP32) return V == 16 ? "avx512" : V == 8 ? "avx" : "vectors";
#if defined(HAS_TILES)
    return chain::Tiles::allowed() ? "amx_bf16" : nullptr;
#elif defined(HAS_BF16)
    return "avx512_bf16";
#else
    return nullptr;
#endif
}
}
