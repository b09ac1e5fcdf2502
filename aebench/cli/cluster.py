"""What ``aebench run`` is told of a cluster: whether it can be meant, and the file that says more.

A cluster file is TOML, for Slurm: `aebench example cluster` prints one with every key. What the
command line says wins over the file.
"""

from __future__ import annotations

import re
import shlex
import sys
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from aebench.cli import axes, text
from aebench.errors import RequestError, printable, unknown
from aebench.executors import Allocation
from aebench.job import Job

_SHARE = ("cpus_per_job", "gpus_per_job")
# Options that are of use with each kind, and with --print-sbatch.
_OF = {"": (), "ray": _SHARE, "print": (*_SHARE, "cluster"), "slurm": (*_SHARE, "cluster", "wait")}
_EXTRAS = {"ray": ("ray", "Ray"), "slurm": ("submitit", "submitit")}
_TEXTS = ("partition", "account", "qos", "constraint", "memory")
_COUNTS = {"tasks": 1, "cpus": 1, "gpus": 0}  # with the least that each may be
_KEYS = (*_TEXTS, *_COUNTS, "time", "setup", "sbatch")
_MOST = 1_000_000
_PARTS = "$I/$N"
# Options that a script of its own says in lines of #SBATCH, and how many words follow each.
_NOT_IN_SCRIPT = {"--print-sbatch": 0, "--cluster": 1, "--shard": 1, "--cpus-per-job": 1,
                  "--gpus-per-job": 1, "--workers": 1}  # fmt: skip


def check(given: Mapping[str, Any]) -> str:
    """Where the options `given` to a run have it run: "" for here, ``ray`` or ``slurm``.

    Raises:
        RequestError: they cannot be meant together, or the extra that they need is not installed.
    """
    kind, equals, address = (given["on"] or "").partition("=")
    if given["on"] is not None and (kind not in _EXTRAS or bool(equals) != bool(address.strip())):
        raise RequestError(f"--on takes ray, ray=ADDRESS or slurm, not {printable(given['on'])!r}")
    if kind == "slurm" and equals:
        raise RequestError("--on slurm takes no address: it asks the Slurm of this machine")
    script = given["print_sbatch"]
    if script and kind:
        raise RequestError("--print-sbatch prints a script for sbatch instead of --on: give one")
    if given["shard"] and _PARTS in given["shard"] and not script:
        raise RequestError(f"--shard '{_PARTS}' is for --print-sbatch; here give a part like 1/4")
    if script and given["shard"] not in (None, _PARTS):
        raise RequestError(f"--print-sbatch shares out the whole grid: --shard '{_PARTS}' or none")
    for name in _OF["slurm"]:
        if given[name] not in (None, False) and name not in _OF["print" if script else kind]:
            where = "--on" if name in _SHARE else "--on slurm"
            raise RequestError(f"--{name.replace('_', '-')} is of use with {where} only")
    if script and given["report"]:
        raise RequestError("--report with --print-sbatch would have every task render one")
    if not kind:
        return ""
    if kind == "ray" and given["checkpoint"]:
        raise RequestError(
            "--checkpoint is not for --on ray: a node's checkpoints would be lost with the node"
        )
    if kind == "ray" and given["budget"] and not given["workers"]:
        raise RequestError(
            "--budget with --on needs --workers: how many jobs the cluster runs at a time"
        )
    if kind == "slurm" and given["budget"]:
        raise RequestError(
            "--budget is not for --on slurm: a task has the `time` that the --cluster file gives it"
        )
    if kind == "slurm" and given["report"] and not given["wait"]:
        raise RequestError("--report with --on slurm needs --wait: there is nothing to show before")
    module, name = _EXTRAS[kind]
    if find_spec(module) is None and not given["plan"]:
        other = "; or have --print-sbatch write a script for sbatch" if kind == "slurm" else ""
        raise RequestError(
            f"--on {kind} needs {name}, which is not installed:"
            f" pip install 'aebench[{kind}]'{other}"
        )
    return kind


def asked(given: Mapping[str, Any]) -> dict[str, Any]:
    """What the options `given`, and the file that they name, say of a task: fields of `Allocation`.

    Raises:
        RequestError: every mistake in the file, one a line.
    """
    file: Path | None = given["cluster"]
    said = {} if file is None else _read(file)
    for option, name in (("cpus_per_job", "cpus"), ("gpus_per_job", "gpus")):
        if given[option] is not None:
            said[name] = given[option]
    return said


