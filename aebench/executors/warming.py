"""What a process loads and sets once before it runs jobs."""

from __future__ import annotations

import contextlib
import ctypes
import sys

from aebench import machine
from aebench.job import Job


def warm_process() -> None:
    """Prepare this process for jobs, once, so that no job pays for it or profits by coming later.

    The C library's allocator is told to keep freed memory rather than return it to the system:
    otherwise every step of a conv takes thousands of page faults, half of its time. This holds
    for all engines alike. torch then loads what it needs to measure a model, some three seconds,
    Pillow what it needs to open a photograph, and psutil what it needs to look at the machine.
    """
    from aebench.architectures.autoencoder import build
    from aebench.evaluation import probes

    if sys.platform == "linux":
        keep, trim_threshold, mmap_threshold = 1 << 30, -1, -3  # names and numbers: malloc.h
        with contextlib.suppress(OSError, AttributeError):  # a C library without mallopt
            libc = ctypes.CDLL(None)
            libc.mallopt(trim_threshold, keep)
            libc.mallopt(mmap_threshold, keep)
    build(Job("conv", "digits", latent=1), (1, 8, 8))
    probes.photo(probes.PHOTOS[0], channels=1)
    machine.describe()
