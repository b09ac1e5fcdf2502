"""One job, from its description to its stored record.

`run_job` walks a job through its phases (data, build, compile, warm-up, train with validation
after each epoch, test, samples, baselines, probes) with the clock, watches what disturbs the
training, and turns however it ends into a record. `run_jobs` does so with jobs that are trained
together as one model: each of their records holds an equal share of the seconds. Where this runs,
and what becomes of a worker that dies, is the executor's business.
"""

from __future__ import annotations

import contextlib
import ctypes
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from math import prod
from pathlib import Path

import torch
from torch import Tensor, nn

from aebench import datasets, engines, interference, machine
from aebench.architectures.autoencoder import build
from aebench.engines import calibration
from aebench.engines.clock import PhaseClock
from aebench.engines.precision import read_precision, set_precision
from aebench.errors import RequestError
from aebench.evaluation import appearance, baselines, errors, probes, samples
from aebench.evaluation.curves import Split
from aebench.job import Job
from aebench.records import Circumstances, starting_row
from aebench.store import Record, Row

OnEpoch = Callable[[int, float, float], None]
"""Called after each epoch with its number, mean training loss and validation MSE."""
OnMemberEpoch = Callable[[int, int, float, float], None]
"""The same for one of several jobs: first comes its place among them."""


class Diverged(Exception):
    """The training loss is no longer a finite number."""


class Implausible(Exception):
    """The job ended, but cannot have done what it was asked to."""


@dataclass(frozen=True)
class _Splits:
    pool: _Pool
    indices: Tensor  # where the training split lies in the pool
    validation: Tensor

    @property
    def train(self) -> Tensor:
        """The training split in its order, copied out of the pool."""
        return self.pool.images[self.indices]

    @cached_property
    def mean(self) -> Tensor:
        """The mean training image, float64 [C, H, W], pixels in [0, 1]."""
        total = torch.zeros(self.pool.images.shape[1:], dtype=torch.float64)
        # Sums of so few bytes are whole numbers below 2^24, exact in float32; torch would add up
        # all of them in int64 by way of a copy eight times as large.
        for some in self.indices.split(4096):
            total += self.pool.images[some].to(torch.float32).sum(0)
        return total / (255 * len(self.indices))


@dataclass(frozen=True)
class _Pool:
    images: Tensor  # train and validation, in the order of the data set
    test: Tensor
    validation_images: int
    source: str
    sha256: str


@lru_cache(maxsize=2)  # a worker meets the same few again and again; two fit any memory
def _pool(name: str, directory: Path | None) -> _Pool:
    data = datasets.load(name, directory)
    return _Pool(
        images=torch.from_numpy(data.train.copy()),
        test=torch.from_numpy(data.test.copy()),
        validation_images=data.info.validation_images,
        source=data.source,
        sha256=data.sha256,
    )


def _splits(name: str, seed: int, directory: Path | None) -> _Splits:
    pool = _pool(name, directory)
    train, validation = datasets.split(len(pool.images), pool.validation_images, seed)
    return _Splits(pool, torch.from_numpy(train), pool.images[torch.from_numpy(validation)])


def warm_process() -> None:
    """Prepare this process for jobs, once, so that no job pays for it or profits by coming later.

    The C library's allocator is told to keep freed memory rather than return it to the system:
    otherwise every step of a conv takes thousands of page faults, half of its time. This holds
    for all engines alike. torch then loads what it needs to measure a model, some three seconds,
    Pillow what it needs to open a photograph, and psutil what it needs to look at the machine.
    """
    if sys.platform == "linux":
        keep, trim_threshold, mmap_threshold = 1 << 30, -1, -3  # names and numbers: malloc.h
        with contextlib.suppress(OSError, AttributeError):  # a C library without mallopt
            libc = ctypes.CDLL(None)
            libc.mallopt(trim_threshold, keep)
            libc.mallopt(mmap_threshold, keep)
    build(Job("conv", "digits", latent=1), (1, 8, 8))
    probes.photo(probes.PHOTOS[0], channels=1)
    machine.describe()


_warmer = calibration.Warmer()  # knows when this process last kept a GPU busy


def run_job(
    job: Job,
    where: Circumstances | None = None,
    on_epoch: OnEpoch | None = None,
) -> Record:
    """Run one job in this process and return its record, whatever happens to it.

    Only `KeyboardInterrupt` and its like pass through; every other exception becomes a record
    with status `failed`, `out_of_memory` or `diverged` and its reason.
    """
    return run_jobs([job], where, (lambda _, *told: on_epoch(*told)) if on_epoch else None)[0]


