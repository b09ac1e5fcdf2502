"""What else went on while a job trained: the kernel's counters, a GPU's words, others of ours.

Only reads, and never changes a clock or a limit. What cannot be known here is None, never 0.
Whether a reading makes a time unfit to compare is decided by whoever reads the results.

What makes `concurrent` true across runs and users: a process that is about to compute leaves a
file named by its number and the moment it was started; whoever wants to know counts the files whose
process is still that one. Nothing waits and nothing is locked, so what a killed process leaves
misleads nobody.
"""

from __future__ import annotations

import contextlib
import dataclasses
import operator
import os
import re
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import psutil

from aebench import machine

# NVML renews its energy counter every 20 to 100 ms: below 5 s that is more than 2 %.
ENERGY_LEAST_S = 5.0

_SAME_START_S = 2.0  # the system derives the moment from a clock that may be set meanwhile

# Bits of nvmlClocksEventReasons, from nvml.h; that the GPU idles (bit 0) is no reason of note.
_CLOCK_EVENTS = {
    0x002: "applications_clocks",
    0x004: "power_cap",
    0x008: "hardware_slowdown",
    0x010: "sync_boost",
    0x020: "thermal_slowdown",
    0x040: "hardware_thermal_slowdown",
    0x080: "power_brake",
    0x100: "display_clocks",
}


@dataclass(frozen=True)
class Counters:
    """Counters that only grow, or their growth over some time; None where there is no such one.

    `steal_s` is added up over the CPUs this process may use, the others count wall-clock time.
    """

    steal_s: float | None = None
    pressure_s: float | None = None
    throttled_s: float | None = None
    involuntary_switches: int | None = None

    def since(self, earlier: Counters) -> Counters:
        """How much each has grown since `earlier`."""
        return self._with(earlier, operator.sub)

    def plus(self, other: Counters) -> Counters:
        """The sum of two growths."""
        return self._with(other, operator.add)

    def _with(self, other: Counters, combine: Callable[[Any, Any], Any]) -> Counters:
        pairs = zip(dataclasses.astuple(self), dataclasses.astuple(other), strict=True)
        return Counters(*(None if None in pair else combine(*pair) for pair in pairs))


def host_counters(proc: Path = Path("/proc"), cgroups: Path = Path("/sys/fs/cgroup")) -> Counters:
    """The host's counters now; on other systems than Linux most are None.

    CPU pressure and throttling are those of this process's cgroup, where it has its own, else
    pressure is the whole machine's. Formats: proc(5), Documentation/accounting/psi.rst and
    Documentation/admin-guide/cgroup-v2.rst of the Linux kernel.
    """
    folders = machine.cgroup_folders(proc / "self" / "cgroup", cgroups)
    files = [folder / "cpu.pressure" for folder in folders] + [proc / "pressure" / "cpu"]
    pressure = next((text for file in files if (text := machine.text_of(file))), "")
    # Microseconds in which at least one task waited: ``some avg10=... total=123``.
    waited = re.search(r"^some .*total=(\d+)", pressure, re.MULTILINE)
    stats = (_pairs(folder / "cpu.stat") for folder in folders)
    stat = next((stat for stat in stats if "nr_throttled" in stat), {})
    throttled_s = None
    for name, unit_s in (("throttled_usec", 1e6), ("throttled_time", 1e9)):  # cgroup v2, v1
        if throttled_s is None and name in stat:
            throttled_s = stat[name] / unit_s
    return Counters(
        steal_s=_steal_s(proc / "stat"),
        pressure_s=int(waited[1]) / 1e6 if waited else None,
        throttled_s=throttled_s,
        involuntary_switches=_involuntary_switches(),
    )


def _steal_s(stat: Path) -> float | None:
    """The eighth number of each CPU's line, in clock ticks, over the CPUs that we may use."""
    if not hasattr(os, "sched_getaffinity"):
        return None
    ours = {f"cpu{number}" for number in os.sched_getaffinity(0)}
    lines = [line.split() for line in machine.text_of(stat).splitlines()]
    ticks = [int(line[8]) for line in lines if line and line[0] in ours and len(line) > 8]
    return sum(ticks) / os.sysconf("SC_CLK_TCK") if ticks else None


def _involuntary_switches() -> int | None:
    try:
        import resource
    except ImportError:  # Windows
        return None
    return resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw


def _pairs(file: Path) -> dict[str, int]:
    """Lines ``name 123`` as a mapping."""
    lines = [line.split() for line in machine.text_of(file).splitlines()]
    return {line[0]: int(line[1]) for line in lines if len(line) == 2 and line[1].isdecimal()}


