"""What has been measured, as RESULTS.md holds it: a section between two marks for each bench."""

from __future__ import annotations

import re
from pathlib import Path

RESULTS = Path(__file__).resolve().with_name("RESULTS.md")


def content(text: str, section: str) -> str:
    """What stands between the marks of `section`.

    Raises:
        ValueError: the marks are not there, once each.
    """
    found = re.findall(rf"<!-- begin {section} -->\n(.*?)<!-- end {section} -->", text, re.DOTALL)
    if len(found) != 1:
        raise ValueError(f"no one pair of marks for {section!r}")
    return str(found[0])


def replace(text: str, section: str, made: str) -> str:
    """`text` with `made`, as a code block, between the marks of `section`; raises as `content`."""
    start, end = f"<!-- begin {section} -->\n", f"<!-- end {section} -->"
    before = start + content(text, section) + end
    return text.replace(before, f"{start}```text\n{made.strip()}\n```\n{end}")
