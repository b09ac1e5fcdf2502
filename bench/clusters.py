"""What a cluster costs: the same jobs through four local workers, and through four Ray places.

    python -m bench.clusters --jobs 1000

Every job sleeps a second as its model is built and then trains for a moment, so that the seconds
above `jobs / places` are overhead: starting, handing out, messages, records. The two are run one
after the other, in turn, `--rounds` times. Needs the extra `ray`; no time is asserted.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from aebench.executors import Listener, RunOptions, local, on_ray
from aebench.grid import load_grid
from aebench.plugins import load_plugins
from aebench.store import Store
from bench import machine

# A process of its own, for a run connects to a cluster and leaves it again.
_CLUSTER = """
import sys, ray
ray.init("local", num_cpus=int(sys.argv[1]), include_dashboard=False, log_to_driver=False)
print(ray.get_runtime_context().gcs_address, flush=True)
sys.stdin.read()
"""
SLEEPING = Path(__file__).with_name("sleeping.py")


def seconds(on: str, count: int, places: int, folder: Path) -> float:
    """Wall-clock seconds that `count` jobs take; every one of them must end ok."""
    axes = {
        "dataset": ["digits"], "architecture": ["sleeping"], "latent": [2], "seeds": count,
        "epochs": [1], "engine": ["eager"],
    }  # fmt: skip
    grid = load_grid(None, axes, {"device": "cpu"})
    store = Store(folder)
    options = RunOptions(
        workers=places, threads=1, plugins=(str(SLEEPING),), on=on, cpus_per_job=1 if on else None
    )
    start = time.perf_counter()
    (on_ray.run if on else local.run)(grid.jobs, store, options, Listener())
    took_s = time.perf_counter() - start
    statuses = store.read().jobs["status"]
    if len(statuses) != count or set(statuses) != {"ok"}:
        raise SystemExit(f"{on or 'local'}: {statuses.value_counts().to_dict()}")
    return took_s


def main() -> None:
    """Measure, and print a line a round and side."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=1000)
    parser.add_argument("--places", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--summary", type=Path, metavar="FILE", help="write the lines to FILE too")
    given = parser.parse_args()
    load_plugins((str(SLEEPING),))
    command = [sys.executable, "-c", _CLUSTER, str(given.places)]
    open_to_all = os.environ | {"RAY_AUTH_MODE": "disabled"}  # it listens to this machine alone
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=open_to_all
    ) as cluster:
        assert cluster.stdin is not None
        assert cluster.stdout is not None
        lines = [machine.sentence("cpu"), "", *_compare(given, cluster.stdout.readline().strip())]
        cluster.stdin.close()  # which ends it
    machine.keep(lines, given.summary)


def _compare(given: argparse.Namespace, address: str) -> Iterator[str]:
    for number in range(given.rounds):
        took = {}
        for on in ("", f"ray={address}")[:: 1 if number % 2 == 0 else -1]:
            with tempfile.TemporaryDirectory() as folder:
                took[on] = seconds(on, given.jobs, given.places, Path(folder))
        here_s, there_s = took.pop(""), next(iter(took.values()))
        line = (
            f"{given.jobs:,} jobs of a second, {given.places} places: local {here_s:.1f} s,"
            f" Ray {there_s:.1f} s, ratio {there_s / here_s:.3f}"
        )
        print(line, flush=True)
        yield line


if __name__ == "__main__":
    main()
