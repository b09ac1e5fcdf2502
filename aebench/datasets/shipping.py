"""A dataset of the data cache, taken to the cache of another machine.

What travels is the folder as it lies in the cache. The other side compares the checksum of every
file with the one told, whether the file was there already or has just come.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from aebench.datasets import cache
from aebench.disk import write_whole
from aebench.errors import RequestError, printable

_META = "meta.json"  # holds dates of files, which differ from machine to machine


@dataclass(frozen=True)
class Parcel:
    """A folder of the cache by its name, and the SHA-256 of every file in it."""

    folder: str
    sums: Mapping[str, str]


def pack(folder: Path) -> tuple[Parcel, dict[str, bytes]]:
    """What lies in a folder of the cache: a parcel to compare with, and the content of the files.

    Raises:
        RequestError: it cannot be read.
    """
    try:
        files = {path.name: path.read_bytes() for path in sorted(folder.iterdir())}
    except OSError as error:
        raise RequestError(
            f"the dataset in {printable(folder)} cannot be read ({error.strerror or error})"
        ) from error
    files = {name: content for name, content in files.items() if not name.startswith(".")}
    sums = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    return Parcel(folder.name, sums), files


def unpack(parcel: Parcel, fetch: Callable[[], Mapping[str, bytes]], directory: Path) -> bool:
    """Put a parcel into the cache `directory` unless it lies there whole; whether it was put.

    `fetch` gets the content, and is called only if that is needed.

    Raises:
        RequestError: the cache cannot be written, or what came is not what was sent.
    """
    folder = directory / parcel.folder
    if _whole(parcel, folder):
        return False
    with cache.locked_folder(folder, f"fetching {parcel.folder}"):
        if _whole(parcel, folder):  # another process on this machine has put it meanwhile
            return False
        files = fetch()
        for name, told in parcel.sums.items():
            if hashlib.sha256(files[name]).hexdigest() != told:
                raise RequestError(
                    f"{name} of {parcel.folder} came damaged: its checksum differs from the one"
                    " told; run the same command again"
                )
        try:
            # Last what says that the rest is there.
            for name in sorted(parcel.sums, key=lambda name: name == _META):
                write_whole(folder / name, files[name])
        except OSError as error:
            raise cache.cannot_write(directory, error) from error
    return True


def _whole(parcel: Parcel, folder: Path) -> bool:
    try:
        return (folder / _META).is_file() and all(
            hashlib.sha256((folder / name).read_bytes()).hexdigest() == told
            for name, told in parcel.sums.items()
            if name != _META
        )
    except OSError:
        return False
