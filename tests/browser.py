"""Drives Chromium for tests: opens a page as a reader would, asks it, and takes its picture.

Decides how a browser is found, started and spoken to: the DevTools protocol through a pair of
pipes, which needs nothing installed beside Chromium itself, and which ends the browser when this
process ends, however it does. Leaves to others what is looked at.
"""

from __future__ import annotations

import base64
import contextlib
import itertools
import json
import os
import select
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-dev-shm-usage", "--hide-scrollbars", "--remote-debugging-pipe",
)  # fmt: skip
WIDE, NARROW = (1280, 800), (400, 800)
PATIENCE_S = 300  # on a machine that is busy with something else


def executable() -> str | None:
    """The path of Chromium, or none; none on Windows, whose pipes are others."""
    if os.name == "nt":
        return None
    return next(filter(None, map(shutil.which, NAMES)), None)


class BrowserError(Exception):
    """What Chromium says that it cannot do, or a script that raised."""


class Browser:
    """One Chromium without a window; a context, in which `open` shows pages."""

    def __enter__(self) -> Browser:
        import fcntl  # there is none on Windows

        program = executable()
        if program is None:
            raise BrowserError(f"no Chromium: none of {', '.join(NAMES)} is installed")
        self._folder = tempfile.TemporaryDirectory(prefix="browser-", ignore_cleanup_errors=True)
        self._log = Path(self._folder.name) / "log"
        told, self._to = os.pipe()
        self._from, says = os.pipe()
        # Chromium reads from 3 and writes to 4; moved up first, so that neither is overwritten.
        given = [fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in (told, says)]
        write = os.O_WRONLY | os.O_CREAT
        actions = [
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
            (os.POSIX_SPAWN_OPEN, 2, str(self._log), write, 0o600),
            (os.POSIX_SPAWN_DUP2, given[0], 3),
            (os.POSIX_SPAWN_DUP2, given[1], 4),
        ]
        profile = f"--user-data-dir={Path(self._folder.name) / 'profile'}"
        words = [program, *FLAGS, profile, "about:blank"]
        self._process = os.posix_spawn(program, words, dict(os.environ), file_actions=actions)
        for end in (told, says, *given):
            os.close(end)
        self._numbers = itertools.count(1)
        self._heard = b""
        self._pages: dict[str, Page] = {}
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(BrowserError, OSError):
            self.ask("Browser.close")
        os.close(self._to)
        os.close(self._from)
        os.waitpid(self._process, 0)
        self._folder.cleanup()

    @contextlib.contextmanager
    def open(
        self,
        page: Path | str,
        *,
        size: tuple[int, int] = WIDE,
        dark: bool = False,
        scripts: bool = True,
    ) -> Iterator[Page]:
        """Show a file, or HTML as text, and wait until it has loaded; closed when left."""
        if isinstance(page, str):
            file = Path(self._folder.name) / f"page-{next(self._numbers)}.html"
            file.write_text(page, encoding="utf-8")
        else:
            file = page.resolve()
        # A context of its own: what one page stores no page of another test may find.
        context = self.ask("Target.createBrowserContext")
        target = self.ask("Target.createTarget", url="about:blank", **context)["targetId"]
        session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        shown = self._pages[session] = Page(self, session)
        try:
            for domain in ("Page", "Runtime", "Log"):
                shown.ask(f"{domain}.enable")
            shown.ask("Emulation.setScriptExecutionDisabled", value=not scripts)
            shown.look(size=size, dark=dark)
            if error := shown.ask("Page.navigate", url=file.as_uri()).get("errorText"):
                raise BrowserError(f"{file}: {error}")
            shown.wait("document.readyState === 'complete'")
            yield shown
        finally:
            del self._pages[session]
            self.ask("Target.disposeBrowserContext", **context)

    def ask(self, method: str, session: str = "", **parameters: Any) -> dict[str, Any]:
        """Send one command of the DevTools protocol and wait for its answer."""
        number = next(self._numbers)
        message: dict[str, Any] = {"id": number, "method": method, "params": parameters}
        if session:
            message["sessionId"] = session
        data = memoryview(json.dumps(message).encode() + b"\0")
        while data:
            data = data[os.write(self._to, data) :]
        deadline = time.monotonic() + PATIENCE_S
        while (answer := self.listen(deadline)).get("id") != number:
            pass
        if "error" in answer:
            raise BrowserError(f"{method}: {answer['error']['message']}")
        result: dict[str, Any] = answer["result"]
        return result

    def listen(self, deadline: float) -> dict[str, Any]:
        """The next message; an event is told to its page first."""
        while b"\0" not in self._heard:
            ready, _, _ = select.select([self._from], [], [], max(0, deadline - time.monotonic()))
            if not ready:
                raise BrowserError(f"no answer within {PATIENCE_S} s; {self._said()}")
            heard = os.read(self._from, 1 << 20)
            if not heard:
                raise BrowserError(f"the browser has ended; {self._said()}")
            self._heard += heard
        line, _, self._heard = self._heard.partition(b"\0")
        message: dict[str, Any] = json.loads(line)
        if message.get("sessionId") in self._pages and "method" in message:
            self._pages[message["sessionId"]].hear(message["method"], message["params"])
        return message

    def _said(self) -> str:
        return f"it said: {self._log.read_text(encoding='utf-8', errors='replace')[-1000:]}"


