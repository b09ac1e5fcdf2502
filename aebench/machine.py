"""What ran this: hardware, software and load, as columns of the `jobs` table.

Nothing that names a person, a host or a path is recorded. torch is imported only by
`describe`, which runs in a worker.
"""

from __future__ import annotations

import ctypes
import hashlib
import math
import os
import platform
import re
import subprocess
import sys
import time
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aebench

if TYPE_CHECKING:
    import torch

# What tells CPUs of one name apart, as Linux calls it on x86 and on Arm,
_WHICH = (
    "cpu family", "model", "stepping",
    "CPU implementer", "CPU architecture", "CPU variant", "CPU part", "CPU revision",
)  # fmt: skip
# and their instructions for products of many numbers at once.
_VECTORS = {"flags": "avx|fma|f16c|amx", "Features": "asimd|sve|sme|bf16|i8mm"}


def cuda_devices() -> int:
    """Number of CUDA devices, asked of the driver itself so that torch need not be loaded."""
    for name in ("libcuda.so.1", "nvcuda.dll"):
        try:
            driver = ctypes.CDLL(name)
        except OSError:
            continue
        count = ctypes.c_int()
        if driver.cuInit(0) == 0 and driver.cuDeviceGetCount(ctypes.byref(count)) == 0:
            return count.value
    return 0


@cache
def cores() -> int:
    """CPU cores this process may use: by its affinity, and by the quota that a container has."""
    here = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = quota_cores()
    return here if quota is None else min(here, max(1, math.ceil(quota)))


