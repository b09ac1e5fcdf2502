"""What judges a page is fetched once, and is what was asked for, or it is not used."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import os
import sys
import tarfile
from pathlib import Path

import pytest
from checkers import Package, file_of


@pytest.fixture
def package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Package:
    """A package of an npm of our own, which notes its calls; the cache is empty."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as archive:
        member = tarfile.TarInfo("package/judge.js")
        member.size = 5
        archive.addfile(member, io.BytesIO(b"judge"))
    (tmp_path / "packed").write_bytes(content.getvalue())
    programs = tmp_path / "programs"
    programs.mkdir()
    npm = programs / "npm"
    npm.write_text(
        f"#!{sys.executable}\n"
        "import shutil, sys\n"
        f"open({str(tmp_path / 'calls')!r}, 'a').write(sys.argv[-1] + '\\n')\n"
        f"shutil.copy({str(tmp_path / 'packed')!r}, sys.argv[-2] + '/packed.tgz')\n"
    )
    npm.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
    monkeypatch.setenv("HOME", str(tmp_path))
    checksum = hashlib.sha256(content.getvalue()).hexdigest()
    return Package("judge", "1.2.3", checksum, "package/judge.js")


def test_a_package_is_fetched_once(package: Package, tmp_path: Path) -> None:
    for _ in range(2):
        assert file_of(package).read_bytes() == b"judge"
    assert (tmp_path / "calls").read_text() == "judge@1.2.3\n"


def test_a_package_with_another_checksum_is_not_used(package: Package) -> None:
    for _ in range(2):
        with pytest.raises(AssertionError, match=r"judge@1\.2\.3 is another"):
            file_of(dataclasses.replace(package, sha256="0" * 64))


@pytest.mark.parametrize(
    ("ci", "outcome"), [("", "skipped"), ("false", "skipped"), ("1", "failed")]
)
def test_what_is_missing_skips_a_test_and_fails_it_in_ci(
    package: Package, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ci: str, outcome: str
) -> None:
    monkeypatch.setenv("CI", ci)
    monkeypatch.setenv("PATH", str(tmp_path))
    kind = {"skipped": pytest.skip.Exception, "failed": pytest.fail.Exception}[outcome]
    with pytest.raises(kind, match="no npm on this machine to fetch judge with"):
        file_of(package)


def test_what_npm_says_is_told(package: Package, monkeypatch: pytest.MonkeyPatch) -> None:
    npm = Path(os.environ["PATH"].split(os.pathsep)[0]) / "npm"
    npm.write_text("#!/bin/sh\necho npm error code E404 >&2\nexit 1\n")
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(
        pytest.skip.Exception, match=r"could not fetch judge@1\.2\.3: npm error code"
    ):
        file_of(package)
