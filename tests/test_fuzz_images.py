"""Whatever lies in a folder of images: what can be read is taken, the rest is named and counted."""

from __future__ import annotations

import io
import os
import socket
import struct
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fuzzing import World, controls, fuzzed, world
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image

from aebench import datasets
from aebench.datasets import folder
from aebench.errors import RequestError

WHOLE = 24
FORMATS = ("png", "jpeg", "gif", "bmp", "webp", "tiff", "ppm", "ico")
SIZES = ((8, 8), (9, 7), (1, 1), (70, 70), (300, 2))
MODES = ("L", "RGB", "RGBA", "P", "1", "LA", "I;16", "F", "CMYK")


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Real pictures of digits, enough for a dataset."""
    with pytest.MonkeyPatch.context() as patch, world(tmp_path_factory.mktemp("i"), patch) as made:
        (made.template / "photos").mkdir()
        for index, pixels in enumerate(np.array(datasets.load("digits").test[:WHOLE, 0])):
            Image.fromarray(pixels).save(made.template / "photos" / f"{index:02}.png")
        yield made


def picture(form: str, size: tuple[int, int], mode: str) -> bytes:
    """A picture as its writer makes it; empty where that format has no such mode."""
    values = np.random.default_rng(1).integers(0, 255, (size[1], size[0], 3), np.uint8)
    file = io.BytesIO()
    try:
        Image.fromarray(values).convert("L").convert(mode).save(file, form)
    except (OSError, ValueError, KeyError):
        return b""
    return file.getvalue()


def png_that_claims(width: int, height: int) -> bytes:
    """A PNG of a few bytes with the header of a large one."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = chunk(b"IDAT", zlib.compress(b"\0" * 100))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + data + chunk(b"IEND", b"")


def gif_that_claims(width: int, height: int) -> bytes:
    return b"GIF89a" + struct.pack("<HH", width, height) + picture("gif", (8, 8), "L")[10:]


def bmp_that_claims(width: int, height: int) -> bytes:
    whole = picture("bmp", (8, 8), "RGB")
    return whole[:18] + struct.pack("<ii", width, height) + whole[26:]


@st.composite
def contents(draw: Any) -> bytes:
    """Bytes of a file: a picture, what is left of one, a false header, or anything."""
    kind = draw(st.sampled_from(["whole", "cut", "flipped", "claim", "bytes"]))
    if kind == "bytes":
        return draw(st.binary(max_size=80))
    if kind == "claim":
        claim = draw(st.sampled_from([png_that_claims, gif_that_claims, bmp_that_claims]))
        side = st.sampled_from([0, 1, 30_000, 65_535])
        return claim(draw(side), draw(side))
    data = bytearray(picture(*(draw(st.sampled_from(every)) for every in (FORMATS, SIZES, MODES))))
    if kind == "cut":
        return bytes(data[: int(draw(st.floats(0, 1)) * len(data))])
    if kind == "flipped" and data:
        for place in draw(st.lists(st.floats(0, 1), min_size=1, max_size=6)):
            data[int(place * (len(data) - 1))] ^= draw(st.integers(1, 255))
    return bytes(data)


ODD_NAMES = [
    "a b.png", "no ending", ".hidden.png", "\x1b[2Jescape.png", "new\nline.png", "\u202egnp.png",
    "tab\t.png", "\x9b31m.png", "\udcff\udcfe.png", "é" * 100 + ".png", "a" * 250 + ".png",
    "sub/00.png", "sub/deep/x.png", ".git/x.png", "sub\n/x.png", "comma,comma.png", "%s{}.png",
    "é.png", "e\u0301.png", "[red].png", "CON.png", "..png", "- .png", "*.png",
]  # fmt: skip
names = st.sampled_from(ODD_NAMES) | st.binary(min_size=1, max_size=10).map(
    lambda data: data.replace(b"\0", b"_").replace(b"/", b"_").decode("utf-8", "surrogateescape")
).filter(lambda name: name not in (".", ".."))

THINGS = ("loop", "dangling", "up", "pipe", "socket", "folder.png", "device", "link")


def put(root: Path, name: str, data: bytes) -> bool:
    """Write a file below `root`; False where this machine's file system cannot have that name."""
    path = root / name
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    except OSError:
        return False
    return True


