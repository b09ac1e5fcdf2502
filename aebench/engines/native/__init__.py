"""Whole epochs on a CPU in one call of our own C++, for models that are chains of known layers.

Linear layers, convolutions and transposed ones of any size, layer and batch norms, activations. The
steps are those of `eager`: same batches, same Adam, same losses within rounding. What is saved is
what stands between the products: gradients that are written only to be read again, threads that
wait for each other after every operation, Python; and in float32 most products of 3 x 3
convolutions. In `bf16` and `bf16x3` products take numbers of 16 bits, or three of them for one of
24 bits; weights, their moments, sums and the loss are float32. The code is compiled for the very
processor when it is first needed, and kept in the user's cache. Models that it does not know, and
machines without a compiler, make the job fail: it is never quietly run another way.

Of the C++, in `engines/cpp`, read in this order:

    common.h       vectors of floats, activations, Adam, a team of threads, a batch
    products.h     products of matrices in each precision: the micro-kernels, the tiles of AMX
    tensors.h      images between layers, and what is done to every number of them
    sliding.h      how a kernel is slid over an image, as products
    winograd.h     3 x 3 convolution with fewer multiplications
    convolution.h, linear.h, norms.h    one layer: forward, backward, its weights
    model.h        all that is learned, and how it is laid out
    chain.h        training steps of a chain: whose turn it is, thread by thread
    panels.h, mlp.h, sparse.h    training steps of an MLP in float32, faster than as a chain
    conv.h         and of the study's `conv` of depth 1
"""

from __future__ import annotations

import copy
import ctypes
from collections.abc import Iterable, Iterator
from dataclasses import replace

import torch
from torch import Tensor, nn

from aebench.engines import training
from aebench.engines.native import bindings, chains, studies
from aebench.engines.native.bindings import Chain, Net, Steps
from aebench.engines.training import WARMUP_STEPS, Setup, Work
from aebench.errors import RequestError

_NOISY_STEPS = 16  # in one call, for each wants its noise in memory


class Native(training.Engine):
    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        self.images = setup.images.contiguous()
        self.rates = torch.tensor(setup.rates, dtype=torch.float64)
        self.lit = 1.0  # noise leaves no pixel at 0
        if not setup.job.train_noise:
            self.lit = int(self.images.count_nonzero()) / self.images.numel()
        self.trained = _Trained(setup.model, setup, self.lit)
        self.optimizer = self.trained.optimizer

    def work(self) -> Work:
        done = super().work()
        skipped, kernels = self.trained.skipped_flops_per_step, self.trained.kernels
        return replace(done, skipped_flops_per_step=skipped, kernels=kernels)

    def load(self) -> None:
        """The images lie where they are read."""

    def compile(self) -> None:
        """Compile the code, unless it has been on this processor.

        Raises:
            RequestError: it cannot be had here, or the processor cannot compute in the precision.
        """
        precision = self.setup.job.precision
        if not bindings.instructions(precision):
            raise RequestError(
                f"engine 'native' in {precision} needs instructions for bf16 (AVX512-BF16 or AMX)"
                " that this processor, or its operating system, does not offer; use --precision"
                " fp32"
            )

    def warm_up(self) -> None:
        """Take a few steps with a copy of the model."""
        twin = _Trained(copy.deepcopy(self.setup.model), self.setup, self.lit)
        self._learn(twin, 0, min(WARMUP_STEPS, self.setup.steps_per_epoch))

    def _train(self, epoch: int, steps: int) -> float:
        return self._learn(self.trained, epoch, steps)

    def _learn(self, trained: _Trained, epoch: int, steps: int) -> float:
        setup = self.setup
        job, shape = setup.job, self.images.shape[1:]
        order, generator = setup.order(epoch), setup.noise(epoch)
        size, first, total = job.batch_size, epoch * setup.steps_per_epoch, 0.0
        at_once = steps if generator is None else _NOISY_STEPS
        for begin in range(0, steps, at_once):
            count = min(at_once, steps - begin)
            here = slice(begin * size, (begin + count) * size)
            noise = None
            if generator is not None:
                batches = [torch.randn(size, *shape, generator=generator) for _ in range(count)]
                noise = torch.cat(batches).mul_(job.train_noise)
            images = self.images[here] if order is None else self.images
            chosen = None if order is None else order[here].contiguous()
            rates = self.rates[first + begin : first + begin + count]
            total += trained.train(count, images, chosen, noise, rates)
        return total


