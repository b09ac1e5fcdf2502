"""Libraries that are compiled here: once, for this processor, and never anybody else's."""

from __future__ import annotations

import ctypes
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from aebench import datasets
from aebench.engines import compiler
from aebench.engines.compiler import CompilerError

pytestmark = pytest.mark.compiler


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """An empty cache of the user's own, and nothing remembered of the compiler."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
    monkeypatch.delenv("AEBENCH_DATA", raising=False)
    forget()
    yield
    forget()


def forget() -> None:
    for function in (compiler._told, compiler._trouble):
        function.cache_clear()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "one.cpp"
    path.write_text('extern "C" int f() { return 1; }\n')
    return path


def kept() -> list[Path]:
    return sorted(folder().iterdir())


def folder() -> Path:
    return Path(os.environ["XDG_CACHE_HOME"]) / "aebench-native"


def script(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def counting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Name a compiler that notes each translation, a line in the file that is given."""
    log = tmp_path / "translated"
    log.touch()
    real = " ".join(compiler.find())
    text = f'case "$*" in *one.cpp*) echo x >> "{log}";; esac\nexec {real} "$@"'
    monkeypatch.setenv("CXX", str(script(tmp_path / "noting", text)))
    return log


def test_a_library_is_compiled_once_and_anew_for_other_sources(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, header = counting(tmp_path, monkeypatch), tmp_path / "one.h"
    source.write_text('#include "one.h"\nextern "C" int f() { return ONE; }\n')
    header.write_text("#define ONE 1\n")
    assert compiler.shared_library(source).f() == 1
    assert compiler.shared_library(source).f() == 1
    assert len(log.read_text().split()) == 1
    header.write_text("#define ONE 2\n")
    assert compiler.shared_library(source).f() == 2
    assert len(log.read_text().split()) == 2
    assert len(kept()) == 2
    assert folder().stat().st_mode & 0o777 == 0o700


def test_a_library_is_named_by_the_instructions_of_the_processor(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The same command, as on a cluster's shared home: it is the processor that is another.
    real = " ".join(compiler.find())
    text = (
        'for word; do [ "$word" != -march=native ] || word=$PROCESSOR; set -- "$@" "$word"; shift;'
        f' done\nexec {real} "$@"'
    )
    monkeypatch.setenv("CXX", str(script(tmp_path / "elsewhere", text)))
    for processor, count in (("-mno-avx2", 1), ("-mavx2", 2), ("-mno-avx2", 2)):
        monkeypatch.setenv("PROCESSOR", processor)
        forget()
        assert compiler.shared_library(source).f() == 1
        assert len(kept()) == count


def test_further_options_come_from_a_variable_and_make_another_library(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source.write_text('extern "C" int f() { return ONE; }\n')
    assert "ONE" in compiler.trouble(source)
    for one in (1, 2):
        monkeypatch.setenv("AEBENCH_CXXFLAGS", f"-DONE={one} '-DMORE=a word'")
        assert compiler.trouble(source) == ""
        assert compiler.shared_library(source).f() == one
    monkeypatch.setenv("AEBENCH_CXXFLAGS", "-DONE='1")
    assert "AEBENCH_CXXFLAGS is no list of options" in compiler.trouble(source)


@pytest.mark.parametrize("spoilt", ["replaced", "torn", "empty", "a link", "for all to write"])
def test_a_library_that_is_not_as_it_was_made_is_never_loaded(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spoilt: str
) -> None:
    evil = tmp_path / "evil.cpp"
    evil.write_text('extern "C" int f() { return 66; }\n')
    compiler.shared_library(evil)
    (other,) = kept()
    other = other.rename(tmp_path / "evil.so")
    log = counting(tmp_path, monkeypatch)
    forget()
    compiler.shared_library(source)
    (path,) = kept()
    content = path.read_bytes()
    path.unlink()  # what is loaded stays as it is
    if spoilt == "a link":
        path.symlink_to(other)
    else:
        cut = {"replaced": other.read_bytes(), "torn": content[: len(content) // 2], "empty": b""}
        path.write_bytes(cut.get(spoilt, content))
        path.chmod(0o666 if spoilt == "for all to write" else 0o600)
    assert compiler.shared_library(source).f() == 1
    assert len(log.read_text().split()) == 2
    assert [p.read_bytes() for p in kept()] == [content]
    assert not kept()[0].is_symlink()


@pytest.mark.parametrize("how", ["all may write", "a link", "a file", "no folder", "runs nothing"])
def test_without_a_folder_of_ones_own_it_is_made_for_this_process_alone(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    folder().parent.mkdir(parents=True)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    if how == "all may write":
        folder().mkdir()
        folder().chmod(0o777)
    elif how == "a link":
        (tmp_path / "elsewhere").mkdir()
        folder().symlink_to(tmp_path / "elsewhere")
    elif how == "a file":
        folder().write_text("")
    elif how == "no folder":
        monkeypatch.delenv("XDG_CACHE_HOME")
        monkeypatch.setenv("HOME", "nowhere")
    else:
        load = ctypes.CDLL

        def refusing(name: str) -> ctypes.CDLL:
            if name.startswith(str(folder())):
                raise OSError(f"{name}: failed to map segment from shared object")
            return load(name)

        monkeypatch.setattr(ctypes, "CDLL", refusing)
    assert compiler.shared_library(source).f() == 1
    assert compiler.trouble(source) == ""
    assert list((tmp_path / "temporary").iterdir()) == []
    if how in ("all may write", "a link"):
        assert kept() == []


def test_of_another_user_nothing_is_loaded(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiler.shared_library(source)
    before = kept()
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    assert compiler.private_folder() is None
    assert compiler.shared_library(source).f() == 1
    assert kept() == before


def test_no_code_comes_from_the_data(source: Path, tmp_path: Path) -> None:
    data = datasets.cache_directory()
    assert not folder().is_relative_to(data)
    compiler.shared_library(source)
    (path,) = kept()
    (data / "native").mkdir(parents=True)
    for place in (data / "native", data):
        path_there = place / path.name
        shutil.copy(path, path_there)
        path_there.write_bytes(b"")
    path.unlink()
    assert compiler.shared_library(source).f() == 1
    assert [p.parent for p in kept()] == [folder()]


def test_cxx_is_a_program_or_a_command(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = compiler.find()[0]
    spaced = script(tmp_path / "my compilers" / "the c++", f'exec {real} "$@"')
    for given in (str(spaced), f"'{spaced}' -DX=3", f"env X=1 {real}", f"  {real}  -O1 "):
        monkeypatch.setenv("CXX", given)
        forget()
        assert compiler.trouble(source) == ""
        assert compiler.shared_library(source).f() == 1
    for given, says in (
        ("'half a quote", "is no command"),
        ("not-there -O2", "names not-there -O2, and there is no such program"),
        ("\x1b[31mred", r"names \x1b[31mred, and"),
        ("true", "cannot compile"),
        ("cat", "cannot compile"),  # which would wait for words on stdin
    ):
        monkeypatch.setenv("CXX", given)
        forget()
        assert says in compiler.trouble(source)
        with pytest.raises(CompilerError):
            compiler.shared_library(source)


def test_what_cannot_be_read_or_computes_nonsense_is_known_before(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source.write_text("int f() { return nothing; }\n")
    assert "nothing" in compiler.trouble(source)
    with pytest.raises(CompilerError, match=r"cannot compile: .*nothing"):
        compiler.shared_library(source)
    assert not folder().exists() or kept() == []
    source.write_text("int f() { return 1; }\n")
    real = " ".join(compiler.find())
    text = f"exec {real} \"$@\" '-Daebench_probe(x)=aebench_probe(int){{return 7;}} int other(x)'"
    monkeypatch.setenv("CXX", str(script(tmp_path / "odd", text)))
    forget()
    assert compiler.trouble(source) == "what odd compiles computes nonsense"


def test_a_compiler_that_never_answers_is_given_up(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXX", str(script(tmp_path / "slow", "exec sleep 600")))
    monkeypatch.setattr(compiler, "_PATIENCE_S", 0.2)
    assert "slow gave no answer" in compiler.trouble(source)


def test_a_compiler_is_not_left_to_wait_for_words_on_stdin(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXX", str(script(tmp_path / "reads", "cat; exit 1")))
    monkeypatch.setattr(compiler, "_PATIENCE_S", 5.0)
    reading, writing = os.pipe()
    before = os.dup(0)
    os.dup2(reading, 0)  # a terminal at which nobody types
    try:
        assert "reads cannot compile" in compiler.trouble(source)
    finally:
        os.dup2(before, 0)
        for end in (before, reading, writing):
            os.close(end)


def test_what_was_found_is_remembered(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = counting(tmp_path, monkeypatch)
    for _ in range(3):  # as three processes
        forget()
        assert compiler.trouble(source) == ""
    assert len(log.read_text().split()) == 1