def put_thing(root: Path, thing: str) -> None:
    """Something that is no file of a picture."""
    path = root / f"a {thing}"
    if thing == "folder.png":
        (root / "folder.png").mkdir(exist_ok=True)
    elif sys.platform == "win32" or path.is_symlink() or path.exists():
        return
    elif thing == "pipe":
        os.mkfifo(path)
    elif thing == "socket":
        before = Path.cwd()
        os.chdir(root)  # the path of a socket may have a hundred bytes
        try:
            with socket.socket(socket.AF_UNIX) as made:
                made.bind(path.name)
        finally:
            os.chdir(before)
    else:
        targets = {"loop": path.name, "up": "..", "device": "/dev/zero", "link": "00.png"}
        path.symlink_to(targets.get(thing, "no such file"))


def taken(adopted: folder.Adopted) -> int:
    return adopted.info.train_images + adopted.info.test_images


@pytest.mark.slow
@fuzzed(60)
@given(
    st.lists(st.tuples(names, contents()), max_size=4),
    st.lists(st.sampled_from(THINGS), max_size=2, unique=True),
)
@example([("a.png", png_that_claims(65_535, 65_535))], [])
@example([("a.gif", gif_that_claims(65_535, 65_535))], [])
@example([("new\nline.png", b"no image")], ["loop", "pipe"])
@example([("\x1b[2Jescape.png", b"no image")], [])
@example([("\udcff.png", picture("png", (8, 8), "L"))], [])
def test_what_cannot_be_read_is_left_out_named_and_counted(
    here: World, files: list[tuple[str, bytes]], things: list[str]
) -> None:
    root = here.renewed() / "photos"
    for name, data in files:
        put(root, name, data)
    for thing in things:
        put_thing(root, thing)
    adopted = folder.adopt(root, here.base / "data")
    assert taken(adopted) + len(adopted.left_out) == adopted.files
    assert taken(adopted) >= WHOLE
    left_out = dict(adopted.left_out)
    assert all(left_out.values()), "left out without a reason"
    assert not set(left_out) & {f"{index:02}.png" for index in range(WHOLE)}
    assert bool(adopted.note) == bool(left_out)
    assert not controls(adopted.note.replace("\n", "\x1b")), "the note steers the terminal"
    assert len(adopted.note) < 4000
    # The same folder again is the same dataset, read from the cache or from the files.
    again = folder.adopt(root, here.base / "data")
    assert again == adopted
    pixels = datasets.load(adopted.info.name, here.base / "data")
    assert pixels.train.shape[1:] == pixels.test.shape[1:]
    assert len(pixels.train) + len(pixels.test) == taken(adopted)


@fuzzed(30)
@given(st.lists(st.tuples(names, contents()), max_size=6), st.lists(st.sampled_from(THINGS)))
def test_too_few_images_are_refused_in_words(
    here: World, files: list[tuple[str, bytes]], things: list[str]
) -> None:
    root = here.renewed() / "few"
    root.mkdir()
    for name, data in files:
        put(root, name, data)
    for thing in things:
        put_thing(root, thing)
    with pytest.raises(RequestError, match=r"readable images among \d+ files") as caught:
        folder.adopt(root, here.base / "data")
    assert len(str(caught.value)) < 4000


@fuzzed(20)
@given(st.lists(st.tuples(names, contents()), min_size=1, max_size=3), st.booleans())
@example([("\x1b[2Jescape.png", b"no image")], True)
@example([("\x1b[2Jescape.png", b"no image")], False)
@example([("new\nline.png", b"no image")], True)
def test_the_command_says_it_without_steering_the_terminal(
    here: World, files: list[tuple[str, bytes]], few: bool
) -> None:
    root = here.renewed() / ("few" if few else "photos")
    root.mkdir(exist_ok=True)
    for name, data in files:
        put(root, name, data)
    words = ["run", "--plan", "--architecture", "mlp", "--latent", "2", "--batch-size", "2"]
    answer = here.answer(*words, "--dataset", f"./{root.name}")
    answer.check()
    assert answer.code == (2 if few else 0)
    assert not controls(answer.out + answer.err), answer.err