class _Trained:
    """A model, its Adam, and both as C sees them; `lit` is the share of pixels that are not 0."""

    def __init__(self, model: nn.Module, setup: Setup, lit: float) -> None:
        job, shape = setup.job, setup.images.shape[1:]
        self.model = model  # whose weights and statistics C holds by their addresses
        self.batch, self.precision = job.batch_size, job.precision
        parts = chains.parts(model, shape)
        self.planes = shape[0] if parts[0].image[0] < shape[0] else 1
        self.plane_size = shape.numel() // self.planes
        layers = [module for part in parts for module in part.modules]
        if sum(len(list(m.parameters())) for m in layers) != len(list(model.parameters())):
            raise RequestError(
                "engine 'native' knows models whose layers have weights of their own, and some of"
                " this one share theirs; use --engine eager"
            )
        self.counters = [
            m.num_batches_tracked
            for m in chains.batch_norms(model)
            if m.num_batches_tracked is not None
        ]
        # The same numbers, but torch validates a convolution in a quarter of the time.
        model.to(memory_format=setup.layout)
        self.optimizer = torch.optim.Adam(model.parameters(), lr=job.learning_rate)
        for parameter in model.parameters():
            self.optimizer.state[parameter] = {
                "step": torch.zeros(()),
                "exp_avg": torch.zeros_like(parameter),
                "exp_avg_sq": torch.zeros_like(parameter),
            }
        # Whatever is not known to these raises: what they do not take, none of the others does.
        given = [chains.given(part, job.precision, self._addresses) for part in parts]
        self.chains = (Chain * len(given))(*given)
        fp32 = job.precision == "fp32"
        self.mirror = studies.mirror(model, shape, self._addresses) if fp32 else None
        found = [studies.net(part, lit, self._addresses) for part in parts] if fp32 else []
        nets = [net for net in found if net]
        self.nets = (Net * len(nets))(*nets) if len(nets) == len(parts) else None
        flops = (studies.skipped_flops(net, self.batch, lit) for net in self.nets or ())
        self.skipped_flops_per_step = sum(flops)

    @property
    def kernels(self) -> str:
        """What computes the layers, for the record; asked of the code when that is compiled."""
        if self.mirror:
            words = {"conv=native", "conv_transpose=native"}
        elif self.nets:
            words = {"linear=native" + "+sparse" * any(net.sparse for net in self.nets)}
        else:
            words = set(_words(self.chains))
        return " ".join([*sorted(words), f"instructions={bindings.instructions(self.precision)}"])

    def _addresses(self, parameter: Tensor | None) -> tuple[int | None, int | None, int | None]:
        if parameter is None:
            return None, None, None
        state = self.optimizer.state[parameter]
        return parameter.data_ptr(), state["exp_avg"].data_ptr(), state["exp_avg_sq"].data_ptr()

    def train(
        self, count: int, images: Tensor, order: Tensor | None, noise: Tensor | None, rates: Tensor
    ) -> float:
        """Take `count` steps over `images`, uint8, in `order`; the sum of their losses."""
        group = self.optimizer.param_groups[0]
        states = list(self.optimizer.state.values())
        steps = Steps(
            images=images.data_ptr(),
            order=None if order is None else order.data_ptr(),
            noise=None if noise is None else noise.data_ptr(),
            rates=rates.data_ptr(),
            count=count,
            batch=self.batch,
            planes=self.planes,
            plane_size=self.plane_size,
            threads=torch.get_num_threads(),
            beta1=group["betas"][0],
            beta2=group["betas"][1],
            eps=group["eps"],
            taken=int(states[0]["step"]),
        )
        if self.mirror:
            bindings.load().aebench_train_conv(ctypes.byref(steps), self.mirror)
        elif self.nets:
            bindings.load().aebench_train_mlp(ctypes.byref(steps), self.nets, len(self.nets))
        else:
            bindings.load().aebench_train_chain(ctypes.byref(steps), self.chains, len(self.chains))
        for state in states:
            state["step"].fill_(steps.taken)
        for counter in self.counters:
            counter += count
        return float(steps.loss)


def _words(given: Iterable[Chain]) -> Iterator[str]:
    for one in given:
        for stage in one.stages[: one.count]:
            kind = bindings.KINDS[stage.kind]
            if kind != "activation":
                yield f"{kind}=native" + "+winograd" * bindings.is_fast(stage, one.precision)


create = Native