def run_jobs(
    jobs: Sequence[Job],
    where: Circumstances | None = None,
    on_epoch: OnMemberEpoch | None = None,
) -> list[Record]:
    """Run jobs that are trained together and return a record of each, as `run_job` does.

    Several jobs must be alike in all but seed and repeat, and name an engine that takes several.
    What befalls their common training befalls all of them; a member that diverges does so alone.
    """
    where = where or Circumstances(device=jobs[0].device)
    device = torch.device(where.device)
    on_gpu = device.type == "cuda" and torch.cuda.is_available()
    clock = PhaseClock(
        synchronize=(lambda: torch.cuda.synchronize(device)) if on_gpu else (lambda: None)
    )
    surroundings = _Surroundings(where, device, clock)
    members = [_Progress(job, surroundings, place) for place, job in enumerate(jobs)]
    try:
        with torch.random.fork_rng(devices=[device] if on_gpu else []):
            _run(members, surroundings, on_epoch)
    except Exception as error:
        for member in members:
            member.end(error)
    return [member.record(len(jobs)) for member in members]


class _Surroundings:
    """What the jobs trained together share: the device, the clock and the watch over them."""

    def __init__(self, where: Circumstances, device: torch.device, clock: PhaseClock) -> None:
        self.where, self.device, self.clock = where, device, clock
        self.watch = interference.Watch()
        self.device_clock = calibration.DeviceClock(torch.device("cpu"))
        self.peak_device_bytes: int | None = None

    def prepare(self) -> None:
        """Get ready to watch the device.

        Raises:
            RequestError: it is a CUDA device that this torch cannot use.
        """
        if self.device.type == "cuda":
            if not torch.cuda.is_available():
                raise RequestError("no CUDA device that this torch can use; try --device cpu")
            torch.cuda.reset_peak_memory_stats(self.device)
            # torch leaves out how NVIDIA begins its names.
            uuid = f"GPU-{torch.cuda.get_device_properties(self.device).uuid}"
            self.watch = interference.Watch(gpu=interference.nvidia(uuid))
        self.device_clock = calibration.DeviceClock(self.device)

    @contextlib.contextmanager
    def aside(self) -> Iterator[None]:
        """Measure something of the device, whose memory is not the job's."""
        self.see_peak()
        yield
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)

    def see_peak(self) -> None:
        """Note the most memory held on the device since the last look."""
        if self.device.type == "cuda" and torch.cuda.is_available():
            now = torch.cuda.max_memory_allocated(self.device)
            self.peak_device_bytes = max(now, self.peak_device_bytes or 0)


def _run(members: list[_Progress], around: _Surroundings, on_epoch: OnMemberEpoch | None) -> None:
    """Take jobs that are trained together through every phase.

    Raises:
        Implausible, RequestError, torch.OutOfMemoryError: see `run_job`.
    """
    job, where, device, clock = members[0].job, around.where, around.device, around.clock
    around.prepare()
    if where.threads:
        torch.set_num_threads(where.threads)
    set_precision(job.precision)
    told = machine.describe(device)
    told |= {"threads": torch.get_num_threads(), "precision_read": read_precision(job.precision)}
    for member in members:
        member.row |= told
    with around.aside():
        calibration.peak_gflops(device, job.precision)  # once in this process
    with clock.phase("data"):
        for member in members:
            member.load()
    with clock.phase("build"):
        setups = [member.build() for member in members]
        engine = engines.create(*setups)
    with clock.phase("data"):
        engine.load()
    with clock.phase("compile"):
        engine.compile()
    for member in members:
        member.row["engine_note"] = getattr(engine, "note", "")
        member.row["skipped_flops_per_step"] = getattr(engine, "skipped_flops_per_step", 0)
    with clock.phase("warmup"):
        engine.warm_up()
        for member in members:
            member.row["kernels"] = getattr(engine, "kernels", "torch")
            member.validate(errors.STUDY_BATCH)
    with around.aside():
        _warmer.warm(device)
        noise_before_s = calibration.noise_probe(device)
    # A model that draws random numbers as it trains, such as one with dropout, draws the
    # same ones whatever ran in this process before.
    torch.manual_seed(job.seed)
    with around.watch.training():
        for epoch in range(1, job.epochs + 1):
            with around.watch.epoch(), clock.phase("train"), around.device_clock.span():
                mean_losses = engine.train_epoch()
            seconds = clock.last_s, around.device_clock.last_s
            for member, loss in zip(members, mean_losses.reshape(-1).tolist(), strict=True):
                if not member.ended:
                    member.after_epoch(epoch, loss, *seconds, on_epoch)
            if all(member.ended for member in members):
                return
    with around.aside():
        noise_after_s = calibration.noise_probe(device)
    _warmer.was_busy(device)
    taken = engines.steps_taken(engine)
    for member in members:
        member.row |= {"noise_before_s": noise_before_s, "noise_after_s": noise_after_s}
        if not member.ended:
            member.row["loading_s"] = getattr(engine, "loading_s", None)
            member.finish(member.steps if taken is None else taken, len(members))


