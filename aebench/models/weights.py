"""Weights of trained models: kept beside the tables, found by key or fields, and made a model.

Nothing but numbers is kept, in a safetensors file of the job's key; the model around them is
built anew by its architecture's code, which has to be the code that the job was trained with. The
record has the file's checksum, so that weights of another training of the same job are noticed.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

import aebench
from aebench import architectures
from aebench.architectures import Shape
from aebench.architectures.autoencoder import build
from aebench.disk import write_whole
from aebench.errors import RequestError, printable, unknown
from aebench.job import FIELDS, Job
from aebench.models.tensors import Misfit, Unreadable, decode, encode, of_model, put
from aebench.store import Row, Store, kept

if TYPE_CHECKING:
    import pandas as pd

_LISTED = 12  # jobs that an error lists


@dataclass(frozen=True)
class Loaded:
    """A trained model on the CPU, in the mode of use, with its job.

    It takes images float32 [N, *shape] in [0, 1]; `mse` is the test error in its record.
    """

    model: nn.Module
    job: Job
    shape: Shape
    mse: float


def keep(results: Path, job: Job, model: nn.Module, shape: Shape) -> Row:
    """Store the weights of a trained model, and give the columns of its record that say so.

    A disk that is full, or a model whose numbers cannot be stored, is told there and raises
    nothing: what was measured is worth a record all the same.
    """
    path = kept.weights(results, job.key)
    about = {
        "job": dataclasses.asdict(job),
        "key": job.key,
        "image": shape,
        "aebench": aebench.__version__,
        "torch": torch.__version__,
    }
    try:
        content = encode(of_model(model), about)
        write_whole(path, content)
    except Exception as error:
        why = getattr(error, "strerror", None) or str(error) or type(error).__name__
        return {"keeping_note": f"weights not kept: {printable(why)}"}
    return {"weights_sha256": hashlib.sha256(content).hexdigest()}


def load(results: Path | str, key: str = "", **fields: Any) -> nn.Module:
    """The trained model of one job of a results folder, whose weights were kept.

    On the CPU and in the mode of use; it takes float32 images [N, C, H, W] in [0, 1]. The job is
    named by its key, or the beginning of it, by fields (``architecture="conv", latent=16``), or
    both. Under as many threads as trained it, on such a machine, it has the recorded error to the
    last bit.

    Raises:
        RequestError: no such job, or several; it has no weights, or they cannot be used.
    """
    return find(results, key, **fields).model


def find(results: Path | str, key: str = "", **fields: Any) -> Loaded:
    """As `load`, with what there is to know of the model."""
    store = Store(results)
    if not store.exists:
        raise RequestError(f"no results at {printable(store.path, 1000)}")
    row = _chosen(store, key, fields)
    path = kept.weights(store.path, row["key"])
    try:
        content = path.read_bytes()
    except OSError as error:
        raise RequestError(
            f"the weights {printable(path, 1000)} cannot be read ({error.strerror or error});"
            " their record says that they were kept: copy them from where they are"
        ) from error
    if hashlib.sha256(content).hexdigest() != row["weights_sha256"]:
        raise RequestError(
            f"{printable(path, 1000)} is damaged, or holds the weights of another training of"
            " this job than its record; train it again with --keep-weights --retrain"
        )
    try:
        tensors, about = decode(content)
        job, shape = Job(**about["job"]), about["image"]
    except (Unreadable, KeyError, TypeError) as error:
        raise RequestError(
            f"{printable(path, 1000)} cannot be read by aebench {aebench.__version__}"
            f" ({printable(error)}); a newer one may have written it"
        ) from error
    _check_code(job)
    model = build(job, (shape[0], shape[1], shape[2])).model
    try:
        put(tensors, model)
    except Misfit as error:
        raise RequestError(
            f"the weights of {printable(job.name)} do not fit the model that its architecture"
            f" builds now: {printable(error)}. Use aebench {about.get('aebench')}, which made them"
        ) from error
    return Loaded(model.eval(), job, (shape[0], shape[1], shape[2]), float(row["mse"]))


def _check_code(job: Job) -> None:
    """Make sure that the code is there that the weights were trained with."""
    name = job.architecture
    if name not in architectures.names():
        raise RequestError(
            f"these weights are of architecture {printable(name)!r}, which is not known here: give"
            " its file with --plugin, or in Python import the module that defines it"
        )
    try:
        architectures.check_code(job)
    except RequestError as error:
        raise RequestError(
            f"the code of architecture {printable(name)!r} is not that which these weights were"
            " trained with; go back to that code, or train again with --keep-weights"
        ) from error


def _chosen(store: Store, key: str, fields: Mapping[str, Any]) -> Row:
    """The one record that is meant, with weights."""
    for name in fields:
        if name not in FIELDS:
            raise RequestError(unknown("field of a job", name, FIELDS))
    survey = store.survey()
    jobs = survey.jobs
    with_weights = jobs[jobs["weights_sha256"].fillna("").ne("")]
    meant = jobs[jobs["key"].str.startswith(key)]
    for name, value in fields.items():
        meant = meant[meant[name].map(lambda has, value=value: bool(has == value))]
    asked = ", ".join([key] * bool(key) + [f"{n}={v}" for n, v in fields.items()])
    asked = printable(asked) or "any job"
    where = printable(store.path, 1000)
    if not len(meant):
        raise RequestError(f"no job in {where} is {asked}; {_listed(with_weights)}")
    found = meant[meant["key"].isin(with_weights["key"])]
    if len(found) == 1:
        return {str(name): value for name, value in found.iloc[0].to_dict().items()}
    if len(found):
        raise RequestError(f"{len(found)} jobs in {where} are {asked}; {_listed(found)}")
    notes = [note for note in meant["keeping_note"].fillna("").unique() if note]
    why = f" ({printable(notes[0])})" if notes else ""
    raise RequestError(
        f"{asked} in {where} has a record, but its weights were not kept{why}: run the command"
        f" that trained it again with --keep-weights --retrain; {_listed(with_weights)}"
    )


def _listed(jobs: pd.DataFrame) -> str:
    """The jobs whose weights are there, by key and by the fields in which they differ."""
    if not len(jobs):
        return "no weights were kept in this folder"
    differ = [f for f in FIELDS if jobs[f].nunique(dropna=False) > 1 and f not in _NAMED]
    lines = [
        f"  {row['key']}  {row['dataset']} {row['architecture']}-{row['latent']}"
        + "".join(f", {name}={row[name]}" for name in differ)
        for row in jobs.sort_values(list(_NAMED)).head(_LISTED).to_dict("records")
    ]
    more = [f"  and {len(jobs) - _LISTED} more"] if len(jobs) > _LISTED else []
    return "weights were kept of:\n" + "\n".join(map(printable, [*lines, *more]))


_NAMED = ("dataset", "architecture", "latent")
