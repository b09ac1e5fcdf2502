"""The command line as tests start it in a process of its own."""

from __future__ import annotations

import os
import sys
from pathlib import Path

COMMAND = [sys.executable, "-m", "aebench"]
# What would change what is printed, or where the data is.
_NOT_INHERITED = ("FORCE_COLOR", "NO_COLOR", "COLUMNS", "PYTHONUNBUFFERED", "AEBENCH_DATA")


def environment(**changes: str) -> dict[str, str]:
    """Environment in which this checkout is what ``python -m aebench`` runs, from any folder."""
    kept = {name: value for name, value in os.environ.items() if name not in _NOT_INHERITED}
    return kept | {"PYTHONPATH": str(Path(__file__).parents[1])} | changes
