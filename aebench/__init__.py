"""aebench: a benchmark harness for autoencoders.

The names below are the Python interface; each is imported on first use, so that ``import
aebench`` and ``aebench --help`` cost nothing and torch is loaded only by what trains.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "Job": "aebench.job",
    "Grid": "aebench.grid",
    "load_grid": "aebench.api",
    "run": "aebench.api",
    "run_job": "aebench.worker",
    "Store": "aebench.store",
    "read": "aebench.store",
    "load": "aebench.models.weights",
    "architecture": "aebench.architectures",
    "dataset": "aebench.datasets.own",
    "findings": "aebench.api",
    "report": "aebench.api",
    "render": "aebench.page",
}

__all__ = ["__version__", *_HOMES]


def __getattr__(name: str) -> Any:
    """Import a public name from the module that defines it."""
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'aebench' has no attribute {name!r}")
    return getattr(import_module(home), name)
