"""What the tables of this folder say of the machine they were measured on: no name, no path."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import torch

from aebench import machine


def sentence(device: str) -> str:
    """One paragraph: when, on what, with which software, and how busy it was."""
    found = machine.describe(torch.device(device))
    load = machine.load_1m()
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, {found['device_name']}, {found['cores']} CPU cores, "
        f"{torch.get_num_threads()} threads, torch {found['torch']}, Python {found['python']}, "
        f"aebench {found['commit'] or found['aebench']}, "
        f"load average {'unknown' if load is None else f'{load:.1f}'}"
    )


def keep(lines: Iterable[str], file: Path | None) -> None:
    """Write what a module here has found to `file`, if one was asked for."""
    if file:
        file.write_text("\n".join(lines) + "\n", encoding="utf-8")
