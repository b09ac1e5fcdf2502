"""The clock with a time and a device of our own; precision as torch tells it; what a device can do.

No test here needs a GPU: the flags of cuDNN can be read without one.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import nn

from aebench import schema
from aebench.engines import PRECISIONS, device
from aebench.engines.device import (
    DeviceClock,
    PhaseClock,
    Warmer,
    autocast,
    read_precision,
    set_precision,
)
from aebench.schema import PHASES

CPU = torch.device("cpu")
CUDA = torch.device("cuda:0")  # only a name here

S = 1_000_000_000


class Fake:
    """Time that passes only when told, and a device with work in its queue."""

    def __init__(self) -> None:
        self.ns = 5 * S
        self.queued = 0
        self.drained = 0
        self.clock = PhaseClock(now=lambda: self.ns, synchronize=self.synchronize)

    def synchronize(self) -> None:
        self.ns += self.queued
        self.queued = 0
        self.drained += 1

    def wait(self, seconds: float) -> None:
        self.ns += round(seconds * S)

    def launch(self, seconds: float) -> None:
        """Give the device work; the host goes on at once."""
        self.queued += round(seconds * S)


@pytest.fixture
def fake() -> Fake:
    return Fake()


def test_blocks_of_a_phase_add_up_and_the_last_is_told(fake: Fake) -> None:
    for seconds in (1, 2, 4):
        with fake.clock.phase("train"):
            fake.wait(seconds)
        assert fake.clock.last_s == seconds
        with fake.clock.phase("eval"):
            fake.wait(0.5)
    assert fake.clock.seconds["train"] == 7
    assert fake.clock.seconds["eval"] == 1.5
    assert set(fake.clock.seconds) == set(PHASES)
    assert sum(fake.clock.seconds.values()) == 8.5


def test_each_phase_pays_for_its_own_work_on_the_device(fake: Fake) -> None:
    fake.launch(10)  # left over from before: nobody's
    with fake.clock.phase("train"):
        fake.launch(3)
    with fake.clock.phase("eval"):
        fake.wait(1)
    assert (fake.clock.seconds["train"], fake.clock.seconds["eval"]) == (3, 1)
    assert fake.drained == 4  # on both sides of each


def test_total_has_what_lies_between_the_phases(fake: Fake) -> None:
    fake.wait(1)
    with fake.clock.phase("data"):
        fake.wait(2)
    fake.wait(4)
    assert fake.clock.total_s() == 7


def test_phases_do_not_nest(fake: Fake) -> None:
    with (
        pytest.raises(RuntimeError, match="'eval' opened inside 'train'"),
        fake.clock.phase("train"),
        fake.clock.phase("eval"),
    ):
        pytest.fail("a second would be counted twice")
    with fake.clock.phase("eval"):  # and the clock is usable afterwards
        fake.wait(1)
    assert fake.clock.seconds["eval"] == 1


def test_a_block_that_raises_is_counted(fake: Fake) -> None:
    def full() -> None:
        with fake.clock.phase("train"):
            fake.wait(2)
            raise MemoryError

    with pytest.raises(MemoryError):
        full()
    assert fake.clock.seconds["train"] == fake.clock.last_s == 2


def test_a_phase_has_a_known_name_and_a_column(fake: Fake) -> None:
    known = "data, build, compile, warmup, train, eval, baseline, samples, probe"
    with (
        pytest.raises(ValueError, match=f"no phase 'trian'; phases are {known}"),
        fake.clock.phase("trian"),
    ):
        pytest.fail("not reached")
    assert {f"{name}_s" for name in PHASES} <= {column.name for column in schema.JOBS}


def test_a_new_clock_has_counted_nothing(fake: Fake) -> None:
    assert fake.clock.seconds == dict.fromkeys(PHASES, 0)
    assert fake.clock.last_s == fake.clock.total_s() == 0
    assert fake.drained == 0


# Precision


@pytest.fixture(autouse=True)
def torchs_own() -> Iterator[None]:
    """Torch's switches as they were, once the test is over."""
    matmul, cudnn = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    yield
    torch.set_float32_matmul_precision(matmul)
    torch.backends.cudnn.allow_tf32 = cudnn


