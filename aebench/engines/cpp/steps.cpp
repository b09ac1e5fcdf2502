// Training steps on a CPU, many in one call, for the models of the study: what `native` runs.
#include "conv.h"
#include "mlp.h"

extern "C" {

void aebench_train_mlp(Steps* steps, const Net* nets, int64_t count) { mlp::train(*steps, nets, count); }

void aebench_train_conv(Steps* steps, const Mirror* mirror) { conv::train(*steps, *mirror); }
}
