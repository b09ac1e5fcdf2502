"""The texts that a report may show, read from the sources, and the catalogues kept to them.

``python tests/texts.py`` writes every catalogue anew: texts that are new stand there empty, those
that the sources no longer have are gone, and translations stay as they are.
"""

from __future__ import annotations

import ast
import io
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from babel.messages.catalog import Catalog
from babel.messages.extract import extract
from babel.messages.pofile import read_po, write_po

from aebench import language, schema
from aebench.analysis import fights, findings, fitness, outcomes, published
from aebench.page import assets

ROOT = Path(__file__).resolve().parent.parent
CATALOGUES = ROOT / "aebench" / "language"
ROOMS = ("analysis", "page")
_KEYWORDS = {"gettext": None, "ngettext": (1, 2), "pgettext": ((1, "c"), 2)}
_STORED = re.compile(r"[a-z0-9]+(_[a-z0-9]+)+")  # a name of a column, in no language
Found = tuple[int, str | None, Any, list[str]]


def python(file: IO[bytes], _names: Any, _tags: Any, **_: Any) -> Iterator[Found]:
    """What the functions of `aebench.language` say in a module, and the heads of tables."""
    for node in ast.walk(ast.parse(file.read())):
        if isinstance(node, ast.Call):
            yield from _called(node)
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") in (
            "heads",
            "more",
            "_HEADS",
        ):
            yield from _heads(node.value)


def _called(node: ast.Call) -> Iterator[Found]:
    name = getattr(node.func, "id", "") or getattr(node.func, "attr", "")
    texts = [getattr(arg, "value", None) for arg in node.args]
    if name == "say" and isinstance(texts[0], str):
        yield node.lineno, "gettext", texts[0], []
    elif name == "sense" and isinstance(texts[1], str):
        yield node.lineno, "pgettext", (texts[0], texts[1]), []
    elif name == "plural" and isinstance(texts[1], str):
        yield node.lineno, "ngettext", (texts[1], texts[2]), []
    elif name == "counted" and isinstance(texts[1], str):
        yield node.lineno, "ngettext", (texts[1], (*texts, None)[2] or f"{texts[1]}s"), []
    elif name == "later":
        for text in _constants(node.args[0]):
            yield node.lineno, "gettext", text, []
    elif name == "columns":
        yield from _heads(node.args[0])
    elif name == "table" and len(node.args) > 1:
        yield from _heads(node.args[1])


def _constants(node: ast.expr) -> Iterator[str]:
    """The texts of a constant; of a dictionary the values."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    parts = node.values if isinstance(node, ast.Dict) else getattr(node, "elts", ())
    for part in parts:
        yield from _constants(part)


def _heads(node: ast.expr) -> Iterator[Found]:
    """Heads and meanings of columns, as `parts.columns` reads them."""
    if not isinstance(node, ast.Constant) or not isinstance(node.value, str):
        return
    from aebench.page.parts import columns

    for column in columns(node.value):
        for text in (column.name, column.about):
            if text and not _STORED.fullmatch(text):
                yield node.lineno, "gettext", text, []


def template(file: IO[bytes], _names: Any, _tags: Any, **_: Any) -> Iterator[Found]:
    """What a template says."""
    text = file.read().decode()
    for said in re.finditer(r'\bsay\("((?:[^"\\]|\\.)*)"', text):
        yield text.count("\n", 0, said.start()) + 1, "gettext", said[1], []


def script(file: IO[bytes], _names: Any, _tags: Any, **_: Any) -> Iterator[Found]:
    """What a script or a style sheet says."""
    text = file.read().decode()
    for said in assets.SAID.finditer(text):
        line = text.count("\n", 0, said.start()) + 1
        yield line, "gettext", assets.message(said[1]), []


def registered() -> Iterator[tuple[str | None, str]]:
    """Texts of lists that are said item by item, each with its context."""
    for finding in findings.FINDINGS:
        for name in ("claim", "measure", "rule", "minimum", "brief", "how"):
            yield None, getattr(finding, name)
        yield None, finding.source
    yield None, findings.PAIRED_TEST
    for verdict in (*outcomes.VERDICTS, "as expected", "differs"):
        yield None, verdict
    for kind in fitness.KINDS:
        yield "doubt", kind.name
        yield None, kind.what
        yield None, kind.remedy
    for cost in fights.COSTS:
        yield "cost", cost.name
        yield from ((None, text) for text in (cost.title, cost.unit, cost.error))
    for figure in published.figures():
        yield from (
            (None, t) for t in (figure.converted, figure.model, figure.measured, figure.note)
        )
    for column in schema.JOBS:
        yield None, column.about


def catalogue() -> Catalog:
    """All texts with where they are said, in the order of the sources."""
    made = Catalog()
    methods: dict[str, Any] = {".py": python, ".j2": template, ".js": script, ".css": script}
    files = (file for room in ROOMS for file in sorted((ROOT / "aebench" / room).rglob("*.*")))
    for file in (file for file in files if file.suffix in methods):
        place = str(file.relative_to(ROOT))
        with file.open("rb") as stream:
            for line, text, _, context in extract(methods[file.suffix], stream, _KEYWORDS):
                made.add(text, locations=[(place, line)], context=context)
    for context, text in registered():
        if text and not re.fullmatch(r"[\d.]+", text):
            made.add(text, context=context)
    for message in made:
        message.flags.discard("python-format")  # a percent sign is one
    return made


def updated(file: Path) -> Catalog:
    """The catalogue of a language with all texts and no others."""
    with file.open("rb") as stream:
        known = read_po(stream, locale=file.stem)
    made = catalogue()
    made.locale = known.locale
    made.mime_headers = known.mime_headers  # with the plural forms that the file has
    for message in made:
        old = known.get(message.id, message.context) if message.id else None
        if old is not None and (isinstance(old.id, str) == isinstance(message.id, str)):
            message.string = old.string
    return made


def written(made: Catalog, file: Path) -> bytes:
    """The text of a catalogue, with the head that the file has."""
    head, *_ = file.read_bytes().partition(b"\n\n")
    stream = io.BytesIO()
    write_po(stream, made, width=96, omit_header=True, include_lineno=False)
    return head + b"\n\n" + stream.getvalue()


if __name__ == "__main__":
    for path in sorted(CATALOGUES.glob("*.po")):
        whole = updated(path)
        path.write_bytes(written(whole, path))
        missing = [message.id for message in whole if message.id and not message.string]
        print(f"{path.relative_to(ROOT)}: {len(whole)} texts, {len(missing)} to be said")
    sys.exit(0 if language.LANGUAGES else 1)
