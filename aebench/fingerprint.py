"""What decides a model that is not ours: a short hash of the code that builds it.

Covered are the module that holds the builder, the plugin that registered it, and every Python file
that they import from beside themselves: from the plugin's folder, or from the same top-level
package; imports inside functions as well. Not covered are other installed packages, compiled
extensions, data files and names that are imported dynamically: who depends on those declares a
version (`aebench.architecture`). Of a function without a file, typed into a notebook or at a
prompt, its source counts, or else its bytecode, with its defaults, its closure, and the functions,
classes, arrays and plain values that it names. Of a script that was given arguments, which may
decide its values, file and values count. No torch here.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib.util
import inspect
import itertools
import sys
import sysconfig
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

DIGITS = 12
_PLAIN = (int, float, complex, str, bytes, bool, type(None), type(...))
_INSTALLED = tuple(
    Path(path).resolve()
    for name in ("stdlib", "platstdlib", "purelib", "platlib")
    if (path := sysconfig.get_path(name))
)
_ran: dict[Path, bytes] = {}


def remember(file: Path, source: bytes) -> None:
    """Note the source of `file` as it was run, whatever becomes of the file afterwards."""
    _ran[file.resolve()] = source


def remember_script(build: Callable[..., Any]) -> None:
    """Note the source of the script that `build` is written in, which may be edited as it runs."""
    file = _file(sys.modules.get("__main__")) if module_of(build) == "__main__" else None
    source = None if file is None else _read(file)
    if file is not None and source is not None:
        remember(file, source)


def remembered(file: Path) -> bytes | None:
    """The source of `file` as it was run, where that was noted."""
    return _ran.get(file.resolve())


def of(build: Callable[..., Any], homes: Iterable[str] = ()) -> str:
    """Hash what decides the models that `build` makes, in `DIGITS` hexadecimal digits.

    `homes` are names of further modules that take part, such as the plugin that registered it.
    Files count by their content and by their places relative to each other.
    """
    parts: list[bytes] = []
    for name in dict.fromkeys((module_of(build), *homes)):
        files = _files_of(sys.modules.get(name))
        parts += [_hashed(part) for item in files for part in (item[0].encode(), item[1])]
    given = module_of(build) == "__main__" and len(sys.argv) > 1
    if not parts or given or isinstance(build, functools.partial):
        parts += [_hashed(part) for part in _parts(build, {})]
    return hashlib.sha256(b"".join(parts)).hexdigest()[:DIGITS]


def _hashed(part: bytes) -> bytes:
    return hashlib.sha256(part).digest()


def module_of(build: Callable[..., Any]) -> str:
    """The name of the module that a function is written in, also where it is a partial one."""
    while isinstance(build, functools.partial):
        build = build.func
    return str(getattr(build, "__module__", ""))


# Modules that have a file


def _files_of(module: ModuleType | None) -> list[tuple[str, bytes]]:
    """(place, content) of a module's file and of what it imports from beside it."""
    path = _file(module)
    if module is None or path is None:
        return []
    spec = getattr(module, "__spec__", None)
    dotted = module.__name__ if spec is None else spec.name
    packaged = bool(getattr(module, "__package__", "")) and not dotted.startswith("aebench_plugin_")
    if packaged:
        is_package = path.name == "__init__.py"
        up = dotted.count(".") + is_package
        root, inside = path.parents[up], {dotted.partition(".")[0]}
    else:
        dotted, is_package = path.stem, False
        root, inside = path.parent, None
    files: dict[Path, tuple[str, bytes]] = {}
    todo = [(path, dotted, is_package)]
    while todo:
        file, name, is_package = todo.pop()
        content = _read(file)
        if file in files or content is None:
            continue
        relative = "" if file == path else file.relative_to(root).as_posix()
        files[file] = (relative, content.replace(b"\r\n", b"\n"))
        package = name if is_package else name.rpartition(".")[0]
        for imported in _imports(content, package):
            if _is_beside(imported.partition(".")[0], root, inside):
                todo += _located(imported, root)
    return sorted(files.values())


def _file(module: ModuleType | None) -> Path | None:
    name = getattr(module, "__file__", None)
    if not isinstance(name, str) or not name.endswith((".py", ".pyw")):
        return None
    path = Path(name).resolve()
    return path if _read(path) is not None else None


def _read(path: Path) -> bytes | None:
    if path in _ran:
        return _ran[path]
    try:
        return path.read_bytes()
    except OSError:
        return None