class _Progress:
    """A job under way: the row grows as things become known, so a failure keeps the rest."""

    def __init__(self, job: Job, around: _Surroundings, place: int) -> None:
        self.job, self.around, self.place = job, around, place
        self.where, self.device, self.clock = around.where, around.device, around.clock
        self.together = job.engine == "batched"
        self.row: Row = starting_row(job, self.where)
        self.epochs: list[Row] = []
        self.samples: list[Row] = []
        self.baselines: list[Row] = []
        self.probes: list[Row] = []

    @property
    def ended(self) -> bool:
        """Whether it is known how the job ended."""
        return "status" in self.row

    def end(self, error: Exception | None) -> None:
        """Note how the job ended, unless it has ended before."""
        if self.ended:
            return
        if error is None:
            status, reason = "ok", ""
        elif isinstance(error, Diverged):
            status, reason = "diverged", str(error)
        elif isinstance(error, torch.OutOfMemoryError | MemoryError):
            status, reason = "out_of_memory", _first_line(error)
        elif isinstance(error, Implausible | RequestError):
            status, reason = "failed", str(error)
        else:
            memory = "can't allocate memory" in str(error)
            status, reason = "out_of_memory" if memory else "failed", _describe(error)
        self.row |= {"status": status, "reason": reason}

    def load(self) -> None:
        """Have the data in memory, and validation and test images on the device."""
        self.splits = _splits(self.job.dataset, self.job.seed, self.where.data)
        self.validation = self.splits.validation.to(self.device)
        pool = self.splits.pool
        self.images = pool.images if self.together else self.splits.train
        self.test = pool.test.to(self.device)
        self.row |= {
            "data_source": pool.source,
            "data_sha256": pool.sha256,
            "train_images": len(self.splits.indices),
        }

    def build(self) -> engines.Setup:
        """Build and measure the model."""
        job, images = self.job, self.images
        shape = (images.shape[1], images.shape[2], images.shape[3])
        model, self.size = build(job, shape)
        self.model = model.to(self.device)
        split = self.splits.indices if self.together else None
        setup = engines.Setup(job, self.model, images, self.device, split)
        if setup.steps_per_epoch == 0:
            raise RequestError(
                f"batch_size {job.batch_size} is more than the {setup.count} training"
                f" images of {job.dataset}; no full batch is left"
            )
        self.steps = setup.steps_per_epoch * job.epochs
        self.row |= {
            "input_size": prod(shape),
            "parameters": self.size.parameters,
            "bottleneck": self.size.bottleneck,
            "compression": prod(shape) / self.size.bottleneck,
            "flops_per_step": self.size.flops * job.batch_size,
        }
        return setup

    def validate(self, images: int | None = None) -> errors.Errors:
        """Errors over the first `images` of the validation split; over all without a number."""
        some = self.validation[:images]
        return errors.measure(self.model, some, self.device, self.job.precision)

    def after_epoch(
        self,
        epoch: int,
        train_mse: float,
        train_s: float,
        device_train_s: float | None,
        on_epoch: OnMemberEpoch | None,
    ) -> None:
        """Note an epoch and its validation, or that the training has diverged."""
        if not math.isfinite(train_mse):
            self.end(Diverged(f"the mean training loss of epoch {epoch} is {train_mse}"))
            return
        with self.clock.phase("eval"):
            val = self.validate()
        self.epochs.append(
            {
                "epoch": epoch,
                "train_mse": train_mse,
                "val_mse": val.mse,
                "train_s": None if self.together else train_s,
                "device_train_s": None if self.together else device_train_s,
                "val_s": self.clock.last_s,
            }
        )
        self.row |= {"train_mse": train_mse, "val_mse": val.mse}
        if on_epoch:
            on_epoch(self.place, epoch, train_mse, val.mse)

    def finish(self, steps: int, members: int) -> None:
        """Test and probe the trained model, and set it beside the exact baselines."""
        try:
            self._rates(steps, members)
            self._finish()
        except Exception as error:
            self.end(error)
        else:
            self.end(None)

    def _rates(self, taken: int, members: int) -> None:
        """Say how fast it was.

        Raises:
            Implausible: faster than the arithmetic allows, or fewer steps than planned.
        """
        train_s = self.clock.seconds["train"] / members
        flops = taken * (self.row["flops_per_step"] - self.row["skipped_flops_per_step"])
        self.row["steps"] = taken
        if not self.together:
            self.row |= {
                "images_per_s": taken * self.job.batch_size / train_s,
                "gflops": flops / train_s / 1e9,
            }
        if taken != self.steps:
            raise Implausible(
                f"{taken} training steps taken, {self.steps} planned: a defect of engine"
                f" {self.job.engine}"
            )
        allowed = calibration.MARGIN * calibration.conv_saving(self.model)
        for again in (False, True):  # a peak measured in a disturbed moment condemns nobody
            peak = calibration.peak_gflops(self.device, self.job.precision, again=again)
            floor_s = flops / peak / 1e9
            self.row |= {
                "peak_gflops": peak,
                "flop_floor_s": floor_s,
                "roofline_fraction": floor_s / train_s,
            }
            if floor_s / train_s <= allowed:
                return
        raise Implausible(
            f"training took {train_s:.3g} s, but its arithmetic alone takes {floor_s:.3g} s at the"
            f" {peak:,.0f} GFLOP/s measured here: not all of it was done, or the clock is wrong"
        )

    def _finish(self) -> None:
        job, device, clock, test = self.job, self.device, self.clock, self.test
        with clock.phase("eval"):
            found = errors.measure(self.model, test, device, job.precision)
        if not math.isfinite(found.mse):  # the last step may do this, and no loss follows it
            raise Diverged(f"the test error after the last epoch is {found.mse}")
        self.row |= {
            "study_error": None if math.isnan(found.study_error) else found.study_error,
            "mse": found.mse,
            "psnr_db": found.psnr_db,
        }
        with clock.phase("samples"):
            self.samples = samples.strips(self.model, test, device, job.precision)
        with clock.phase("baseline"):
            self._baselines(self.splits, self.size.bottleneck)
        with clock.phase("probe"):
            self._probe(self.model, test, self.splits.mean)

    def _baselines(self, splits: _Splits, bottleneck: int) -> None:
        directory = self.where.data or datasets.cache_directory()
        # The seed and how many images are held out say which of the pixels are fitted to.
        fitted = Split(splits.pool.sha256, self.job.seed, len(splits.indices))
        train = splits.train if self.together else self.images
        curve = baselines.curve(train, splits.pool.test, fitted, directory, self.device)
        self.row |= {
            "mean_mse": float(curve[0]),
            "pca_mse": float(curve[min(bottleneck, len(curve) - 1)]),
        }
        self.baselines = [
            {"dataset": self.job.dataset, "seed": self.job.seed, "components": k, "mse": float(e)}
            for k, e in enumerate(curve)
        ]

    def _probe(self, model: nn.Module, test: Tensor, mean: Tensor) -> None:
        job = self.job
        self.row |= appearance.measure(model, test, self.device, job.precision)
        subject = probes.Subject(model, job.dataset, test, mean, self.device, job.precision)
        for rows, pictures in (
            probes.denoising(subject),
            probes.strangers(subject, self.where.data),
        ):
            self.probes += rows
            self.samples += pictures

    def record(self, members: int) -> Record:
        """The record as it stands, times included; `members` jobs share them equally."""
        self.around.see_peak()
        seconds = {f"{phase}_s": s / members for phase, s in self.clock.seconds.items()}
        if self.together:
            self.row |= {"batch_members": members, "amortised_train_s": seconds.pop("train_s")}
        else:
            cold = ("build_s", "compile_s", "warmup_s", "train_s")
            device_s = [row["device_train_s"] for row in self.epochs]
            self.row |= {
                "cold_s": sum(seconds[phase] for phase in cold),
                "device_train_s": sum(device_s) if device_s and None not in device_s else None,
            }
        self.row |= seconds
        self.row |= self.around.watch.columns()
        self.row |= {
            "total_s": self.clock.total_s() / members,
            "peak_host_bytes": machine.peak_host_bytes(),
            "peak_device_bytes": self.around.peak_device_bytes,
        }
        key = {"key": self.job.key}
        return Record(
            job=self.row,
            epochs=[key | row for row in self.epochs],
            samples=[key | row for row in self.samples],
            baselines=self.baselines,
            probes=[key | row for row in self.probes],
        )


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__


def _describe(error: BaseException) -> str:
    """Type, message and the place in the code, on one line: enough to find a defect."""
    place = ""
    trace = error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        place = f" ({Path(code.co_filename).name}:{trace.tb_lineno} in {code.co_name})"
        trace = trace.tb_next
    return f"{type(error).__name__}: {_first_line(error)}{place}"
