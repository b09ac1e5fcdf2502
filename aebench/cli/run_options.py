"""The options of ``aebench run``, as a table: panel of the help, name, help, values, default.

What they mean together is checked by `cluster`, `axes` and `run` itself.
"""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Annotated, Any

import typer

from aebench.cli import complete
from aebench.cli.options import DATA_FOLDER, default
from aebench.engines import ENGINES, PRECISIONS
from aebench.grid import PRESETS
from aebench.job import OPTIONS as JOB_OPTIONS
from aebench.protocols import NAMES as PROTOCOLS
from aebench.protocols import OPTIMIZERS, ORDERS, SCHEDULES

_GRID, _AXES, _HOW, _WHERE = "Which jobs", "Axes (lists: 1,16,128; ranges: 0..4)", "How", "Where"
_PROTOCOLS = default("the protocol's")


def _option(
    panel: str, name: str, about: str, values: Any = str, usual: Any = None, **how: Any
) -> inspect.Parameter:
    """One option: its panel of the help, its name, its help, the type and default of its value."""
    words = f"--{name.replace('_', '-')}"
    option = typer.Option(words, help=about, rich_help_panel=panel, **how)
    kind = values if usual is not None else values | None
    where = inspect.Parameter.KEYWORD_ONLY
    return inspect.Parameter(name, where, default=usual, annotation=Annotated[kind, option])


