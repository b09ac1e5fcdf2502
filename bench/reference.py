"""Publishes the reference results: their outcomes, reports and picture, and README's figures.

`python -m bench.reference` (or the nox session `reference`) does all of it from the committed
records alone, so that no figure is copied by hand; a test holds README to what this would write.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from dataclasses import fields
from pathlib import Path

import pandas as pd

from aebench.analysis import expected, findings
from aebench.errors import RequestError
from aebench.page import printing, render
from aebench.store import Results, read
from bench import readme
from bench.committed import NAMES, ROOT

_SHOWN = (1280, 800)  # what a laptop shows of the page at first
_BAR_PX = 200  # some Chromiums take a bar of their own from the window, and leave it white


def outcomes_file() -> str:
    """What ships as `expected.REFERENCE`: outcomes of all committed records of the study's models.

    Both folders together, so that a seed that was trained in both counts once.
    """
    folders = [read(ROOT / "results" / f"reference-{name}") for name in ("quick", "study")]
    tables = {
        field.name: pd.concat([getattr(f, field.name) for f in folders], ignore_index=True)
        for field in fields(Results)
        if field.name != "problems"
    }
    both = findings.evaluate(Results(**tables, problems=[]))
    return expected.written(outcome.known for outcome in both)


def picture(page: Path, png: Path) -> None:
    """Take the head of a report as a picture; skipped, with a word, where there is no browser."""
    try:
        browser = printing.browser()
    except RequestError as error:
        print(f"{png.name} is left as it was: {error}")
        return
    from PIL import Image

    with tempfile.TemporaryDirectory() as folder:
        shot = Path(folder) / "shot.png"
        width, height = _SHOWN
        subprocess.run(
            [
                browser, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
                f"--user-data-dir={folder}/profile", f"--window-size={width},{height + _BAR_PX}",
                f"--screenshot={shot}", page.as_uri(),
            ],
            check=True, capture_output=True, timeout=120,
        )  # fmt: skip
        with Image.open(shot) as image:
            shown = image.convert("RGB").crop((0, 0, width, height))
            shown.quantize(256).save(png, optimize=True)


def main() -> None:
    """Write the reference outcomes, render the reports, take the picture, fill README's blocks."""
    expected.REFERENCE.write_text(outcomes_file(), encoding="utf-8")
    expected.reference.cache_clear()
    print(expected.REFERENCE.relative_to(ROOT))
    for name in NAMES:
        page = render(
            ROOT / "results" / f"reference-{name}", ROOT / f"reports/reference-{name}.html"
        )
        print(page.relative_to(ROOT))
    picture(ROOT / "reports/reference-quick.html", ROOT / "reports/reference-quick.png")
    path = ROOT / "README.md"
    path.write_text(readme.filled(path.read_text("utf-8"), readme.blocks()), encoding="utf-8")
    print(path.relative_to(ROOT))


if __name__ == "__main__":
    sys.exit(main())
