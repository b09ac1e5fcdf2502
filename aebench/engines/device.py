"""The device that computes: its precision, its time, what it can do and in what state it is.

Precision is set in one place, once per job, and read back for the record. Every second in a
record passes through `PhaseClock`; what belongs to which phase is decided by the worker. The rate
of a large matrix product is the peak that a job is held against; it, a short noise probe and a
warm second for a GPU that was idle all lie outside the timed phases.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from functools import partial
from math import prod
from typing import Any

import torch
from torch import Tensor, nn

from aebench.engines import ENGINES
from aebench.schema import PHASES

# A peak is measured in moments and may be missed by turbo clocks or a busy neighbour.
MARGIN = 1.2
PAUSE_S = 2.0  # a GPU that was idle for longer gets a warm second
WARM_S = 1.0

_PEAKS: dict[tuple[str, str, int], float] = {}
_BF16_PRODUCTS = {"bf16": 1, "bf16x3": 3}
_LONG_S = 0.02  # one product of this length is long enough to know its rate
_CLOCK_S = 1e-5  # a clock of coarser ticks (on Windows 16 ms) tells no product's time
_LARGEST = {"cpu": 4096, "cuda": 8192}
# Size of the noise probe: rows of the square matrix, numbers copied, copies. The work of a round
# is fixed, so that its time tells about the machine: some 4 ms on two cores or on a large GPU.
# On a CPU it is two parallel regions only, since on a busy machine each costs a time slice.
_NOISE = {"cpu": (768, 1 << 22, 1), "cuda": (4096, 1 << 24, 16)}
_ROUNDS = 5
_ENOUGH_S = 0.03  # no further round after this, so that the probe of a busy machine is short too


# torch's defaults are unfair across architectures (IEEE float32 for matrix products, TF32 for
# cuDNN's convolutions), so both switches are always set together. Only these two are used: mixing
# them with the newer `fp32_precision` settings makes torch's compiler raise.


def set_precision(precision: str) -> None:
    """Make what this process computes in by torch: `tf32` where that is asked, else `fp32`.

    bf16 is asked of torch by `autocast`; bf16x3, and the bf16 of engine native, are that engine's.
    """
    torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")
    torch.backends.cudnn.allow_tf32 = precision == "tf32"


def autocast(precision: str, device: torch.device) -> AbstractContextManager[object]:
    """The context to run a forward pass in: bfloat16 autocast for `bf16`, nothing otherwise."""
    if precision == "bf16":
        return torch.autocast(device.type, dtype=torch.bfloat16)
    return nullcontext()


@contextmanager
def ieee_float32() -> Iterator[None]:
    """Compute in IEEE float32 inside the block, and as before after it."""
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    set_precision("fp32")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before[0])
        torch.backends.cudnn.allow_tf32 = before[1]


def read_precision(precision: str, engine: str = "eager") -> str:
    """What torch says of itself now, for the record, and what bf16 is made of beside it."""
    matmul = torch.get_float32_matmul_precision()
    cudnn = "tf32" if torch.backends.cudnn.allow_tf32 else "ieee"
    ours = ENGINES[engine].source is not None
    how = {"bf16": "bfloat16", "bf16x3": "3 x bfloat16"}.get(precision)
    cast = f" {'products' if ours else 'autocast'}={how}" if how else ""
    return f"matmul={matmul} cudnn={cudnn}{cast}"


class PhaseClock:
    """Adds up seconds per phase. Phases do not nest: no second is counted twice.

    `now` gives nanoseconds; `synchronize` returns when the device has nothing left to do.
    """

    def __init__(
        self,
        now: Callable[[], int] = time.perf_counter_ns,
        synchronize: Callable[[], None] = lambda: None,
    ) -> None:
        self._now = now
        self._synchronize = synchronize
        self._started = now()
        self._open: str | None = None
        self.seconds = dict.fromkeys(PHASES, 0.0)
        self.last_s = 0.0

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Time the block as part of `name`; `last_s` then holds this block's seconds.

        The device is drained on both sides, so earlier work is not charged to this phase and
        its own work is not charged to the next. A block that raises is counted as well.
        """
        if name not in self.seconds:
            raise ValueError(f"no phase {name!r}; phases are {', '.join(PHASES)}")
        if self._open is not None:
            raise RuntimeError(f"phase {name!r} opened inside {self._open!r}")
        self._synchronize()
        self._open = name
        start = self._now()
        try:
            yield
            self._synchronize()
        finally:
            self.last_s = (self._now() - start) / 1e9
            self.seconds[name] += self.last_s
            self._open = None

    def go_on(self, seconds: Mapping[str, float], total_s: float) -> None:
        """Add seconds of phases, and of all, that another clock has counted for the same job."""
        for name, took in seconds.items():
            self.seconds[name] += took
        self._started -= round(total_s * 1e9)

    def total_s(self) -> float:
        """Seconds since the clock was made, phases and everything between them."""
        return (self._now() - self._started) / 1e9


def peak_gflops(device: torch.device, precision: str, *, again: bool = False) -> float:
    """Largest rate of a large matrix product on `device`, 1e9 FLOP/s, at the precision now set.

    Measured once per process, precision and number of threads, in about a second on a CPU, where
    the time that threads wait for their turn does not count; with `again` once more, and the larger
    of both is kept. There torch gives products to MKL, which on some processors reaches half of
    what oneDNN does, so both are asked; `bf16` may also compute in float32, so its peak is that of
    the faster one, and so may `bf16x3`, which takes three products of bfloat16 for one.
    """
    key = (str(device), precision, torch.get_num_threads())
    if again or key not in _PEAKS:
        rate = _rate(device, torch.float32)
        if products := _BF16_PRODUCTS.get(precision):
            rate = max(rate, _rate(device, torch.bfloat16) / products)
        _PEAKS[key] = max(rate, _PEAKS.get(key, 0.0))
    return _PEAKS[key]