class Nvml:
    """An NVIDIA GPU, through NVIDIA's own library (``pip install nvidia-ml-py``).

    Each answer is None where the GPU does not tell.
    """

    def __init__(self, nvml: Any, uuid: str) -> None:
        """`nvml` is the module ``pynvml``.

        Raises:
            nvml.NVMLError: the driver does not know the GPU, for instance a slice of one.
        """
        self._nvml = nvml
        nvml.nvmlInit()
        self._handle = nvml.nvmlDeviceGetHandleByUUID(uuid)

    def energy_j(self) -> float | None:
        """Joules used since the driver was loaded; counted from the Volta generation on."""
        millijoules = self._ask("nvmlDeviceGetTotalEnergyConsumption")
        return None if millijoules is None else millijoules / 1e3

    def clock_events(self) -> frozenset[str] | None:
        """Why the clock is lower than it could be, now.

        Drivers before release 535 call these throttle reasons.
        """
        bits = self._ask("nvmlDeviceGetCurrentClocksEventReasons")
        if bits is None:
            bits = self._ask("nvmlDeviceGetCurrentClocksThrottleReasons")
        if bits is None:
            return None
        return frozenset(name for bit, name in _CLOCK_EVENTS.items() if bits & bit)

    def other_processes(self) -> int | None:
        """Processes that compute on it besides this one.

        In a container their numbers are the host's, so ours is counted, not sought.
        """
        running = self._ask("nvmlDeviceGetComputeRunningProcesses")
        return len(running) - 1 if running else None

    def _ask(self, function: str) -> Any:
        try:
            return getattr(self._nvml, function)(self._handle)
        except (AttributeError, self._nvml.NVMLError):
            return None


@cache
def nvidia(uuid: str) -> Nvml | None:
    """The GPU with this UUID (``GPU-...``), or None without NVIDIA's library or such a GPU."""
    try:
        import pynvml
    except ImportError:
        return None
    with contextlib.suppress(pynvml.NVMLError):
        return Nvml(pynvml, uuid)
    return None


class Watch:
    """Watches one job: `training` spans all epochs with what lies between, `epoch` each of them."""

    def __init__(
        self,
        host: Callable[[], Counters] = host_counters,
        gpu: Nvml | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._host, self._gpu, self._now = host, gpu, now
        self._grown: Counters | None = None
        self._energy_j: float | None = None
        self._events: set[str] | None = None
        self._processes: int | None = None

    @contextlib.contextmanager
    def training(self) -> Iterator[None]:
        """Watch what the GPU tells about the whole of the training."""
        if self._gpu is None:
            yield
            return
        self._see_processes(self._gpu)
        start, before = self._now(), self._gpu.energy_j()
        yield
        after = self._gpu.energy_j()
        if before is not None and after is not None and self._now() - start >= ENERGY_LEAST_S:
            self._energy_j = after - before
        self._see_processes(self._gpu)

    @contextlib.contextmanager
    def epoch(self) -> Iterator[None]:
        """Watch one epoch; reading takes place before and after it, outside its time."""
        before = self._host()
        yield
        grown = self._host().since(before)
        self._grown = grown if self._grown is None else self._grown.plus(grown)
        events = self._gpu.clock_events() if self._gpu else None
        if events is not None:
            self._events = (self._events or set()) | events

    def columns(self) -> dict[str, Any]:
        """Columns of the `jobs` table, as far as anything was watched."""
        return dataclasses.asdict(self._grown or Counters()) | {
            "energy_j": self._energy_j,
            "clock_events": None if self._events is None else ", ".join(sorted(self._events)),
            "gpu_processes": self._processes,
        }

    def _see_processes(self, gpu: Nvml) -> None:
        others = gpu.other_processes()
        if others is not None:
            self._processes = max(others, self._processes or 0)


def _folder() -> Path:
    return Path(tempfile.gettempdir()) / "aebench-computing"


def _started(pid: int) -> float | None:
    """When the process was started, in seconds since 1970; None if there is none."""
    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else process.create_time()
    except psutil.Error:
        return None


@contextlib.contextmanager
def computing() -> Iterator[None]:
    """Let every other process on this machine know that this one computes."""
    mark = _folder() / f"{os.getpid()}-{_started(os.getpid()):.2f}"
    with contextlib.suppress(OSError):  # nowhere to write: others cannot see us, and no more
        mark.parent.mkdir(exist_ok=True)
        with contextlib.suppress(OSError):
            mark.parent.chmod(0o1777)  # for all users, as the folder that it lies in; ours once
        mark.touch()
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            mark.unlink()


def others() -> int:
    """How many other processes of ours compute on this machine now, whoever started them."""
    count = 0
    with contextlib.suppress(OSError):
        for mark in _folder().iterdir():
            pid, _, then = mark.name.partition("-")
            try:
                now, started = _started(int(pid)), float(then)
            except ValueError:
                continue  # no file of ours
            if int(pid) == os.getpid():
                continue
            if now is not None and abs(now - started) < _SAME_START_S:
                count += 1
            else:  # gone, or a later process of the same number
                with contextlib.suppress(OSError):  # another user's; it misleads nobody
                    mark.unlink()
    return count
