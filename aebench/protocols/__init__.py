"""Protocols: everything about training that is not the model, under a name.

`study` is the study's own, the same for every architecture. `tuned` was chosen by searches on
validation error (`aebench tune`): its settings lie in ``aebench/tuned.toml``, an entry for each
search, and the one closest to a job's model is meant (see `entries.closest`). A file that `aebench
tune` has written for its user is no protocol of its own: its settings are those of jobs that
depart from `study`, and are shown as such. No torch here.
"""

from __future__ import annotations

from pathlib import Path

from aebench.errors import RequestError, unknown
from aebench.protocols import entries
from aebench.protocols.entries import SETTINGS, Entry, read
from aebench.protocols.training import (
    OPTIMIZERS,
    ORDERS,
    SCHEDULES,
    STUDY,
    TrainingSettings,
    contradiction,
    learning_rate,
    plain,
    told,
)

__all__ = [
    "ABOUT", "NAMES", "OPTIMIZERS", "ORDERS", "SCHEDULES", "SETTINGS", "STUDY", "TUNED", "Entry",
    "TrainingSettings", "best_model", "chosen_by", "contradiction", "from_file", "is_file",
    "learning_rate", "plain", "read", "settings", "told",
]  # fmt: skip

ABOUT = {
    "study": "the study's own settings, the same for every architecture",
    "tuned": "settings chosen for each family by a search on validation error (`aebench tune`)",
}
NAMES = tuple(ABOUT)
TUNED = Path(__file__).parents[1] / "tuned.toml"


def settings(
    name: str, architecture: str, dataset: str, latent: int, depth: int = 1, options: str = ""
) -> TrainingSettings:
    """The settings of protocol `name` for a model on a data set; `options` as a job has them.

    Raises:
        RequestError: there is no such protocol, or no search has chosen settings for the family.
    """
    if name == "study":
        return STUDY
    if name != "tuned":
        raise RequestError(unknown("protocol", name, NAMES))
    return entries.closest(_tuned(architecture), dataset, latent, depth, options).settings


def is_file(name: str) -> bool:
    """Whether `name` means a file of settings rather than a protocol."""
    return name.lower().endswith(".toml")


def from_file(
    path: Path, architecture: str, dataset: str, latent: int, depth: int = 1, options: str = ""
) -> Entry:
    """The closest entry for a model in a file that `aebench tune` has written.

    Raises:
        RequestError: the file cannot be read, or holds no sound settings for the family.
    """
    known = entries.of_family(path, architecture)
    return entries.closest(known, dataset, latent, depth, options)


def chosen_by(
    name: str, architecture: str, dataset: str, latent: int, depth: int = 1, options: str = ""
) -> str:
    """Which search chose the settings of protocol `name` for a model: see `Entry.source`.

    Those of the study come from the study. Empty if nothing is tuned for the family.
    """
    if name == "study":
        return "the study"
    try:
        known = _tuned(architecture)
    except RequestError:
        return ""
    return entries.closest(known, dataset, latent, depth, options).source


def best_model(protocol: str, architecture: str, dataset: str, latent: int) -> Entry:
    """The entry of the best model of a family that `protocol`, a name or a file, knows of.

    Raises:
        RequestError: `protocol` is the study's, or says nothing of models of this family.
    """
    if protocol == "study":
        raise RequestError(
            "model tuned takes depth and options from a search; say which: add --protocol tuned,"
            " or --protocol FILE.toml by `aebench tune`"
        )
    if is_file(protocol):
        known = entries.of_family(Path(protocol), architecture)
    else:
        known = _tuned(architecture)
    best = entries.best_model(known, dataset, latent)
    if best is None:
        raise RequestError(
            f"protocol {protocol} says nothing of models of {architecture!r}: its settings there"
            " are of an older form, without depth and options; give these instead of model tuned"
        )
    return best


def _tuned(architecture: str) -> tuple[Entry, ...]:
    """The entries of `tuned` for a family.

    Raises:
        RequestError: there are none.
    """
    tables = read(TUNED) if TUNED.is_file() else {}
    if architecture not in tables:
        raise RequestError(
            f"no tuned settings for architecture {architecture!r} (there are:"
            f" {', '.join(tables) or 'none'}); say --epochs, --learning-rate, --schedule and"
            " --order with --protocol study instead, or search them: aebench tune --grid FILE.toml"
            " --budget 1h, then --protocol tuned.toml"
        )
    return entries.of_family(TUNED, architecture)