def _imports(source: bytes, package: str) -> Iterator[str]:
    """Absolute names of all modules that a source may import, wherever in it."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package.split(".") if node.level else []
            base = base[: len(base) - (node.level - 1)] if node.level > 1 else base
            name = ".".join(filter(None, [*base, node.module or ""]))
            if name:
                yield name
            yield from (f"{name}.{alias.name}".lstrip(".") for alias in node.names)


def _is_beside(top: str, root: Path, inside: set[str] | None) -> bool:
    """Whether the top-level module `top` is one of those that are covered."""
    if top == "aebench" or not top:
        return False
    if inside is not None:
        return top in inside
    if root in _INSTALLED:
        return False
    return any(path.is_relative_to(root) for path in _origins(top))


def _origins(top: str) -> tuple[Path, ...]:
    """Where an import of `top` finds it: files, or the folders of a package without one."""
    loaded = sys.modules.get(top)
    try:
        spec = getattr(loaded, "__spec__", None) or importlib.util.find_spec(top)
    except (ImportError, ValueError):
        return ()
    if spec is None:
        return ()
    origins = [spec.origin] if spec.has_location else (spec.submodule_search_locations or ())
    return tuple(Path(origin).resolve() for origin in origins if origin)


def _located(name: str, root: Path) -> list[tuple[Path, str, bool]]:
    """Files below `root` that an import of `name` runs: those of its packages, and its own."""
    files, folder, parts = [], root, name.split(".")
    for count, part in enumerate(parts, start=1):
        dotted = ".".join(parts[:count])
        if (package := folder / part / "__init__.py").is_file():
            files.append((package, dotted, True))
        elif (file := folder / f"{part}.py").is_file():
            files.append((file, dotted, False))
        folder = folder / part
    return files


# Functions and classes that have none


def _parts(value: Any, seen: dict[int, Any]) -> Iterator[bytes]:
    """What decides a function, a class or a plain value, in an order that is always the same."""
    if isinstance(value, _PLAIN):
        yield f"{type(value).__name__} {value!r}".encode(errors="surrogatepass")
        return
    if id(value) in seen:
        yield b"again"
        return
    seen[id(value)] = value  # held, lest another object get its number
    within: Iterable[Any] = ()
    if isinstance(value, FunctionType):
        yield from _parts_of_function(value, seen)
    elif isinstance(value, type):
        yield from _parts_of_class(value, seen)
    elif isinstance(value, ModuleType):
        yield from _parts_of_module(value)
    elif isinstance(value, set | frozenset):
        yield from sorted(_hashed(b"".join(_parts(item, dict(seen)))) for item in value)
    elif isinstance(value, CodeType):
        yield from _parts_of_code(value, seen)
    elif isinstance(value, tuple | list):
        yield type(value).__name__.encode()
        within = value
    elif isinstance(value, dict):
        within = itertools.chain.from_iterable(value.items())
    elif isinstance(value, functools.partial):
        within = (value.func, value.args, value.keywords)
    elif isinstance(value, staticmethod | classmethod):
        within = (value.__func__,)
    elif isinstance(value, property):
        within = ((value.fget, value.fset),)
    elif callable(getattr(value, "__array__", None)):  # NumPy's arrays, and tensors
        yield from _parts_of_array(value)
    else:  # an object: where its class is written, and what is plain of what it holds
        yield from _parts(type(value), seen)
        for name, held in sorted(getattr(value, "__dict__", {}).items(), key=lambda i: str(i[0])):
            if isinstance(held, _PLAIN):
                yield f"{name} {held!r}".encode(errors="surrogatepass")
        if callable(getattr(value, "state_dict", None)):  # a module or optimizer of torch's
            within = itertools.chain.from_iterable(value.state_dict().items())
    for item in within:
        yield from _parts(item, seen)


def _parts_of_array(value: Any) -> Iterator[bytes]:
    import numpy as np

    held = value.detach().cpu() if hasattr(value, "detach") else value
    try:
        array = np.asarray(held)
    except TypeError:  # of a kind of numbers that NumPy has not, such as bfloat16
        array = np.asarray(held.float())
    yield f"{array.dtype} {array.shape}".encode()
    if array.dtype.hasobject:
        yield from _parts(array.tolist(), {})
    else:
        yield array.tobytes()


def _parts_of_function(function: FunctionType, seen: dict[int, Any]) -> Iterator[bytes]:
    module = sys.modules.get(function.__module__ or "")
    if function.__module__ != "__main__" and _file(module) is not None:
        yield function.__qualname__.encode()
        yield from _parts_of_module(module)
        return
    try:
        yield inspect.getsource(function).encode(errors="surrogatepass")
    except (OSError, TypeError, IndexError, SyntaxError):
        yield from _parts_of_code(function.__code__, seen)
    yield from _parts(function.__defaults__, seen)
    yield from _parts(function.__kwdefaults__, seen)
    for cell in function.__closure__ or ():
        try:
            yield from _parts(cell.cell_contents, seen)
        except ValueError:  # not filled yet
            yield b"empty"
    for name in sorted(_names(function.__code__)):
        if name in function.__globals__:
            yield name.encode()
            yield from _parts(function.__globals__[name], seen)


def _parts_of_class(cls: type, seen: dict[int, Any]) -> Iterator[bytes]:
    yield f"{cls.__module__}.{cls.__qualname__}".encode()
    module = sys.modules.get(cls.__module__)
    if module is not None and cls.__module__ != "__main__":
        yield from _parts_of_module(module)
        return
    for base in cls.__bases__:
        yield from _parts(base, seen)
    made = ("__dict__", "__weakref__", "__doc__", "__module__", "__firstlineno__")
    for name, member in sorted(vars(cls).items()):
        if name not in made and not name.startswith(("_abc_", "__static_attributes")):
            yield name.encode()
            yield from _parts(member, seen)


def _parts_of_module(module: ModuleType | None) -> Iterator[bytes]:
    """The files of a module of the user's own; of an installed one its name alone."""
    path = _file(module)
    if module is None or path is None or any(path.is_relative_to(i) for i in _INSTALLED):
        yield getattr(module, "__name__", "").encode()
    elif module.__name__.partition(".")[0] != "aebench":
        for relative, content in _files_of(module):
            yield from (relative.encode(), content)


def _parts_of_code(code: CodeType, seen: dict[int, Any]) -> Iterator[bytes]:
    yield code.co_code
    yield repr((code.co_names, code.co_varnames, code.co_freevars)).encode()
    for constant in code.co_consts:
        yield from _parts(constant, seen)


def _names(code: CodeType) -> set[str]:
    """Names that a function looks up, its inner functions included."""
    inner = (_names(c) for c in code.co_consts if isinstance(c, CodeType))
    return set(code.co_names).union(*inner)
