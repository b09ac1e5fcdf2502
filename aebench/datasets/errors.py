"""What can go wrong between a dataset's name and its pixels, in words for the person who asked.

All of these derive from `aebench.errors.RequestError`, so the command line prints them without
a traceback; `SourceFailed` alone stays inside this package, as one line of `DataUnavailable`.
"""

from __future__ import annotations

from collections.abc import Sequence

from aebench.errors import RequestError


class UnknownDataset(RequestError):
    """No dataset of this name is in the catalogue; the message suggests the nearest."""


class BadData(RequestError):
    """Files that were given are not the dataset; the message names what was found and expected."""


class SourceFailed(Exception):
    """One source could not deliver; the text is one line, for the list in `DataUnavailable`."""


class DataUnavailable(RequestError):
    """No source could deliver the dataset.

    `failures` holds (source, reason) in the order in which the sources were tried.
    """

    def __init__(self, name: str, failures: Sequence[tuple[str, str]]) -> None:
        """Name each source, why it failed, and what to do instead."""
        self.name = name
        self.failures = tuple(failures)
        tried = "\n".join(f"  {source}: {reason}" for source, reason in self.failures)
        super().__init__(
            f"dataset {name!r} could not be had from any source:\n{tried}\n"
            f"If you have its files, or can copy them from another machine, run:\n"
            f"  aebench data add {name} PATH    (--data DIR for another cache folder)"
        )

    def __reduce__(self) -> tuple[type[DataUnavailable], tuple[str, tuple[tuple[str, str], ...]]]:
        """Survive the way back from a worker process: exceptions are pickled by their `args`."""
        return DataUnavailable, (self.name, self.failures)
