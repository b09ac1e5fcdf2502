"""A page as a PDF: which browser prints it, and what is said where none does."""

from __future__ import annotations

import os
import re
import sys
import time
from pathlib import Path

import pytest

from aebench.errors import RequestError
from aebench.page import printing

PRINTS = """
options = dict(word.lstrip("-").partition("=")[::2] for word in sys.argv[1:])
page = urllib.request.urlopen(sys.argv[-1]).read()
pathlib.Path(options["print-to-pdf"]).write_bytes(b"%PDF-1.4 " + page + b" %%EOF\\n")
"""


def browser(folder: Path, script: str = PRINTS, name: str = "chromium") -> Path:
    """A program that takes the words of a browser; by default it prints the page as it is."""
    program = folder / name
    program.parent.mkdir(exist_ok=True)
    program.write_text(f"#!{sys.executable}\nimport pathlib, sys, time, urllib.request\n{script}")
    program.chmod(0o755)
    return program


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """No browser anywhere; a folder for programs, which is all of the PATH."""
    folder = tmp_path / "programs"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.delenv(printing.VARIABLE, raising=False)
    monkeypatch.setattr(printing, "PLACES", ())
    return folder


def test_a_page_is_printed_and_nothing_else_is_left(bare: Path, tmp_path: Path) -> None:
    browser(bare)
    assert printing.pdf("<p>é</p>", tmp_path) == "%PDF-1.4 <p>é</p> %%EOF\n".encode()
    assert list(tmp_path.iterdir()) == [bare]


def test_without_a_browser_it_is_said_what_to_do(bare: Path, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"install Chromium, Chrome or Edge .*AEBENCH_BROWSER"):
        printing.pdf("", tmp_path)


def test_the_browser_that_is_named_comes_first(
    bare: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser(bare)
    edge = browser(bare, name="msedge")
    monkeypatch.setenv(printing.VARIABLE, str(edge))
    assert printing.browser() == str(edge)
    monkeypatch.setenv(printing.VARIABLE, "msedge")
    assert printing.browser() == str(edge)
    monkeypatch.setenv(printing.VARIABLE, "nothing\x1b")
    with pytest.raises(RequestError, match=r"AEBENCH_BROWSER names nothing\\x1b"):
        printing.browser()
    monkeypatch.delenv(printing.VARIABLE)
    assert printing.browser() == str(bare / "chromium")


def test_a_browser_off_the_path_is_found(
    bare: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chrome = browser(tmp_path / "Program Files", name="chrome.exe")
    monkeypatch.setattr(printing, "PLACES", (str(tmp_path / "missing"), str(chrome)))
    assert printing.browser() == str(chrome)


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("print('no usable\\x1b sandbox'); sys.exit(3)", r"no usable\\x1b sandbox"),
        ("sys.exit(3)", "it ended with code 3"),
        (PRINTS.replace("%%EOF", ""), "made no PDF"),
        (PRINTS.replace("%PDF", "a web page"), "made no PDF"),
        (PRINTS + "print('[1:2:ERROR:dbus/bus.cc(1)] no bus'); sys.exit(3)", None),
        (
            PRINTS.replace("+ page +", "+ b'/Title (file:///page.html)' +"),
            "could not read the page",
        ),
    ],
)
def test_what_is_no_pdf_of_the_page_is_an_error(
    script: str, said: str | None, bare: Path, tmp_path: Path
) -> None:
    browser(bare, script)
    if said is None:
        assert printing.pdf("page", tmp_path) == b"%PDF-1.4 page %%EOF\n"
    else:
        with pytest.raises(RequestError, match=said):
            printing.pdf("page", tmp_path)
    assert list(tmp_path.iterdir()) == [bare]


def test_a_program_that_cannot_be_run_is_named(bare: Path, tmp_path: Path) -> None:
    (bare / "chromium").write_text("no program")
    (bare / "chromium").chmod(0o755)
    with pytest.raises(RequestError, match="chromium cannot be run: "):
        printing.pdf("page", tmp_path)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="ended otherwise there")
def test_a_browser_that_hangs_is_ended_with_its_helpers(bare: Path, tmp_path: Path) -> None:
    told = tmp_path / "helper"
    browser(
        bare,
        "import subprocess\n"
        f"helper = subprocess.Popen([{sys.executable!r}, '-c', 'import time; time.sleep(60)'])\n"
        f"pathlib.Path({str(told)!r}).write_text(str(helper.pid))\n"
        "time.sleep(60)",
    )
    with pytest.raises(RequestError, match="printed nothing within 5 s, and was ended"):
        printing.pdf("page", tmp_path, timeout_s=5)
    status = Path(f"/proc/{told.read_text()}/status")
    for _ in range(100):
        if not status.exists() or "State:\tZ" in status.read_text():
            break
        time.sleep(0.05)
    else:
        pytest.fail("its helper lives on")


@pytest.mark.parametrize("root", [True, False])
def test_only_root_does_without_the_sandbox(
    root: bool, bare: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser(bare, PRINTS.replace("+ page +", "+ repr(sys.argv).encode() +"))
    monkeypatch.setattr(os, "geteuid", lambda: 0 if root else 1000, raising=False)
    printed = printing.pdf("page", tmp_path)
    assert (b"--no-sandbox" in printed) is root
    assert b"--headless" in printed


@pytest.mark.browser
def test_a_real_browser_prints_a_page(tmp_path: Path) -> None:
    try:
        printing.browser()
    except RequestError as error:
        pytest.skip(str(error))
    breaks = "<p style='break-after: page'>one</p><p>two</p>"
    printed = printing.pdf(f"<!DOCTYPE html><title>a report</title>{breaks}", tmp_path)
    assert len(re.findall(rb"/Type /Page\b", printed)) == 2
    assert b"/Title (a report)" in printed
    assert list(tmp_path.iterdir()) == []
