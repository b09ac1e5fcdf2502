"""A page printed to PDF by a browser of the Chromium family that is installed, without a window.

Which browser that is, how it is called and how it is ended; what is printed, the page decides.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from aebench.errors import RequestError, printable

VARIABLE = "AEBENCH_BROWSER"
NAMES = (
    "chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome",
    "microsoft-edge", "microsoft-edge-stable", "msedge",
)  # fmt: skip
# Where their installers put them on systems that keep programs off the PATH.
PLACES = (
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "/Applications/Microsoft Edge.app/Contents/MacOS/Microsoft Edge",
    r"C:\Program Files\Google\Chrome\Application\chrome.exe",
    r"C:\Program Files (x86)\Microsoft\Edge\Application\msedge.exe",
)
TIMEOUT_S = 180.0  # seconds until a browser is given up: a slow machine takes one of them
_OTHERWISE = "or open the HTML page in any browser and print it from there"


def browser() -> str:
    """The program that prints: the one that `VARIABLE` names, else the first that is installed.

    Raises:
        RequestError: there is none; the message says what to install.
    """
    named = os.environ.get(VARIABLE, "")
    if named:
        found = shutil.which(named)
        if found is None:
            raise RequestError(
                f"{VARIABLE} names {printable(named)}, which is no program that can be run; let it"
                f" name Chromium, Chrome or Edge, {_OTHERWISE}"
            )
        return found
    for name in (*NAMES, *PLACES):
        found = shutil.which(name)
        if found is not None:
            return found
    raise RequestError(
        "a PDF takes a browser that can print, and none was found; install Chromium, Chrome or"
        f" Edge (Debian: apt install chromium), name one in {VARIABLE}, {_OTHERWISE}"
    )


def pdf(html: str, folder: Path, timeout_s: float = TIMEOUT_S) -> bytes:
    """The page `html` as the text of a PDF; nothing is left in `folder`, where it is made.

    Raises:
        RequestError: there is no browser, or it prints nothing, in time or at all.
        OSError: the system refuses.
    """
    program = browser()
    # Not in the system's own temporary folder: a browser that came as a snap cannot see it.
    with tempfile.TemporaryDirectory(
        dir=folder, prefix="aebench-pdf-", ignore_cleanup_errors=True
    ) as name:
        scratch = Path(name).resolve()
        page, printed = scratch / "page.html", scratch / "page.pdf"
        page.write_text(html, encoding="utf-8")
        said = _run([program, *_options(scratch, printed), page.as_uri()], scratch, timeout_s)
        content = printed.read_bytes() if printed.is_file() else b""
    if not content.startswith(b"%PDF-") or b"%%EOF" not in content[-64:]:
        raise RequestError(f"{program} made no PDF: {said}; {_retry()}")
    # It prints its own page of excuses where it cannot read ours, with the address as its title.
    if b"/Title (file:" in content:
        raise RequestError(f"{program} could not read the page at {folder}; {_retry()}")
    return content


def _retry() -> str:
    return f"name another in {VARIABLE}, {_OTHERWISE}"


def _options(scratch: Path, printed: Path) -> list[str]:
    options = [
        "--headless",
        "--disable-gpu",
        "--no-first-run",
        "--disable-extensions",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        # Its own profile: a browser that is open already would take the page and print nothing.
        f"--user-data-dir={scratch / 'profile'}",
        "--no-pdf-header-footer",
        f"--print-to-pdf={printed}",
    ]
    # Chromium refuses to run as root inside its sandbox, and in a container everyone is root; the
    # page is ours, its content policy lets it load nothing, and names in it are escaped.
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        options.append("--no-sandbox")
    return options


def _run(command: list[str], scratch: Path, timeout_s: float) -> str:
    """Run the browser to its end, which may be ours; the last of what it said.

    What it says goes to a file: a helper that outlives it would keep a pipe open.
    """
    log = scratch / "said"
    with log.open("wb") as file:
        try:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True
            )
        except OSError as error:  # a text without a first line that says what runs it, say
            why = error.strerror or str(error)
            raise RequestError(f"{command[0]} cannot be run: {why}; {_retry()}") from error
        try:
            code = process.wait(timeout_s)
        except subprocess.TimeoutExpired as error:
            raise RequestError(
                f"{command[0]} printed nothing within {timeout_s:g} s, and was ended; {_retry()}"
            ) from error
        finally:
            _end(process)
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    # Not the complaints of one without a desktop about the buses that it lacks.
    told = [line for line in lines if line.strip() and not re.search(r"\bdbus/", line)]
    return printable(told[-1]) if told else f"it ended with code {code}"


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a browser with all of its helpers, whatever became of it."""
    with contextlib.suppress(OSError):  # they have gone by themselves
        if sys.platform == "win32":
            process.kill()
        else:
            os.killpg(process.pid, signal.SIGKILL)
    process.wait()