def _rate(device: torch.device, dtype: torch.dtype) -> float:
    size, best, products = 1024, 0.0, _products(device, dtype)
    while True:
        a = torch.full((size, size), 0.5, dtype=dtype, device=device)
        out = torch.empty_like(a)
        taken = [
            min(_computing_s(device, partial(product, a, out)) for _ in range(3))
            for product in products
        ]
        seconds = min(taken)
        best = max(best, 2 * size**3 / seconds / 1e9)
        if seconds >= _LONG_S or size >= _LARGEST[device.type]:
            return best
        products = [products[taken.index(seconds)]]  # the others would be slower again
        size *= 2


def _products(device: torch.device, dtype: torch.dtype) -> list[Callable[[Tensor, Tensor], object]]:
    """Ways to multiply a matrix with itself, or with its transpose as a linear layer does."""
    ways: list[Callable[[Tensor, Tensor], object]] = [lambda a, out: torch.mm(a, a, out=out)]
    if device.type == "cpu" and torch.backends.mkldnn.is_available():
        one_dnn = getattr(torch.ops.mkldnn, "_linear_pointwise", None)
        if one_dnn is not None:
            a = torch.ones(16, 16, dtype=dtype)
            # Without AVX-512 it has no products of bfloat16, and says so by this alone.
            with suppress(RuntimeError):
                one_dnn(a, a, None, "none", [], "")
                ways.append(lambda a, _: one_dnn(a, a, None, "none", [], ""))
    return ways


def conv_saving(model: nn.Module) -> float:
    """How many times fewer multiplications fast convolution may need than `flops` counts.

    A. Lavin, S. Gray: Fast Algorithms for Convolutional Neural Networks (CVPR 2016): F(m, r)
    takes m + r - 1 multiplications instead of m r in each direction, and libraries go up to
    m = 4: 4 times fewer for kernels of 3 x 3. 1 for models without convolutions.
    """
    kernels = [m.kernel_size for m in model.modules() if isinstance(m, nn.modules.conv._ConvNd)]
    return max((prod(4 * r / (r + 3) for r in kernel) for kernel in kernels), default=1.0)


def noise_probe(device: torch.device) -> float:
    """Seconds of a fixed piece of work, a matrix product and copies: the median of its rounds."""
    size, numbers, copies = _NOISE[device.type]
    a = torch.full((size, size), 0.5, device=device)
    product, source = torch.empty_like(a), torch.zeros(numbers, device=device)
    target = torch.empty_like(source)

    def work() -> None:
        torch.mm(a, a, out=product)
        for _ in range(copies):
            target.copy_(source)

    _seconds(device, work)  # the first round pays for fresh memory
    rounds: list[float] = []
    while len(rounds) < _ROUNDS and sum(rounds) < _ENOUGH_S:
        rounds.append(_seconds(device, work))
    return statistics.median(rounds)


class Warmer:
    """Keeps a GPU busy for a second where it was idle, since an idle one is clocked down."""

    def __init__(
        self,
        now: Callable[[], float] = time.monotonic,
        busy: Callable[[torch.device], None] | None = None,
    ) -> None:
        self._now, self._busy = now, busy or _busy
        self._last: dict[torch.device, float] = {}

    def warm(self, device: torch.device) -> None:
        """Bring `device` to speed before its first timed work and after pauses."""
        if device.type == "cpu":
            return
        last = self._last.get(device)
        if last is None or self._now() - last > PAUSE_S:
            start = self._now()
            while self._now() - start < WARM_S:
                self._busy(device)
        self.was_busy(device)

    def was_busy(self, device: torch.device) -> None:
        """Say that `device` has worked until now."""
        self._last[device] = self._now()


def _busy(device: torch.device) -> None:
    a = torch.full((4096, 4096), 0.5, device=device)
    torch.mm(a, a)
    _synchronize(device)


class DeviceClock:
    """Seconds of a piece of work by the accelerator's own clock; None on a CPU.

    Two events are put into the device's queue, so nothing waits; `last_s` may be read once the
    device has finished.
    """

    def __init__(self, device: torch.device, event: Callable[[], Any] | None = None) -> None:
        if event is None and device.type == "cuda":
            event = partial(torch.cuda.Event, enable_timing=True)
        self._marks = (event(), event()) if event else None

    @contextmanager
    def span(self) -> Iterator[None]:
        """Put the work of this block between two events."""
        if self._marks:
            self._marks[0].record()
        yield
        if self._marks:
            self._marks[1].record()

    @property
    def last_s(self) -> float | None:
        """Seconds of the last span."""
        if not self._marks:
            return None
        return float(self._marks[0].elapsed_time(self._marks[1])) / 1e3


def _seconds(device: torch.device, work: Callable[[], object]) -> float:
    _synchronize(device)
    start = time.perf_counter()
    work()
    _synchronize(device)
    return time.perf_counter() - start


def _computing_s(device: torch.device, work: Callable[[], object]) -> float:
    """Seconds of `work`, without those in which a CPU's threads waited for their turn.

    A job of milliseconds fits between two turns of a busy neighbour, a large product does not: by
    the clock on the wall its rate would be no peak. A thread that waits has no CPU time, so a
    thread's mean share of the process's is never too long.
    """
    start = time.process_time()
    wall_s = _seconds(device, work)
    if device.type != "cpu" or time.get_clock_info("process_time").resolution > _CLOCK_S:
        return wall_s
    return min(wall_s, (time.process_time() - start) / torch.get_num_threads())


def _synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
