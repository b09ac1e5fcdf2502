"""The house as its imports show it: which room uses which, and that no arrow points upward.

    python tests/house.py      draw the picture in CONTRIBUTING.md anew

A room is a package, or a module that stands alone, below `aebench`. What a module imports only to
name types is no arrow: nothing of it runs.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
GUIDE = ROOT / "CONTRIBUTING.md"
BEGIN, END = "<!-- house: drawn by tests/house.py -->\n", "<!-- end of house -->\n"

ORDER = (
    "api", "cli", "page", "analysis", "tune", "budget", "estimate", "executors", "worker",
    "records", "models", "store", "grid", "selection", "axes", "job", "evaluation", "host",
    "engines", "protocols", "plugins", "architectures", "datasets", "fingerprint", "interference",
    "machine", "schema", "language", "disk", "errors",
)  # fmt: skip
"""Every room, from the top of the house down: each may import those behind it."""
_EVERYWHERE = ("errors", "disk")  # used by nearly all, and left out of the picture


def modules(package: Path = ROOT / "aebench") -> dict[str, Path]:
    """Every module of the package by its full name."""
    found = {}
    for path in sorted(package.rglob("*.py")):
        if path.parent.name == "examples":  # which are no part of the house, but its visitors
            continue
        parts = path.relative_to(package.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(path: Path, known: Iterable[str]) -> set[str]:
    """The modules among `known` that the module at `path` imports, wherever it does."""
    known, found = set(known), set()
    for node in _running(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                found.add(inner if inner in known else node.module)
    return found & known


def _running(node: ast.AST) -> Iterator[ast.AST]:
    """`node` and all within it that runs, which what stands under TYPE_CHECKING does not."""
    yield node
    typing = isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    for child in ast.iter_child_nodes(node):
        if not (typing and child in node.body):
            yield from _running(child)


def room(module: str) -> str:
    """The room that a module lies in; the package itself, with its version, is none."""
    return (*module.split("."), "")[1]


def graph() -> dict[str, set[str]]:
    """Which module imports which."""
    known = modules()
    return {name: imports(path, known) - {name} for name, path in known.items()}


def arrows(graph: Mapping[str, Iterable[str]]) -> set[tuple[str, str]]:
    """Which room uses which other, from the imports of modules."""
    pairs = {(room(one), room(other)) for one, others in graph.items() for other in others}
    return {(a, b) for a, b in pairs if a and b and a != b and a != "__main__"}


def forbidden(pairs: Iterable[tuple[str, str]]) -> list[str]:
    """The arrows that point upward, or from or to a room that has no place yet, in words."""
    places = {name: place for place, name in enumerate(ORDER)}
    told = []
    for a, b in sorted(pairs):
        for name in sorted({a, b} - set(ORDER)):
            told.append(f"{name} has no place in ORDER of tests/house.py")
        if places.get(a, -1) > places.get(b, len(ORDER)):
            told.append(f"{a} imports {b}, which lies above it")
    return told


def circles(graph: Mapping[str, Iterable[str]]) -> list[list[str]]:
    """Modules that import each other, directly or through others, as sorted groups."""
    reach = {name: _reachable(graph, name) for name in graph}
    groups = {
        tuple(sorted({name, *(other for other in reach[name] if name in reach.get(other, ()))}))
        for name in graph
    }
    return [list(group) for group in sorted(groups) if len(group) > 1]


def _reachable(graph: Mapping[str, Iterable[str]], start: str) -> set[str]:
    seen: set[str] = set()
    left = [start]
    while left:
        for other in graph.get(left.pop(), ()):
            if other not in seen:
                seen.add(other)
                left.append(other)
    return seen


def picture(pairs: set[tuple[str, str]]) -> str:
    """A Mermaid flow chart of the rooms: an arrow where no longer way says the same."""
    pairs = {(a, b) for a, b in pairs if not {a, b} & set(_EVERYWHERE)}
    uses: dict[str, set[str]] = {}
    for a, b in pairs:
        uses.setdefault(a, set()).add(b)
    lines = []
    for a in ORDER:
        others = uses.get(a, set())
        longer = {far for near in others for far in _reachable(uses, near)}
        lines += [f"    {a} --> {b}" for b in ORDER if b in others - longer]
    return "\n".join(["```mermaid", "flowchart TD", *lines, "```", ""])


def table() -> str:
    """What every room decides, by the first line of its own docstring."""
    known = modules()
    lines = ["| room | decides |", "|---|---|"]
    for name in ORDER:
        text = ast.get_docstring(ast.parse(known[f"aebench.{name}"].read_text("utf-8"))) or ""
        kind = "/" if known[f"aebench.{name}"].name == "__init__.py" else ".py"
        lines.append(f"| `aebench/{name}{kind}` | {text.splitlines()[0]} |")
    return "\n".join([*lines, ""])


def block() -> str:
    """What CONTRIBUTING.md holds between the two marks."""
    return f"{picture(arrows(graph()))}\n{table()}"


def drawn(text: str) -> str:
    """`text` with the picture as it must be.

    Raises:
        ValueError: the marks are not there.
    """
    head, begin, rest = text.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"no marks {BEGIN.strip()} and {END.strip()}")
    return f"{head}{begin}{block()}{end}{tail}"


if __name__ == "__main__":
    GUIDE.write_text(drawn(GUIDE.read_text("utf-8")), "utf-8")
