"""No arrow points upward, nothing imports in a circle; CONTRIBUTING shows the house as it is."""

from __future__ import annotations

from pathlib import Path

import house


def test_no_arrow_points_upward() -> None:
    assert house.forbidden(house.arrows(house.graph())) == []


def test_nothing_imports_in_a_circle() -> None:
    assert house.circles(house.graph()) == []


def test_every_room_has_a_place_and_every_place_a_room() -> None:
    rooms = {house.room(name) for name in house.modules()} - {"", "__main__"}
    assert rooms == set(house.ORDER)


def test_no_module_is_over_350_lines() -> None:
    lines = {n: len(p.read_text("utf-8").splitlines()) for n, p in house.modules().items()}
    assert {name: n for name, n in lines.items() if n > 350} == {}


def test_contributing_shows_the_house_as_it_is() -> None:
    text = house.GUIDE.read_text("utf-8")
    assert house.drawn(text) == text, "run: python tests/house.py"


def test_an_arrow_upward_and_an_unknown_room_are_told() -> None:
    told = house.forbidden({("datasets", "cli"), ("cli", "datasets"), ("attic", "cli")})
    assert told == [
        "attic has no place in ORDER of tests/house.py",
        "datasets imports cli, which lies above it",
    ]


def test_a_circle_is_found_however_long() -> None:
    found = house.circles({"a": ["b"], "b": ["c"], "c": ["a"], "d": ["a"], "e": []})
    assert found == [["a", "b", "c"]]


def test_imports_are_found_in_functions_and_not_where_only_types_are(tmp_path: Path) -> None:
    path = tmp_path / "module.py"
    path.write_text(
        "from typing import TYPE_CHECKING\n"
        "import aebench.job, os\n"
        "if TYPE_CHECKING:\n    from aebench import cli\nelse:\n    from aebench import grid\n"
        "def f():\n    from aebench.store import Store\n    from aebench import datasets\n"
    )
    known = [f"aebench.{name}" for name in ("job", "cli", "grid", "store", "datasets")]
    assert house.imports(path, known) == set(known) - {"aebench.cli"}


def test_the_picture_leaves_out_what_a_longer_way_says() -> None:
    drawn = house.picture({("cli", "grid"), ("grid", "job"), ("cli", "job"), ("job", "errors")})
    assert drawn.splitlines()[2:-1] == ["    cli --> grid", "    grid --> job"]
