"""How the machine is set that a job runs on, as columns: clocks, siblings, nodes, builds.

What Linux says in /sys and /proc of the processor, and what torch and a C++ compiler say of how
they were built. It makes two times differ on hardware of one name, so it is recorded, but no part
of `machine_id`. What is not told here is None, never a guess; whether it matters is decided by
whoever reads the results.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aebench import machine
from aebench.engines import compiler

if TYPE_CHECKING:
    import torch

# What sets an OpenMP runtime; of others, such as those of tools, values may be paths.
_OPENMP_VARIABLES = (
    "OMP_NUM_THREADS", "OMP_PROC_BIND", "OMP_PLACES", "OMP_WAIT_POLICY", "OMP_DYNAMIC",
    "OMP_SCHEDULE", "GOMP_CPU_AFFINITY", "GOMP_SPINCOUNT", "KMP_AFFINITY", "KMP_BLOCKTIME",
    "MKL_NUM_THREADS",
)  # fmt: skip
_RUNTIME = re.compile(r"lib(?:gomp|omp|iomp5)\b")


def describe(device: torch.device) -> dict[str, Any]:
    """Columns of the `jobs` table on where a job runs: what the machine is, and how it is set."""
    return machine.describe(device) | settings()


def settings(sys: Path = Path("/sys"), proc: Path = Path("/proc")) -> dict[str, Any]:
    """Columns that say how this machine is set, now, for this process.

    Formats: Documentation/admin-guide/pm/cpufreq.rst and intel_pstate.rst, Documentation/ABI/stable
    and testing/sysfs-devices-system-cpu of the Linux kernel, proc(5).
    """
    cpus = _cpus()
    return {
        "governor": _governor(sys, cpus),
        "turbo": _turbo(sys),
        "smt": _flag(sys / "devices/system/cpu/smt/active"),
        "physical_cores": _physical_cores(sys, cpus),
        "numa_nodes": _numa_nodes(sys, cpus),
        "microcode": _microcode(proc / "cpuinfo"),
        "compiler": _compiler(tuple(compiler.find())),
        "openmp": _openmp(proc / "self" / "maps"),
        "torch_build": _torch_build(),
    }


def _cpus() -> list[int]:
    """Numbers of the logical CPUs that this process may use; empty where the system does not say.

    By its affinity: a quota of CPU time, as containers have, names none.
    """
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []


def _flag(file: Path, on: str = "1") -> bool | None:
    """Whether a file of one digit holds that digit; None where it holds none."""
    told = machine.text_of(file).strip()
    return told == on if told in ("0", "1") else None


def _governor(sys: Path, cpus: Iterable[int]) -> str | None:
    """What chooses the clock of our CPUs; several names where they differ."""
    files = (sys / f"devices/system/cpu/cpu{n}/cpufreq/scaling_governor" for n in cpus)
    return ", ".join(sorted({machine.text_of(file).strip() for file in files} - {""})) or None


def _turbo(sys: Path) -> bool | None:
    """Whether the clock may rise above its nominal rate, as long as it stays cool."""
    forbidden = _flag(sys / "devices/system/cpu/intel_pstate/no_turbo")
    return _flag(sys / "devices/system/cpu/cpufreq/boost") if forbidden is None else not forbidden


def _physical_cores(sys: Path, cpus: Iterable[int]) -> int | None:
    """Cores that our CPUs are threads of; as many as CPUs where each has its core for itself."""
    files = (sys / f"devices/system/cpu/cpu{n}/topology/thread_siblings_list" for n in cpus)
    cores = [machine.text_of(file).strip() for file in files]
    return len(set(cores)) if cores and all(cores) else None


def _numa_nodes(sys: Path, cpus: Iterable[int]) -> int | None:
    """Nodes of memory on which our CPUs lie."""
    ours = set(cpus)
    lists = (file for file in sys.glob("devices/system/node/node[0-9]*/cpulist"))
    return sum(bool(ours & _numbers(machine.text_of(file))) for file in lists) or None


def _numbers(ranges: str) -> set[int]:
    """What the kernel means by a list like ``0-3,8``."""
    found = re.findall(r"(\d+)(?:-(\d+))?", ranges)
    return {n for first, last in found for n in range(int(first), int(last or first) + 1)}


def _microcode(info: Path) -> str | None:
    found = re.search(r"^microcode\s*:\s*(\S+)", machine.text_of(info), re.MULTILINE)
    return found[1] if found else None


@cache
def _compiler(command: tuple[str, ...]) -> str | None:
    """The first line of what the compiler of engine `native` says of itself."""
    if not command:
        return None
    try:
        done = subprocess.run(
            [*command, "--version"], capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return (done.stdout.splitlines() or [""])[0].strip() or None


def _openmp(maps: Path) -> str | None:
    """The OpenMP runtimes that this process has loaded, and the variables that set them."""
    names = {line.rpartition("/")[2] for line in machine.text_of(maps).splitlines() if "/" in line}
    loaded = sorted(name for name in names if _RUNTIME.match(name))
    told = [f"{name}={os.environ[name]}" for name in _OPENMP_VARIABLES if name in os.environ]
    return ", ".join([*loaded, *told]) if loaded else None


@cache
def _torch_build() -> str:
    """With what torch was built, and which instructions of this processor it uses."""
    import torch

    lines = [line.strip().removeprefix("- ") for line in torch.__config__.show().splitlines()[1:]]
    # Its settings of the build are flags by the thousand; which BLAS there is, is among them.
    told = [line for line in lines if line and not line.startswith("Build settings")]
    blas = re.search(r"BLAS_INFO=(\w+)", torch.__config__.show())
    return "; ".join(told + ([f"BLAS {blas[1]}"] if blas else []))