@pytest.mark.parametrize(
    ("precision", "matmul", "cudnn", "told"),
    [
        ("fp32", "highest", False, "matmul=highest cudnn=ieee"),
        ("tf32", "high", True, "matmul=high cudnn=tf32"),
        ("bf16", "highest", False, "matmul=highest cudnn=ieee autocast=bfloat16"),
    ],
)
@pytest.mark.parametrize("before", ["fp32", "tf32"])
def test_both_switches_are_set_whatever_a_job_before_left(
    before: str, precision: str, matmul: str, cudnn: bool, told: str
) -> None:
    set_precision(before)
    set_precision(precision)
    assert torch.get_float32_matmul_precision() == matmul
    assert torch.backends.cudnn.allow_tf32 is cudnn
    assert read_precision(precision) == told


def test_torchs_defaults_are_not_taken_for_either() -> None:
    """TF32 for convolutions and not for products, as torch starts: told as it is, and mended."""
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = True
    assert read_precision("fp32") == "matmul=highest cudnn=tf32"
    set_precision("fp32")
    assert read_precision("fp32") == "matmul=highest cudnn=ieee"


def test_what_is_told_is_read_and_not_assumed() -> None:
    set_precision("fp32")
    torch.set_float32_matmul_precision("medium")
    torch.backends.cudnn.allow_tf32 = True
    assert read_precision("fp32") == "matmul=medium cudnn=tf32"


def test_products_of_an_engine_s_own_are_not_called_torch_s() -> None:
    set_precision("tf32")
    set_precision("bf16x3")
    assert read_precision("bf16", "native") == "matmul=highest cudnn=ieee products=bfloat16"
    assert read_precision("bf16x3", "native") == "matmul=highest cudnn=ieee products=3 x bfloat16"
    assert read_precision("fp32", "native") == "matmul=highest cudnn=ieee"


@pytest.mark.parametrize("precision", PRECISIONS)
def test_only_bf16_casts(precision: str) -> None:
    layer, image = torch.nn.Linear(4, 2), torch.rand(1, 4)
    with autocast(precision, CPU):
        output = layer(image)
    assert output.dtype == (torch.bfloat16 if precision == "bf16" else torch.float32)
    assert layer.weight.dtype == torch.float32


# What the device can do, and in what state it is


def test_a_gpu_is_warmed_first_and_after_pauses_only() -> None:
    time, work = [0.0], []

    def busy(_device) -> None:
        work.append(time[0])
        time[0] += 0.4

    warmer = Warmer(now=lambda: time[0], busy=busy)
    warmer.warm(CUDA)
    assert len(work) == 3  # 1.2 s: the first multiple of 0.4 s from one second on
    time[0] += device.PAUSE_S
    warmer.warm(CUDA)
    assert len(work) == 3
    warmer.was_busy(CUDA)
    time[0] += device.PAUSE_S + 0.1
    warmer.warm(CUDA)
    assert len(work) == 6
    warmer.warm(CPU)
    assert len(work) == 6


def test_device_clock_marks_the_work_and_reads_milliseconds() -> None:
    marks = []

    class Event:
        def record(self) -> None:
            marks.append(self)

        def elapsed_time(self, end: Event) -> float:
            assert marks == [self, end]
            return 1250.0

    clock = DeviceClock(CUDA, event=Event)
    with clock.span():
        assert len(marks) == 1
    assert clock.last_s == 1.25
    assert DeviceClock(CPU).last_s is None


def test_peak_is_kept_and_only_raised(monkeypatch) -> None:
    rates = iter([10.0, 20.0, 15.0])
    monkeypatch.setattr(device, "_PEAKS", {})
    monkeypatch.setattr(device, "_rate", lambda where, dtype: next(rates))
    peak = device.peak_gflops
    assert [peak(CPU, "fp32"), peak(CPU, "fp32")] == [10.0, 10.0]
    assert [peak(CPU, "fp32", again=True), peak(CPU, "fp32", again=True)] == [20.0, 20.0]


