"""The Python interface: each name is there, costs nothing unused, and README has it right."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

from command_line import environment

import aebench

README = (Path(__file__).parents[1] / "README.md").read_text("utf-8")


def test_every_public_name_is_there() -> None:
    assert all(getattr(aebench, name) for name in aebench.__all__)


def test_readme_uses_public_names_alone() -> None:
    blocks = [ast.parse(block) for block in re.findall(r"```python\n(.*?)```", README, re.S)]
    used = {
        node.attr
        for block in blocks
        for node in ast.walk(block)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "aebench"
    }
    wanted = {"run", "load_grid", "read", "findings", "report", "architecture"}
    assert wanted <= used <= set(aebench.__all__)


def test_an_import_alone_loads_nothing_large() -> None:
    code = (
        "import sys, aebench; aebench.run; aebench.load_grid('quick')\n"
        "assert not {'torch', 'pandas', 'numpy', 'typer', 'rich'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], env=environment(), stderr=subprocess.PIPE)
    assert done.returncode == 0, done.stderr
