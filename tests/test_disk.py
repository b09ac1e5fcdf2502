"""A file is the old one or the new one, whole, whatever happens while it is written."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import platformdirs
import pytest

from aebench import disk
from aebench.disk import write_whole
from aebench.errors import RequestError


def test_without_a_home_the_data_folder_must_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless() -> Path:
        raise RuntimeError("no home")

    for nowhere in (homeless, lambda: Path("cache")):
        monkeypatch.setattr(platformdirs, "user_cache_path", nowhere)
        with pytest.raises(RequestError, match=r"no home folder .* --data DIR"):
            disk.user_caches()


def test_a_file_is_put_in_place_whole_and_leaves_nothing_beside(tmp_path: Path) -> None:
    target = tmp_path / "new" / "folder" / "a.json"
    for content in (b"first", b"second", b""):
        write_whole(target, content)
        assert target.read_bytes() == content
        assert list(target.parent.iterdir()) == [target]


@pytest.mark.parametrize("refused", ["fsync", "replace"])
def test_what_cannot_be_written_leaves_the_old_file(
    refused: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "a.parquet"
    write_whole(target, b"old")
    left: list[Path] = []

    def refuse(*_: object) -> None:
        left.extend(path for path in tmp_path.iterdir() if path != target)
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, refused, refuse)
        with pytest.raises(OSError, match="No space left"):
            write_whole(target, b"new")
    # By these names the store knows what a killed process has left half-written.
    assert [(path.name[0], path.suffix) for path in left] == [(".", ".parquet")]
    assert list(tmp_path.iterdir()) == [target]
    assert target.read_bytes() == b"old"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such modes")
@pytest.mark.parametrize(("mode", "expected"), [(0o666, 0o664), (0o600, 0o600)])
def test_others_may_read_what_the_users_umask_lets_them(
    mode: int, expected: int, tmp_path: Path
) -> None:
    before = os.umask(0o002)
    try:
        write_whole(tmp_path / "a", b"content", mode)
    finally:
        os.umask(before)
    assert (tmp_path / "a").stat().st_mode & 0o777 == expected
