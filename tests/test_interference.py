"""Counters read from made-up kernel files and a made-up GPU, and the marks around training."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from aebench.interference import Counters, Nvml, Watch, host_counters

CPU = torch.device("cpu")
CUDA = torch.device("cuda:0")  # only a name here; no test below needs one


def host(root: Path, **files: str) -> Counters:
    """Counters of a host whose files are these: name with __ for /, content."""
    for name, content in files.items():
        path = root / name.replace("__", "/").replace("DOT", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return host_counters(root / "proc", root / "cgroup")


PRESSURE = "some avg10=1.00 avg60=0.00 avg300=0.00 total={}\nfull avg10=0.00 total=77\n"


def test_host_reads_steal_of_its_own_cpus(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 2}, raising=False)
    monkeypatch.setattr("os.sysconf", lambda name: {"SC_CLK_TCK": 100}[name], raising=False)
    lines = ["cpu 1 1 1 1 1 1 1 999 0 0"]
    lines += [f"cpu{n} 1 2 3 4 5 6 7 {steal} 0 0" for n, steal in enumerate((50, 1000, 70, 9))]
    read = host(tmp_path, proc__stat="\n".join([*lines, "intr 5"]))
    assert read.steal_s == pytest.approx(1.2)
    assert read.pressure_s is None
    assert read.throttled_s is None


def test_host_prefers_its_own_cgroup(tmp_path: Path) -> None:
    read = host(
        tmp_path,
        proc__self__cgroup="0::/mine\n",
        proc__pressure__cpu=PRESSURE.format(9_000_000),
        cgroup__mine__cpuDOTpressure=PRESSURE.format(1_500_000),
        cgroup__mine__cpuDOTstat="usage_usec 5\nnr_throttled 2\nthrottled_usec 250000\n",
    )
    assert read.pressure_s == 1.5
    assert read.throttled_s == 0.25


def test_host_in_a_container_of_cgroup_v1(tmp_path: Path) -> None:
    read = host(
        tmp_path,
        proc__self__cgroup="5:cpuset:/x\n4:cpu,cpuacct:/docker/unseen\n",
        proc__pressure__cpu=PRESSURE.format(2_000_000),
        cgroup__cpu__cpuDOTstat="nr_periods 3\nnr_throttled 2\nthrottled_time 3000000000\n",
    )
    assert read.pressure_s == 2.0
    assert read.throttled_s == 3.0


def test_a_root_cgroup_has_no_quota(tmp_path: Path) -> None:
    files = {"proc__self__cgroup": "0::/\n", "cgroup__cpuDOTstat": "usage_usec 5\n"}
    assert host(tmp_path, **files).throttled_s is None


def test_a_system_that_tells_nothing_gives_no_zeros(tmp_path: Path) -> None:
    read = host_counters(tmp_path / "no", tmp_path / "none")
    assert (read.steal_s, read.pressure_s, read.throttled_s) == (None, None, None)


def test_growth_keeps_what_is_unknown() -> None:
    one = Counters(steal_s=1.0, involuntary_switches=5)
    grown = Counters(steal_s=3.5, pressure_s=1.0, involuntary_switches=7).since(one)
    assert grown == Counters(steal_s=2.5, involuntary_switches=2)
    assert grown.plus(grown) == Counters(steal_s=5.0, involuntary_switches=4)


class Ticking:
    """A host whose counters grow by one at each reading, and a clock to go with it."""

    def __init__(self) -> None:
        self.count = 0

    def read(self) -> Counters:
        self.count += 1
        return Counters(steal_s=float(self.count), involuntary_switches=10 * self.count)


class FakeGpu:
    def __init__(self, joules: list[float | None], events: list, others: list) -> None:
        self.joules, self.events, self.others = iter(joules), iter(events), iter(others)

    def energy_j(self) -> float | None:
        return next(self.joules)

    def clock_events(self) -> frozenset[str] | None:
        return next(self.events)

    def other_processes(self) -> int | None:
        return next(self.others)


def watched(gpu: FakeGpu, seconds: float) -> dict:
    times = iter([100.0, 100.0 + seconds])
    watch = Watch(Ticking().read, gpu, now=lambda: next(times))  # type: ignore[arg-type]
    with watch.training():
        for _ in range(2):
            with watch.epoch():
                pass
    return watch.columns()


def test_watch_adds_up_epochs_and_spans_the_training() -> None:
    events = [frozenset({"power_cap"}), frozenset({"thermal_slowdown", "power_cap"})]
    found = watched(FakeGpu([1000.0, 3500.0], events, [0, 2]), seconds=6.0)
    assert found["steal_s"] == 2.0
    assert found["involuntary_switches"] == 20
    assert found["energy_j"] == 2500.0
    assert found["clock_events"] == "power_cap, thermal_slowdown"
    assert found["gpu_processes"] == 2


def test_no_energy_of_a_short_window_and_none_of_a_silent_gpu() -> None:
    short = watched(FakeGpu([1.0, 2.0], [frozenset()] * 2, [1, 0]), seconds=4.9)
    assert short["energy_j"] is None
    assert short["clock_events"] == ""  # it was asked, and there was none
    assert short["gpu_processes"] == 1
    silent = watched(FakeGpu([None, None], [None, None], [None, None]), seconds=60.0)
    assert (silent["energy_j"], silent["clock_events"], silent["gpu_processes"]) == (None,) * 3


def test_watch_says_nothing_of_what_it_did_not_see() -> None:
    assert set(Watch(Ticking().read).columns().values()) == {None}


class NVMLError(Exception):
    pass


def nvml(**answers) -> SimpleNamespace:
    """A stand-in for the module pynvml; an answer that is an exception is raised."""

    def answer(value):
        def ask(_handle):
            if isinstance(value, Exception):
                raise value
            return value

        return ask

    functions = {f"nvmlDeviceGet{name}": answer(value) for name, value in answers.items()}
    return SimpleNamespace(
        NVMLError=NVMLError, nvmlInit=lambda: None,
        nvmlDeviceGetHandleByUUID=lambda uuid: uuid, **functions,
    )  # fmt: skip


def test_nvml_in_our_words() -> None:
    gpu = Nvml(
        nvml(
            TotalEnergyConsumption=12_500,
            CurrentClocksThrottleReasons=0x1 | 0x4 | 0x40,  # the name of older drivers
            ComputeRunningProcesses=["ours", "another"],
        ),
        "GPU-1",
    )
    assert gpu.energy_j() == 12.5
    assert gpu.clock_events() == {"power_cap", "hardware_thermal_slowdown"}
    assert gpu.other_processes() == 1


def test_nvml_that_refuses_is_unknown() -> None:
    refusing = Nvml(nvml(TotalEnergyConsumption=NVMLError(), ComputeRunningProcesses=[]), "GPU-1")
    assert refusing.energy_j() is None
    assert refusing.clock_events() is None
    assert refusing.other_processes() is None  # not even we are listed
