"""Strips of pictures: one seed a model, within what a page can carry."""

from pathlib import Path

import pytest
from test_report_records import record, stored, strip

from aebench.analysis import frames
from aebench.page import pictures
from aebench.page.html import page


def test_pictures_show_the_first_seed_and_the_original_once(tmp_path: Path) -> None:
    records = [record("mlp", k, seed=s) for k in (8, 4) for s in (1, 0)]
    found, omitted = pictures.groups(frames.ordered(stored(tmp_path, *records)))
    assert omitted == 0
    assert [s.caption for s in found[0].strips] == ["original", "mlp-4", "mlp-8"]
    assert (found[0].strips[0].width, found[0].strips[0].height) == (8 * 28, 28)
    assert [g.title for g in found[1:]] == [
        "MNIST: noise of amplitude 0.3", "MNIST: noise of amplitude 0.8", "MNIST: strangers",
    ]  # fmt: skip
    assert [s.caption for s in found[1].strips] == ["clean", "noisy", "mlp-4", "mlp-8"]
    assert found[1].strips[0].uri == found[0].strips[0].uri
    assert [s.caption for s in found[3].strips] == ["original", "mlp-4", "mlp-8"]


@pytest.mark.usefixtures("undrawn")
def test_pictures_keep_to_their_budget_and_say_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = len(strip(8, (1, 28, 28), 40))
    monkeypatch.setattr(pictures, "BUDGET", 4 * one)
    results = stored(tmp_path, *(record("mlp", k) for k in (1, 2, 3, 4, 5)))
    _, omitted = pictures.groups(frames.ordered(results))
    assert 0 < omitted < 20
    assert "left out to keep this file small" in page(results)
