"""What ran this: hardware, software and load, as columns of the `jobs` table.

Nothing that names a person, a host or a path is recorded. torch is imported only by
`describe`, which runs in a worker.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aebench

if TYPE_CHECKING:
    import torch


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


def cores() -> int:
    """CPU cores this process may use, which in a container may be fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


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
def commit() -> str:
    """Git commit of the checkout aebench runs from; empty when it runs from an installed wheel."""
    root = Path(__file__).resolve().parents[1]
    if not (root / ".git").exists():
        return ""
    found = _output("git", "-C", str(root), "rev-parse", "--short=12", "HEAD")
    changed = _output(
        "git", "-C", str(root), "status", "--porcelain", "--untracked-files=no", "--", "aebench"
    )
    return f"{found}+changes" if found and changed else found


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
