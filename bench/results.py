"""Measure everything anew and put it into RESULTS.md: `python -m bench.results`.

Only what stands between the marks of a section is replaced; the text around it is written by
hand and names no number. What follows the command goes to the runner of the peers, unless it begins
with `--only`: then nothing but these sections is measured, which take hours or other packages:

    python -m bench.results --only aa campaign clusters
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from aebench.datasets import DataUnavailable, load
from bench.measured import RESULTS, replace
from bench.peers.__main__ import read_options

ROOT = Path(__file__).resolve().parents[1]
ALONE = ("aa", "campaign", "clusters")
"""What is measured only on demand, by the module of that name, for a section ``NAME-cpu``."""


def measure(*command: str, summary: str) -> str:
    """What `command` writes into the file that it is given after `summary`; stops if it fails."""
    with tempfile.TemporaryDirectory() as folder:
        written = Path(folder) / "summary.txt"
        command = (sys.executable, "-m", *command, summary, str(written))
        status = subprocess.run(command, cwd=ROOT).returncode
        if status or not written.is_file():
            raise SystemExit(f"bench.results: exit status {status}; RESULTS.md is as it was")
        return written.read_text(encoding="utf-8")


def require_mnist() -> None:
    """Stop before anything is measured where the suites would skip for want of MNIST.

    They skip because whoever runs them by hand gets the rest; a table to publish has no gaps.
    """
    try:
        load("mnist")
    except DataUnavailable as error:
        raise SystemExit(
            f"bench.results: {error}\n"
            "Nothing was measured and RESULTS.md is as it was. Get MNIST once, then run this "
            "again:\n  aebench data fetch mnist"
        ) from error


def replace_only(sections: Sequence[str]) -> None:
    """Measure what `main` does not, each by the module of its name."""
    if not sections or set(sections) - set(ALONE):
        raise SystemExit(f"bench.results: --only takes one or more of {', '.join(ALONE)}")
    for section in sections:
        found = measure(f"bench.{section}", summary="--summary")
        text = replace(RESULTS.read_text(encoding="utf-8"), f"{section}-cpu", found)
        RESULTS.write_text(text, encoding="utf-8")


def main() -> None:
    if sys.argv[1:2] == ["--only"]:
        return replace_only(sys.argv[2:])
    read_options()  # before half an hour is spent: stops at --help and at what is mistyped
    require_mnist()
    device = os.environ.get("AEBENCH_DEVICE") or "cpu"
    marker = "cuda" if device == "cuda" else "not cuda"
    suites = measure("pytest", "bench", "--benchmark-only", "-q", "-m", marker,
                     summary="--bench-summary")  # fmt: skip
    peers = measure("bench.peers", *sys.argv[1:], summary="--summary")
    text = RESULTS.read_text(encoding="utf-8")
    if device == "cuda":
        checklist = measure("bench.checklist", summary="--summary")
        text = replace(text, "checklist-cuda", checklist)
    else:
        for section, precision in (("roofline-cpu", "fp32"), ("roofline-cpu-bf16", "bf16")):
            steps = measure("bench.roofline", "--precision", precision, summary="--summary")
            text = replace(text, section, steps)
    text = replace(text, f"suites-{device}", suites)
    text = replace(text, f"peers-{device}", peers)
    RESULTS.write_text(text, encoding="utf-8")
    print(f"bench.results: {RESULTS.relative_to(ROOT)} holds the new figures", file=sys.stderr)


if __name__ == "__main__":
    main()