class Page:
    """One open page. `complaints` are its errors so far, of scripts and of the content policy."""

    def __init__(self, browser: Browser, session: str) -> None:
        self.complaints: list[str] = []
        self._browser, self._session = browser, session
        self._wishes = {"dark": False, "calm": False, "printed": False}

    def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send one command of the DevTools protocol to this page, and wait for its answer."""
        return self._browser.ask(method, self._session, **parameters)

    def hear(self, event: str, told: dict[str, Any]) -> None:
        """Keep what an event says."""
        if event == "Runtime.exceptionThrown":
            details = told["exceptionDetails"]
            self.complaints.append(details.get("exception", {}).get("description", details["text"]))
        elif event == "Log.entryAdded" and told["entry"]["level"] in ("error", "warning"):
            self.complaints.append(told["entry"]["text"])
        elif event == "Runtime.consoleAPICalled" and told["type"] in ("error", "warning", "assert"):
            self.complaints.append(" ".join(str(each.get("value")) for each in told["args"]))

    def run(self, script: str, *arguments: Any) -> Any:
        """Run the body of an asynchronous function, and give what it returns, through JSON.

        It sees `arguments` under that name. It runs in pages without scripts, too, and past the
        content policy of the page.
        """
        told = json.dumps(arguments)
        answer = self.ask(
            "Runtime.evaluate",
            expression=f"(async (...arguments) => {{\n{script}\n}})(...{told})",
            awaitPromise=True, returnByValue=True, userGesture=True,
        )  # fmt: skip
        if "exceptionDetails" in answer:
            details = answer["exceptionDetails"]
            raise BrowserError(details.get("exception", {}).get("description", details["text"]))
        return answer["result"].get("value")

    def wait(self, condition: str) -> None:
        """Wait until an expression holds; the page may be replaced by another meanwhile.

        Raises:
            BrowserError: it did not within `PATIENCE_S`.
        """
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            with contextlib.suppress(BrowserError):  # between two pages there is none to ask
                if self.run(f"return Boolean({condition})"):
                    return
            time.sleep(0.02)
        raise BrowserError(f"after {PATIENCE_S} s it does not hold that {condition}")

    def reload(self) -> None:
        """Load the page anew, from the address where it is now."""
        self.run("window.old = true")
        self.ask("Page.reload")
        self.wait("!window.old && document.readyState === 'complete'")

    def look(
        self,
        *,
        size: tuple[int, int] | None = None,
        dark: bool | None = None,
        calm: bool | None = None,
        printed: bool | None = None,
    ) -> None:
        """Change how the reader looks at it: window, theme, less motion, paper."""
        if size is not None:
            width, height = size
            self.ask(
                "Emulation.setDeviceMetricsOverride",
                width=width, height=height, deviceScaleFactor=1, mobile=False,
            )  # fmt: skip
        wishes = {"dark": dark, "calm": calm, "printed": printed}
        self._wishes |= {name: wish for name, wish in wishes.items() if wish is not None}
        theme = "dark" if self._wishes["dark"] else "light"
        motion = "reduce" if self._wishes["calm"] else "no-preference"
        self.ask(
            "Emulation.setEmulatedMedia",
            media="print" if self._wishes["printed"] else "",
            features=[
                {"name": "prefers-color-scheme", "value": theme},
                {"name": "prefers-reduced-motion", "value": motion},
            ],
        )

    def press(self, key: str, text: str = "") -> None:
        """Press and release a key by its name in DOM: Tab, Enter, ArrowRight, or a letter."""
        text = text or {"Enter": "\r", " ": " "}.get(key, key if len(key) == 1 else "")
        code = {"Tab": 9, "Enter": 13, "Escape": 27, " ": 32, "ArrowLeft": 37, "ArrowUp": 38,
                "ArrowRight": 39, "ArrowDown": 40}.get(key, ord(key[0].upper()))  # fmt: skip
        same = {"key": key, "code": key, "windowsVirtualKeyCode": code}
        self.ask("Input.dispatchKeyEvent", type="keyDown", text=text, **same)
        self.ask("Input.dispatchKeyEvent", type="keyUp", **same)

    def screenshot(self, file: Path, *, whole: bool = False) -> Path:
        """A PNG of the window, or of the whole page."""
        answer = self.ask("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        file.write_bytes(base64.b64decode(answer["data"]))
        return file