def allocation(said: Mapping[str, Any], jobs: Iterable[Job]) -> Allocation:
    """What each task asks of Slurm for `jobs`; of GPUs one where `said` has no word of them.

    Raises:
        RequestError: a GPU is asked for that no job uses, or the other way round.
    """
    cuda = any(job.device == "cuda" for job in jobs)
    made = Allocation(**{"gpus": int(cuda), **said})
    if cuda and not made.gpus:
        raise RequestError("jobs for --device cuda need a GPU, and gpus is 0")
    if made.gpus and not cuda:
        raise RequestError(
            f"a task is to hold {made.gpus} GPU{'s' * (made.gpus > 1)}, and no job uses one: leave"
            " out --device cpu, or set gpus to 0"
        )
    return made


def _read(file: Path) -> dict[str, Any]:
    shown = printable(file)
    try:
        table = tomllib.loads(file.read_text("utf-8-sig"))
    except FileNotFoundError:
        raise RequestError(
            f"no cluster file at {shown}; `aebench example cluster > {shown}` makes one to fill in"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise RequestError(f"cannot read the cluster file {shown}: {error}") from None
    except (ValueError, RecursionError) as error:
        raise RequestError(f"{shown} is not valid TOML: {error}") from None
    said: dict[str, Any] = {}
    mistakes = []
    for key, value in table.items():
        try:
            name, read = _value(key, value)
            said[name] = read
        except RequestError as error:
            mistakes.append(f"{shown}: {error}")
    if mistakes:
        raise RequestError("\n".join(mistakes))
    return said


def _value(key: str, value: Any) -> tuple[str, Any]:
    """A field of `Allocation` and its value, from a key of the file."""
    if key not in _KEYS:
        raise RequestError(unknown("key", printable(key), _KEYS))
    if key in _TEXTS and _is_line(value):
        return key, value
    if key in _COUNTS and type(value) is int and _COUNTS[key] <= value <= _MOST:
        return key, value
    if key == "time" and isinstance(value, str):
        return "time_min", -(-int(axes.seconds("time", value)) // 60)
    if key == "setup" and isinstance(value, list) and all(map(_is_line, value)):
        return key, tuple(value)
    if key == "sbatch" and isinstance(value, dict):
        if wrong := [k for k, v in value.items() if not (_is_line(v) or type(v) in (int, bool))]:
            raise RequestError(f"sbatch.{printable(wrong[0])} takes a text, a whole number or true")
        if wrong := [k for k in value if not re.fullmatch("[a-z][a-z0-9-]*", k)]:
            raise RequestError(f"sbatch has no option --{printable(wrong[0])}")
        return key, {name: said for name, said in value.items() if said is not False}
    kinds = {"time": "a time like \"4h\"", "setup": "a list of lines of shell",
             "sbatch": "a table [sbatch] of options"}  # fmt: skip
    kinds |= dict.fromkeys(_TEXTS, "a text in one line")
    kinds |= {name: f"a whole number from {least} on" for name, least in _COUNTS.items()}
    raise RequestError(f"{key} takes {kinds[key]}, not {printable(repr(value), 60)}")


def _is_line(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip()) and value.isprintable()


def script(each: Allocation, jobs: int, at_once: int | None, here: Path) -> str:
    """A script for sbatch: each task of its array runs its part of the grid of this command."""
    words = ["aebench", *_without(sys.argv[1:], _NOT_IN_SCRIPT)]
    count = min(each.tasks, jobs)
    lines = {
        "job-name": "aebench",
        "array": f"1-{count}" + (f"%{at_once}" if at_once else ""),
        "time": each.time_min,
        **each.options(),
    }
    head = [
        f"#SBATCH --{name}" + ("" if value is True else f"={shlex.quote(str(value))}")
        for name, value in lines.items()
    ]
    return "\n".join([
        "#!/bin/bash",
        f"# {text.count(jobs, 'job')} in {text.count(count, 'task')}; one queued again goes on.",
        *head,
        *each.setup,
        f"cd {shlex.quote(str(here))} || exit 1",
        "I=$SLURM_ARRAY_TASK_ID N=$SLURM_ARRAY_TASK_COUNT",
        f'exec {shlex.join(words)} --shard "{_PARTS}"',
        "",
    ])  # fmt: skip


def _without(words: Sequence[str], left_out: Mapping[str, int]) -> list[str]:
    """A command line without some of its options, each of which has so many words after it."""
    kept, skip = [], 0
    for word in words:
        name = word.partition("=")[0]
        if skip:
            skip -= 1
        elif name in left_out:
            skip = 0 if "=" in word else left_out[name]
        else:
            kept.append(word)
    return kept
