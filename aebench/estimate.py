"""How long a job will take, before it runs: a range, from what this store measured and rough rates.

A job costs what does not depend on its size (start-up, data, building, warm-up, baselines) and
what does: steps, and images to evaluate. A step is taken to cost ``overhead + arithmetic / rate``,
the rate growing with the threads, so a step measured at one amount of arithmetic bounds those at
others from both sides; within the bounds a rough rate speaks, the more the farther the measured job
was from this one in size. Used for plans, budgets and progress bars only; nothing that is reported
as measured comes from here.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from aebench import architectures, datasets, machine
from aebench.engines import ENGINES
from aebench.errors import RequestError
from aebench.grid import size, steps, system
from aebench.job import Job

if TYPE_CHECKING:
    import pandas as pd

    from aebench.store import Survey

# What a rate depends on.
_ALIKE = ("architecture", "depth", "options", "engine", "precision", "device")
_Alike = tuple[object, ...]


class Rate(NamedTuple):
    """What a step costs besides its arithmetic, in seconds, and 1e9 FLOP/s beyond (a core's).

    `evaluated` is what an image costs to evaluate, in shares of one that is trained on.
    """

    step_s: float
    gflops: float
    evaluated: float = 0.4


# For a first plan on a machine with no results yet, by engine and kind of model (see `_kind`).
# Measured on two cores of an AMD EPYC (Zen 5), batches of 128, with nothing else on the machine;
# behind each row its milliseconds a step, and what they were taken from.
_EAGER = {
    "mlp": Rate(4e-4, 70.0),  # mlp-512 4.0, mlp-128 1.3, mlp-32 of depth 3 3.3
    "colour mlp": Rate(4e-4, 70.0),
    "conv": Rate(5e-4, 19.0),  # to and from one channel: conv-16 3.8, conv-128 27
    "deep conv": Rate(5e-4, 140.0, 0.17),  # conv-64 of depth 2 214 to 313
    "strided conv": Rate(7.5e-3, 75.0),  # conv-bottleneck-32 10, conv-bottleneck-128 17
}
_RATES = {
    # And 128 samples through PIL and a data loader: mlp-512 7.4, mlp-128 4.4, conv-128 32.
    "reference": {kind: rate._replace(step_s=rate.step_s + 4e-3) for kind, rate in _EAGER.items()},
    "eager": _EAGER,
    "compiled": _EAGER,
    "native": {
        # mlp-1 0.11, mlp-128 0.35, mlp-512 1.1, mlp-32 of depth 3 0.97
        "mlp": Rate(1e-4, 230.0),
        "colour mlp": Rate(1e-4, 175.0),  # mlp-shared-512 5.4, mlp-separate-8500 100
        "conv": Rate(
            2.6e-4, 200.0
        ),  # conv-1 and conv-16 0.41, conv-128 3.1, conv-512 12, colour 11
        "deep conv": Rate(
            5e-4, 370.0
        ),  # of depth 2: conv-64 79, conv-128 180; conv-16 of depth 3 210
        "strided conv": Rate(
            1.2e-3, 190.0
        ),  # as eager's: 2.2, 5.6; conv-bottleneck-32 of depth 2 7.6
    },
}
_TABLE_PEAK = 239.0  # GFLOP/s of a large product there, a core: other machines are set beside it
# On CUDA devices nothing was measured: steps of an MLP are bound by kernel launches.
_CUDA_GFLOPS = 10_000.0
_CUDA_STEP_S = {"reference": 1.2e-2, "graph": 6e-5}  # of other engines:
_CUDA_OTHERS_S = 4e-4

# What does not depend on the model, on two cores. A worker imports torch and its compiler, in 3.5 s
# on an Intel Xeon; the rest is from records of 78 jobs on an AMD EPYC.
_START_S = 4.0
_FIXED_S = 0.5  # a job: 0.4 to 1.0 s besides training, evaluation and probes
_PCA_GFLOPS = 20.0  # per core; MNIST's exact baseline took 1.5 s, CIFAR-10's 24 to 52 s
_FILES_S = 7e-3  # a test image as JPEG, WebP and PNG: a core, 14 files, of at most 1,000 images
_PROBED_IMAGES = 46_000  # images that go through a trained model in its probes and rates

_ROUGH = 2.5  # a rough rate may be wrong by this factor
_SEEN = 1.15  # and a measured one by this
_FAR = 2.0  # powers of ten in arithmetic beyond which a measured job says nothing of a rate


@dataclass(frozen=True)
class Guess:
    """Seconds: at least, likely, and at most."""

    low_s: float = 0.0
    likely_s: float = 0.0
    high_s: float = 0.0

    def __add__(self, other: Guess) -> Guess:
        """Both, one after the other."""
        return Guess(
            self.low_s + other.low_s, self.likely_s + other.likely_s, self.high_s + other.high_s
        )

    def times(self, factor: float) -> Guess:
        """So many of it."""
        return Guess(self.low_s * factor, self.likely_s * factor, self.high_s * factor)


def _within(seconds: float, factor: float) -> Guess:
    return Guess(seconds / factor, seconds, seconds * factor)


class _Step(NamedTuple):
    """A training step: its arithmetic in GFLOP, its threads, the median of the seconds it took."""

    gflop: float
    threads: int
    seconds: float


@dataclass(frozen=True)
class Estimator:
    """Predicts seconds per job; `basis` says in words what the prediction rests on.

    `measured` holds a step for each amount of arithmetic that jobs alike were measured with,
    `evaluated` what an image evaluated costs of one trained on, `fixed_s` what a job of a dataset
    costs besides, and `baselines` the datasets and seeds whose baselines are known to be there.
    `speed` is how many times faster than the machine of the built-in rates this CPU multiplies: by
    the peaks of those jobs or, where there are none, by a product that is taken now. `threads` are
    those that a job is given: with several workers its share of the cores, so that a job takes
    longer beside others by as much as its arithmetic does.
    """

    measured: Mapping[_Alike, Sequence[_Step]] = field(default_factory=dict)
    evaluated: Mapping[_Alike, float] = field(default_factory=dict)
    fixed_s: Mapping[str, float] = field(default_factory=dict)
    baselines: frozenset[tuple[str, int]] = frozenset()
    speed: float = 1.0
    threads: int = field(default_factory=machine.cores)
    basis: str = "rough estimate: no time of this machine, taken alone, is in this folder"
    _guesses: dict[object, Guess | None] = field(default_factory=dict, init=False, compare=False)

    @classmethod
    def from_survey(cls, survey: Survey, threads: int) -> Estimator:
        """Learn from the jobs in a folder that ran alone on a CPU or GPU like ours."""
        return cls.from_jobs(survey.jobs, survey.path.name, threads)

    @classmethod
    def from_jobs(cls, jobs: pd.DataFrame, folder: str, threads: int) -> Estimator:
        """Learn from the rows of a `folder`, of which those count that `from_survey` says."""
        mine = jobs[
            (jobs["status"] == "ok")
            & of_this_machine(jobs)
            & jobs["concurrent"].eq(False)  # not known, as in old records, is no promise
            & jobs["resumed"].fillna("").eq("")
            & jobs["train_s"].gt(0)
            & jobs["steps"].gt(0)
            & jobs["flops_per_step"].gt(0)
        ]
        if not len(mine):
            speed = machine.product_gflops() / _TABLE_PEAK
            return cls(speed=speed, threads=threads)
        # A step as it was, what an engine left out included: it will be left out again.
        mine = mine.assign(
            gflop=mine["flops_per_step"] / 1e9,
            step_s=mine["train_s"] / mine["steps"],
            images=list(map(_evaluated_images, mine["dataset"], mine["epochs"])),
            outside_s=mine[["eval_s", "probe_s"]].sum(axis=1),
            threads=mine["threads"].fillna(machine.cores()).astype(int),
        )
        mine["share"] = mine["outside_s"] * mine["batch_size"] / mine["images"] / mine["step_s"]
        timed = ["train_s", "outside_s", "baseline_s", "compile_s"]
        mine["rest_s"] = mine["total_s"] - mine[timed].sum(axis=1)
        outside = mine[mine["outside_s"] > 0]
        return cls(
            {
                alike: [*map(_Step, *map(steps.index.get_level_values, (0, 1)), steps)]
                for alike, jobs in mine.groupby(list(_ALIKE))
                for steps in [jobs.groupby(["gflop", "threads"])["step_s"].median()]
            },
            dict(outside[outside["images"] > 0].groupby(list(_ALIKE))["share"].median()),
            dict(outside[outside["rest_s"] > 0].groupby("dataset")["rest_s"].median()),
            frozenset(zip(mine["dataset"], mine["seed"], strict=True)),
            _speed(mine),
            threads,
            f"estimated from {len(mine)} jobs measured in {folder}",
        )

    start_s: ClassVar[float] = _START_S
    """Seconds until a new worker takes its first job."""

    def job(self, job: Job, threads: int | None = None) -> Guess | None:
        """Seconds from start to record of one job; None if its size is not known beforehand.

        Without what is done once for several jobs: see `total`. Seeds and repeats cost the same,
        and thousands may differ in these alone.
        """
        kind = (system(job), threads := threads or self.threads)
        if kind not in self._guesses:
            self._guesses[kind] = self._guess(job, threads)
        return self._guesses[kind]

    def _guess(self, job: Job, threads: int) -> Guess | None:
        try:
            amount = size(job)
        except RequestError:
            return None
        if amount is None:
            return None
        gflop = amount.flops * job.batch_size / 1e9
        step = self._step(job, gflop, threads)
        images = _evaluated_images(job.dataset, job.epochs)
        if (share := self.evaluated.get(_alike(job))) is None:  # which is torch's, by any engine
            torchs = replace(job, engine="eager", precision="fp32")
            rough_s = self._rough_step_s(torchs, gflop, threads) * _EAGER[_kind(job)].evaluated
            evaluation = _within(rough_s * images / job.batch_size, _ROUGH)
        else:
            evaluation = step.times(images * share / job.batch_size)
        fixed = self.fixed_s.get(job.dataset)
        return (
            step.times(steps(job))
            + evaluation
            + (_within(_FIXED_S, _ROUGH) if fixed is None else _within(fixed, _SEEN))
        )

    def _step(self, job: Job, gflop: float, threads: int) -> Guess:
        """Seconds of one training step of so much arithmetic."""
        gflop = max(gflop, 1e-12)
        rough = self._rough_step_s(job, gflop, threads)
        known = [
            _Step(s.gflop, threads, s.seconds * self._slower(job, s, threads))
            for s in self.measured.get(_alike(job), ())
        ]
        if not known:
            return _within(rough, _ROUGH)
        nearest = min(known, key=lambda step: abs(math.log(gflop / step.gflop)))
        trust = max(0.0, 1 - abs(math.log10(gflop / nearest.gflop)) / _FAR)
        # More arithmetic takes no less time, and no more than in proportion.
        low = max(s.seconds * min(1.0, gflop / s.gflop) for s in known)
        high = min(s.seconds * max(1.0, gflop / s.gflop) for s in known)
        low, high = min(low, high), max(low, high)  # measured ones may contradict each other
        ratio = nearest.seconds / self._rough_step_s(job, nearest.gflop, threads)
        likely = min(max(rough * ratio**trust, low), high)
        spread = _SEEN * (_ROUGH / _SEEN) ** (1 - trust)
        return Guess(max(low / _SEEN, likely / spread), likely, min(high * _SEEN, likely * spread))

    def _slower(self, job: Job, step: _Step, threads: int) -> float:
        """How much longer a step takes on so many threads than on those it was measured with."""
        ours, its = (self._rough_step_s(job, step.gflop, n) for n in (threads, step.threads))
        return ours / its

    def _rough_step_s(self, job: Job, gflop: float, threads: int) -> float:
        """Seconds of a step by the rates built in."""
        if job.device != "cpu":
            return _CUDA_STEP_S.get(job.engine, _CUDA_OTHERS_S) + gflop / _CUDA_GFLOPS
        rate = _RATES.get(job.engine, _EAGER)[_kind(job)]
        return rate.step_s + gflop / (rate.gflops * self.speed * threads)

    def total(self, jobs: Iterable[Job], workers: int = 1, started: Collection[Job] = ()) -> Guess:
        """Seconds for all `jobs`, `workers` at a time; jobs of unknown size count nothing.

        With what is done once: a worker's start, compiling each shape, each dataset's baselines.
        Each job of `started` has a process of its own to start.
        """
        known = [(job, guess) for job in jobs if (guess := self.job(job)) is not None]
        if not known:
            return Guess()
        trained = sum((guess for _, guess in known), Guess()).times(1 / workers)
        longest = max((guess for _, guess in known), key=lambda guess: guess.likely_s)
        if longest.likely_s > trained.likely_s:
            trained = longest
        # Every worker compiles for itself.
        compiled = (job for job, _ in known if ENGINES[job.engine].compile_s)
        shapes = {system(job): ENGINES[job.engine].compile_s for job in compiled}
        compile_s = sum(shapes.values())
        starts = sum(job in started for job, _ in known) / workers
        once = _within(_START_S, 2.0).times(max(1.0, starts)) + _within(compile_s, 2.0)
        for dataset, seed in sorted({(job.dataset, job.seed) for job, _ in known}):
            if (dataset, seed) not in self.baselines:
                # In the data cache already, if any run here has had them.
                once += replace(_within(_baselines_s(dataset), _ROUGH), low_s=0.0)
        return trained + once


def of_this_machine(jobs: pd.DataFrame) -> pd.Series[bool]:
    """Rows of a CPU like the one here, with as many cores for the process."""
    here = jobs["cpu_name"].eq(machine.cpu_name()) & jobs["cores"].eq(machine.cores())
    return here & jobs["cpu_details"].astype("object").fillna("").eq(machine.cpu_details() or "")


def _alike(job: Job) -> _Alike:
    return tuple(getattr(job, name) for name in _ALIKE)


def _kind(job: Job) -> str:
    """What the job's model is made of, as far as rates depend on it; an MLP where not known."""
    layers = architectures.layers(job.architecture)
    if layers == "conv":
        return "conv" if job.depth == 1 else "deep conv"
    if layers == "strided conv":
        return layers
    return "mlp" if datasets.info(job.dataset).channels == 1 else "colour mlp"


def _speed(jobs: pd.DataFrame) -> float:
    """How fast products were, by the peaks that jobs on a CPU were held against; 1 without any."""
    peaks = jobs[(jobs["device"] == "cpu") & (jobs["precision"] == "fp32")]
    rate = float((peaks["peak_gflops"] / peaks["threads"]).median())
    return rate / _TABLE_PEAK if rate > 0 else 1.0


def _evaluated_images(dataset: str, epochs: int) -> int:
    """Images that pass through a job's model without training it; 0 if the dataset is unknown."""
    try:
        info = datasets.info(dataset)
    except RequestError:
        return 0
    return info.validation_images * epochs + info.test_images + _PROBED_IMAGES


def _baselines_s(dataset: str) -> float:
    """Seconds of what stands beside models: two products of all pixels, for errors and for codes,
    and picture files.
    """
    info = datasets.info(dataset)
    numbers = info.channels * info.height * info.width
    gflop = 2 * (info.train_images - info.validation_images) * numbers**2 / 1e9
    return 2 * gflop / (_PCA_GFLOPS * machine.cores()) + _FILES_S * min(info.test_images, 1_000)