@pytest.mark.parametrize(
    ("precision", "fp32", "bf16", "peak"),
    [
        ("fp32", 100.0, 900.0, 100.0),
        ("bf16", 100.0, 900.0, 900.0),
        ("bf16", 100.0, 50.0, 100.0),  # without instructions for it: it may compute in float32
        ("bf16x3", 100.0, 900.0, 300.0),
        ("bf16x3", 400.0, 900.0, 400.0),
    ],
)
def test_the_peak_is_that_of_the_arithmetic_used(
    precision: str, fp32: float, bf16: float, peak: float, monkeypatch
) -> None:
    rates = {torch.float32: fp32, torch.bfloat16: bf16}
    monkeypatch.setattr(device, "_PEAKS", {})
    monkeypatch.setattr(device, "_rate", lambda where, dtype: rates[dtype])
    assert device.peak_gflops(CPU, precision) == peak


def test_the_probe_of_a_busy_machine_is_short_and_its_median_honest(monkeypatch) -> None:
    def probe(*rounds: float) -> tuple[float, int]:
        left = list(rounds)
        monkeypatch.setattr(device, "_seconds", lambda where, work: left.pop(0))
        return device.noise_probe(CPU), len(rounds) - len(left)

    # The first round is not counted, and five are enough.
    assert probe(9.0, 0.005, 0.004, 0.003, 0.001, 0.002, 7.0) == (0.003, 6)
    assert probe(9.0, 0.02, 0.04, 7.0) == (0.03, 3)


def test_waiting_for_a_turn_lowers_no_peak(monkeypatch) -> None:
    def product() -> None:
        clock["wall"] += 0.08
        clock["cpu"] += 0.02  # of both threads

    clock = dict.fromkeys(("wall", "cpu"), 0.0)
    monkeypatch.setattr(device.time, "perf_counter", lambda: clock["wall"])
    monkeypatch.setattr(device.time, "process_time", lambda: clock["cpu"])
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    monkeypatch.setattr(device, "_synchronize", lambda where: None)
    assert device._computing_s(CPU, product) == pytest.approx(0.01)
    assert device._computing_s(CUDA, product) == pytest.approx(0.08)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 0.1)  # more CPU time than by the wall
    assert device._computing_s(CPU, product) == pytest.approx(0.08)
    monkeypatch.setattr(device, "_CLOCK_S", 0.0)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    assert device._computing_s(CPU, product) == pytest.approx(0.08)


def test_a_peak_leaves_out_what_its_products_waited(monkeypatch) -> None:
    monkeypatch.setattr(device, "_seconds", lambda where, work: 1.0)
    monkeypatch.setattr(device, "_computing_s", lambda where, work: 0.5)
    assert device._rate(CPU, torch.float32) == pytest.approx(2 * 1024**3 / 0.5 / 1e9)


def test_products_multiply() -> None:
    a = torch.arange(16.0).reshape(4, 4)
    for product in device._products(CPU, torch.float32):
        found = product(a, torch.empty_like(a))
        assert any(torch.equal(found, expected) for expected in (a @ a, a @ a.T))  # type: ignore[arg-type]


def test_saving_of_fast_convolution() -> None:
    assert device.conv_saving(nn.Sequential(nn.Linear(3, 3))) == 1
    assert device.conv_saving(nn.Conv2d(1, 1, 3)) == 4
    assert device.conv_saving(nn.Conv2d(1, 1, 1)) == 1


def test_a_product_that_the_processor_has_not_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(*_: object) -> None:
        raise RuntimeError("could not create a primitive descriptor")

    monkeypatch.setattr(torch.ops.mkldnn, "_linear_pointwise", refuses, raising=False)
    (product,) = device._products(CPU, torch.bfloat16)
    a = torch.ones(4, 4, dtype=torch.bfloat16)
    assert torch.equal(product(a, torch.empty_like(a)), a @ a)