def share_of_cores(workers: int) -> int:
    """Cores for each of so many workers, at least one."""
    return max(1, cores() // workers)


@cache
def product_gflops() -> float:
    """Rate of matrix products on one core here, 1e9 FLOP/s, in a twentieth of a second.

    By numpy, which plans can afford to import, of matrices so small that it takes one thread; the
    fastest of many moments, so that what else runs here hardly shows. What jobs are held against is
    torch's rate, of large matrices and at leisure.
    """
    import numpy as np

    count, size = 20, 64
    factors = np.full((count, size, size), 0.5, dtype=np.float32)
    products = np.empty_like(factors)
    fastest_s, end = math.inf, time.perf_counter() + 0.05
    while (begun := time.perf_counter()) < end or fastest_s == math.inf:
        np.matmul(factors, factors, out=products)
        fastest_s = min(fastest_s, time.perf_counter() - begun)
    return 2 * count * size**3 / fastest_s / 1e9


def quota_cores(proc: Path = Path("/proc"), cgroups: Path = Path("/sys/fs/cgroup")) -> float | None:
    """How many cores' time a cgroup grants this process; None without a quota.

    ``cpu.max`` of version 2 holds quota and period in microseconds, or ``max``; version 1 has a
    file for each, and -1 for none. Documentation/admin-guide/cgroup-v2.rst of the Linux kernel.
    """
    granted = []
    for folder in cgroup_folders(proc / "self" / "cgroup", cgroups):
        words = text_of(folder / "cpu.max").split() or [
            text_of(folder / f"cpu.cfs_{name}_us").strip() for name in ("quota", "period")
        ]
        if len(words) == 2 and all(word.isdecimal() and int(word) > 0 for word in words):
            granted.append(int(words[0]) / int(words[1]))
    return min(granted, default=None)


def cgroup_folders(own: Path, root: Path) -> list[Path]:
    """Folders in which this process's CPU cgroup may lie, the likeliest first.

    Inside a container the path in /proc/self/cgroup may be one of the host, which cannot be
    seen: its own group is then the root of what is mounted.
    """
    folders: list[Path] = []
    for line in text_of(own).splitlines():
        _, controllers, path = line.split(":", 2)
        if not controllers:
            mounts = [root, root / "unified"]
        elif "cpu" in controllers.split(","):
            mounts = [root / controllers, root / "cpu"]
        else:
            continue
        folders += [f for m in mounts for f in (m / path.strip().lstrip("/"), m)]
    return list(dict.fromkeys(folders))


def text_of(file: Path) -> str:
    """What a file of the kernel says; empty where it is not there or not for us."""
    try:
        return file.read_text("ascii", errors="replace")
    except OSError:
        return ""


@cache
def cpu_name() -> str:
    """Model name of the CPU, as the system gives it."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    if sys.platform == "darwin":
        asked = _output("sysctl", "-n", "machdep.cpu.brand_string")
        if asked:
            return asked
    return platform.processor() or platform.machine()


@cache
def cpu_details(info: Path = Path("/proc/cpuinfo")) -> str | None:
    """Which of the CPUs of one name it is, and with which instructions for vectors and matrices.

    Virtual machines call several generations by one name, ``AMD EPYC``, one of which may multiply
    four times as fast as another. As Linux says; None where it does not, as on other systems.
    """
    said = _first_cpu(info)
    which = [f"{name} {said[name]}" for name in _WHICH if name in said]
    able = [flag for key, known in _VECTORS.items() for flag in said.get(key, "").split()
            if re.match(known, flag)]  # fmt: skip
    return "; ".join(filter(None, [", ".join(which), " ".join(sorted(able))])) or None


def _first_cpu(info: Path) -> dict[str, str]:
    """What Linux says of the first CPU, by its names."""
    first = text_of(info).strip().partition("\n\n")[0]
    lines = (line.partition(":") for line in first.splitlines())
    return {name.strip(): value.strip() for name, _, value in lines}


@cache
def bf16_instructions(info: Path = Path("/proc/cpuinfo")) -> str:
    """The processor's products of bfloat16: ``amx_bf16``, else ``avx512_bf16``, else none: empty.

    As Linux says of x86; of no other system is any known.
    """
    there = set(_first_cpu(info).get("flags", "").split())
    if {"amx_bf16", "amx_tile"} <= there:
        return "amx_bf16"
    return "avx512_bf16" if "avx512_bf16" in there else ""


@cache
def commit() -> str:
    """Git commit of the checkout aebench runs from; empty when it runs from an installed wheel."""
    root = Path(__file__).resolve().parents[1]
    if not (root / ".git").exists():
        return ""
    head = _output("git", "-C", str(root), "rev-parse", "--short=12", "HEAD")
    changed = _output(
        "git", "-C", str(root), "status", "--porcelain", "--untracked-files=no", "--", "aebench"
    )
    return f"{head}+changes" if head and changed else head


def load_1m() -> float | None:
    """Load average of the last minute; None where the system has none."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else None


def peak_host_bytes() -> int:
    """Most memory this process has held, in bytes."""
    if sys.platform == "win32":
        import psutil

        return int(psutil.Process().memory_info().peak_wset)
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def describe(device: torch.device | None = None) -> dict[str, Any]:
    """Columns of the `jobs` table that describe machine and software; hardware gives the id.

    Without a `device`, for jobs that never reached a worker, what only torch knows is left out.
    """
    import psutil

    hardware: dict[str, Any] = {
        "device_name": cpu_name(),
        "cpu_name": cpu_name(),
        "cpu_details": cpu_details(),
        "cores": cores(),
        "memory_bytes": psutil.virtual_memory().total,
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "driver": "",
    }
    software = {
        "python": platform.python_version(),
        "aebench": aebench.__version__,
        "commit": commit(),
    }
    if device is not None:
        import torch

        software["torch"] = str(torch.__version__)  # a class of its own
        if device.type == "cuda":
            hardware["device_name"] = torch.cuda.get_device_name(device)
            hardware["driver"] = _output(
                "nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader", "--id=0"
            )
    # Gigabytes, since the last bytes of a virtual machine's memory differ from boot to boot.
    lasting = hardware | {"memory_bytes": round(hardware["memory_bytes"] / 2**30)}
    identity = hashlib.sha256(repr(sorted(lasting.items())).encode()).hexdigest()[:12]
    return hardware | software | {"machine_id": identity}


def _output(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