_FROM_1 = {"values": int, "min": 1, "metavar": "N"}
OPTIONS = (
    _option(_GRID, "grid", f"{', '.join(PRESETS)}, or a TOML file. {default('quick')}",
        autocompletion=complete.grid),
    _option(_GRID, "only", "Of the grid only jobs with these values, once for each axis: depth=2.",
        list[str], metavar="NAME=LIST", autocompletion=complete.only),
    _option(_GRID, "shard", "Only part I of N.", metavar="I/N"),
    _option(_GRID, "plan", "Show the jobs and their cost; run nothing.", bool, False),
    _option(_GRID, "retry_failed", "Run again what did not end ok.", bool, False),
    _option(_GRID, "retrain", "With --keep-weights: run again what is there without weights.",
        bool, False),
    _option(_GRID, "plugin", "Python file with architectures of your own.", list[Path],
        metavar="FILE.py", autocompletion=complete.plugin),
    _option(_AXES, "architecture",
        "Families of autoencoders: mlp, conv, ...; see `aebench list architectures`.",
        autocompletion=complete.architecture),
    _option(_AXES, "dataset", "mnist, digits, ..., torchvision:SVHN, or a folder or file of"
        f" images. {default('mnist')}",
        autocompletion=complete.dataset),
    _option(_AXES, "latent", "Code width (mlp) or channels (conv)."),
    _option(_AXES, "depth", f"Encoder layers. {default('1')}"),
    _option(_AXES, "model", "given, or tuned: depth and options that the protocol's search found"
        f" best. {default('given')}", autocompletion=complete.model),
    _option(_AXES, "option", "Option of the architecture, once for each: width=16,32; see `aebench"
        " list options`.", list[str], metavar="NAME=LIST", autocompletion=complete.option),
    _option(_AXES, "seeds", f"How many: 0 to N-1. {default('1')}", **_FROM_1),
    _option(_AXES, "repeats", f"How often, for times; 6 or more to publish. {default('1')}",
        **_FROM_1),
    _option(_AXES, "protocol", f"Training settings: {', '.join(PROTOCOLS)}, or a TOML file by"
        f" `aebench tune`. {default('study')}", autocompletion=complete.protocol),
    _option(_AXES, "epochs", f"Passes over the training images. {_PROTOCOLS}"),
    _option(_AXES, "batch_size", f"Images per training step. {_PROTOCOLS}"),
    _option(_AXES, "learning_rate", f"The optimizer's step size. {_PROTOCOLS}"),
    _option(_AXES, "schedule", f"Learning rate: {', '.join(SCHEDULES)}. {_PROTOCOLS}",
        autocompletion=complete.schedule),
    _option(_AXES, "order", f"Training images: {', '.join(ORDERS)}. {_PROTOCOLS}",
        autocompletion=complete.order),
    _option(_AXES, "optimizer", f"{', '.join(OPTIMIZERS)}. {_PROTOCOLS}",
        autocompletion=complete.optimizer),
    _option(_AXES, "momentum", f"Of sgd and rmsprop. {_PROTOCOLS}"),
    _option(_AXES, "weight_decay", f"Pull of the weights towards 0. {_PROTOCOLS}"),
    _option(_AXES, "warmup", f"Share of the steps in which the learning rate rises. {_PROTOCOLS}"),
    _option(_AXES, "clip_gradient", f"Largest norm of a step's gradients; 0: any. {_PROTOCOLS}"),
    _option(_AXES, "train_noise",
        f"Amplitude of Gaussian noise on training inputs. {default('0')}"),
    _option(_AXES, "engine",
        f"{', '.join(ENGINES)}, or auto: the fastest known. {default('auto')}",
        autocompletion=complete.engine),
    _option(_AXES, "precision", f"{', '.join(PRECISIONS)}. {default('fp32')}",
        autocompletion=complete.precision),
    _option(_HOW, "device", f"auto, cpu, cuda, cuda:1, ... {default('auto')}",
        autocompletion=complete.device),
    _option(_HOW, "workers", "Jobs at a time; on a cluster as many as it has room for. Times of"
        f" more than 1 on one machine cannot be compared. {default('1')}", **_FROM_1),
    _option(_HOW, "on", "Run on the nodes of a Ray cluster (of one that runs here, of one started"
        " here if none does, or of the one at ADDRESS), or as an array job of Slurm."
        f" {default('this machine')}", metavar="ray[=ADDRESS]|slurm"),
    _option(_HOW, "cpus_per_job", "Cores of a node that a job on a cluster holds."
        f" {default('all on Ray, 1 on Slurm')}", **_FROM_1),
    _option(_HOW, "gpus_per_job", "GPUs of a node that a job on a cluster holds."
        f" {default('1 with --device cuda')}", **_FROM_1),
    _option(_HOW, "cluster", "With --on slurm: a file of what each task asks for, as `aebench"
        " example cluster` prints.", Path, metavar="FILE.toml", autocompletion=complete.folders),
    _option(_HOW, "wait", "With --on slurm: wait until all tasks are done, and show what comes.",
        bool, False),
    _option(_HOW, "print_sbatch", "Run nothing; print a script for Slurm's sbatch.", bool, False),
    _option(_HOW, "repeats_in_process", "Repeats in the process of the jobs before them, not"
        " each in one of its own: sooner done, but intervals leave out what differs between those.",
        bool, False),
    _option(_HOW, "budget", "Start no job that would end after this long: 10m, 90s, 2h; first those"
        f" that decide findings soonest. {default('no limit')}", metavar="TIME"),
    _option(_HOW, "timeout", f"Stop a job after this long. {default('never')}", float, min=0.001,
        metavar="SECONDS"),
    _option(_HOW, "checkpoint", "Store jobs in training this often, at the end of an epoch: 10m,"
        f" 90s, 1h. {default('never')}", metavar="TIME"),
    _option(_WHERE, "keep_weights", "Store trained models in RESULTS/weights, for `aebench apply`.",
        bool, False),
    _option(_WHERE, "results", f"Folder. {default('results/GRID')}", Path,
        autocompletion=complete.results),
    _option(_WHERE, "data", f"Folder of the data cache. {default(DATA_FOLDER)}", Path,
        autocompletion=complete.folders),
    _option(_WHERE, "report", "Render the report at the end.", bool, False),
)  # fmt: skip
AXIS_NAMES = [o.name for o in OPTIONS if o.name in (*JOB_OPTIONS, "model", "seeds", "repeats")]
