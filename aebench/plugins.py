"""Users' own architectures and datasets: files named with ``--plugin``, and installed packages.

A plugin registers itself when it is imported, with `aebench.architecture` or
`aebench.datasets.register`. Packages announce a module under the entry-point group
``aebench.plugins``; those are always loaded.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import importlib.util
import os
import sys
import traceback
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NoReturn, TextIO

from aebench import architectures, fingerprint
from aebench.errors import RequestError, printable

_PREFIX = "aebench_plugin_"  # begins the names of modules made of plugin files


def is_plugin(module: str) -> bool:
    """Whether a module of that name was made of a plugin file, so that only its file finds it."""
    return module.startswith(_PREFIX)


def load_plugins(files: Iterable[str] = (), modules: Iterable[str] = ()) -> None:
    """Import the plugins of installed packages, then `files`, then `modules` by their names.

    Raises:
        RequestError: a plugin does not exist, fails or ends the program when imported; the
            message says where.
    """
    from importlib.metadata import entry_points  # which brings a tenth of what a command imports

    for point in entry_points(group="aebench.plugins"):
        with _imported(f"plugin {point.name} ({point.value})", point.module, point.module):
            point.load()
    for file in files:
        _load_file(Path(file))
    for name in modules:
        with _imported(f"module {name}", name, name):
            importlib.import_module(name)


def _load_file(path: Path) -> None:
    shown = printable(path)
    try:
        if not path.is_file():
            raise RequestError(f"no plugin file at {shown}")
        source = path.read_bytes()
    except (OSError, ValueError) as error:
        if isinstance(error, RequestError):
            raise
        raise RequestError(f"cannot read the plugin {shown}: {error}") from error
    # Two files may have the same name in different folders, and both count.
    file = path.resolve()
    digest = hashlib.sha256(str(file).encode(errors="surrogateescape")).hexdigest()[:8]
    name = f"{_PREFIX}{path.stem}_{digest}"
    if name in sys.modules and fingerprint.remembered(file) == source:
        return
    spec = importlib.util.spec_from_file_location(name, path)
    loader: Any = spec and spec.loader
    if spec is None or not hasattr(loader, "source_to_code"):
        raise RequestError(f"{shown} is no Python file")
    folder = str(file.parent)
    if folder not in sys.path:  # for what the plugin imports from beside it, as any script may
        sys.path.append(folder)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        with _imported(f"plugin {shown}", name, str(path)):
            # From the very text whose hash goes into the jobs' keys. Python's own import would
            # take its compiled copy, which an edit of the same length in the same second outlives.
            fingerprint.remember(file, source)
            exec(loader.source_to_code(source, str(path)), module.__dict__)
    except BaseException:
        del sys.modules[name]  # or a second attempt would find half a plugin and be content
        raise


def _ask_to_end(status: int) -> NoReturn:
    raise SystemExit(status)


@contextlib.contextmanager
def _imported(plugin: str, module: str, file: str) -> Iterator[None]:
    """Import `plugin` inside; whatever it does but go through becomes a `RequestError`.

    To a plugin the command line is empty: the words on it are not for it, and a program that reads
    them as it is imported must not act on them. What it says on stderr as it ends the program is
    dropped, for it is the usage text of another program.
    """
    arguments, stderr, end = sys.argv, sys.stderr, os._exit
    held = _Held(stderr)
    sys.argv, sys.stderr, os._exit = [file], held, _ask_to_end
    try:
        with architectures.registering(module):
            yield
    except RequestError:
        raise
    except SystemExit as error:
        held.text.clear()
        said = f" ({printable(error.code)})" if error.code not in (None, "") else ""
        raise RequestError(
            f"{plugin} ends the program{said} when imported: put what is to run only as a program"
            ' under `if __name__ == "__main__":`'
        ) from error
    except Exception as error:
        lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == file]
        where = f", line {lines[-1]}" if lines else ""
        raise RequestError(
            f"{plugin}{where} fails when imported: {printable(_shown(error))}"
        ) from error
    finally:
        sys.argv, sys.stderr, os._exit = arguments, stderr, end
        held.release()


def _shown(error: Exception) -> str:
    try:
        return repr(error)
    except Exception:  # somebody's own exception, whose repr fails
        return type(error).__name__


class _Held:
    """stderr while a plugin is imported: kept back until it is known whether to show it.

    Handlers of logs that the plugin makes hold on to this object, so it then writes through.
    """

    def __init__(self, stream: TextIO) -> None:
        self.stream, self.text, self.holds = stream, [""], True

    def write(self, text: str) -> int:
        """Keep or write `text`."""
        if self.holds:
            self.text.append(text)
            return len(text)
        return self.stream.write(text)

    def release(self) -> None:
        """Write what was kept, and from now on everything at once."""
        self.holds = False
        if kept := "".join(self.text):
            self.stream.write(kept)

    def __getattr__(self, name: str) -> Any:
        """Be the stream in all else."""
        return getattr(self.stream, name)
