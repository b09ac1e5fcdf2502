"""Users' own architectures and datasets: files named with ``--plugin``, and installed packages.

A plugin registers itself when it is imported, with `aebench.architecture` or
`aebench.datasets.register`. Packages announce a module under the entry-point group
``aebench.plugins``; those are always loaded.
"""

from __future__ import annotations

import hashlib
import importlib.util
import sys
import traceback
from collections.abc import Iterable
from importlib.metadata import entry_points
from pathlib import Path

from aebench.errors import RequestError


def load_plugins(files: Iterable[str] = ()) -> None:
    """Import the plugins of installed packages and then `files`.

    Raises:
        RequestError: a plugin does not exist, or fails when imported; the message says where.
    """
    for point in entry_points(group="aebench.plugins"):
        try:
            point.load()
        except Exception as error:
            raise RequestError(f"plugin {point.name} ({point.value}) fails: {error!r}") from error
    for file in files:
        _load_file(Path(file))


def _load_file(path: Path) -> None:
    if not path.is_file():
        raise RequestError(f"no plugin file at {path}")
    # Two files may have the same name in different folders, and both count.
    place = hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:8]
    name = f"aebench_plugin_{path.stem}_{place}"
    if name in sys.modules:
        return
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise RequestError(f"{path} is no Python file")
    folder = str(path.resolve().parent)
    if folder not in sys.path:  # for what the plugin imports from beside it, as any script may
        sys.path.append(folder)
    module, file = importlib.util.module_from_spec(spec), spec.origin
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException as error:
        del sys.modules[name]  # or a second attempt would find half a plugin and be content
        if isinstance(error, RequestError) or not isinstance(error, Exception):
            raise
        lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == file]
        where = f", line {lines[-1]}" if lines else ""
        raise RequestError(f"plugin {path}{where} fails when imported: {error!r}") from error
