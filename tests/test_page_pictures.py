"""Strips of pictures: those of findings, then one seed a model within what a page can carry."""

from pathlib import Path

import pytest
from test_report_records import record, stored, strip

from aebench.analysis import frames
from aebench.analysis.evidence import Evidence
from aebench.analysis.exhibits import Pictures
from aebench.analysis.frames import Model
from aebench.page import film, pictures
from aebench.page.html import page
from aebench.page.images import Images
from aebench.page.parts import Strips
from aebench.store import Record

MLP_8, MLP_4 = Model("mnist", "mlp", 8), Model("mnist", "mlp", 4)


def test_pictures_show_one_seed_and_the_original_once(tmp_path: Path) -> None:
    records = [record("mlp", k, seed=s) for k in (8, 4) for s in (1, 0)]
    found, omitted = pictures.groups(frames.ordered(stored(tmp_path, *records)), Images())
    assert omitted == 0
    assert [s.caption for s in found[0].strips] == ["original", "mlp-4", "mlp-8"]
    assert (found[0].strips[0].film.width, found[0].strips[0].film.height) == (8 * 28, 28)
    assert [g.title for g in found[1:]] == [
        "MNIST: noise of amplitude 0.3", "MNIST: noise of amplitude 0.8", "MNIST: strangers",
    ]  # fmt: skip
    assert [s.caption for s in found[1].strips] == ["clean", "noisy", "mlp-4", "mlp-8"]
    assert found[1].strips[0].film == found[0].strips[0].film
    assert [s.caption for s in found[3].strips] == ["original", "mlp-4", "mlp-8"]


@pytest.mark.slow
@pytest.mark.usefixtures("undrawn")
def test_pictures_keep_to_their_budget_and_say_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = len(strip(8, (1, 28, 28), 40))
    monkeypatch.setattr(film, "PANEL", 8 * one)
    monkeypatch.setattr(pictures, "BUDGET", 8 * one)
    results = stored(tmp_path, *(record("mlp", k) for k in (1, 2, 3, 4, 5)))
    _, omitted = pictures.groups(frames.ordered(results), Images())
    assert 0 < omitted < 20
    assert "left out to keep this file small" in page(results)


def test_what_the_page_has_already_takes_no_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = frames.ordered(stored(tmp_path, record("mlp", 8)))
    images = Images()
    kept, _ = pictures.groups(results, images)
    monkeypatch.setattr(pictures, "BUDGET", 0)
    assert pictures.groups(results, Images()) == ([], 4)
    assert pictures.groups(results, images) == (kept, 0)


def asked(folder: Path, wanted: Pictures, *records: Record) -> Strips | None:
    """What a finding is given that asks for these pictures."""
    results = frames.ordered(stored(folder, *records))
    return pictures.Album(results, Images()).strips(wanted, Evidence.of(results))


def captions(strips: Strips | None) -> list[str]:
    return [strip.caption for strip in strips.strips] if strips else []


def test_a_finding_has_its_models_in_its_own_order(tmp_path: Path) -> None:
    records = [record("mlp", k, seed=s) for k in (4, 8) for s in (0, 1)]
    found = asked(tmp_path, Pictures("reconstruction", (MLP_8, MLP_4), images=3), *records)
    assert captions(found) == ["original", "mlp-8", "mlp-4"]
    assert found is not None
    assert {(s.film.images, s.film.width) for s in found.strips} == {(3, 3 * 28)}
    assert [s.detail[:4] for s in found.strips] == ["", "MSE ", "MSE "]


def test_noise_is_shown_between_what_was_clean_and_what_came_out(tmp_path: Path) -> None:
    found = asked(tmp_path, Pictures("denoising 0.3", (MLP_8, MLP_4)), record("mlp", 8))
    assert captions(found) == ["clean", "noisy", "mlp-8"]


def test_what_is_lost_is_the_output_over_the_original(tmp_path: Path) -> None:
    found = asked(tmp_path, Pictures("reconstruction", (MLP_8,), lost=True), record("mlp", 8))
    assert captions(found) == ["original", "mlp-8", "what is lost"]
    assert found is not None
    before, after, lost = (strip.film for strip in found.strips)
    assert (lost.id, lost.less, after.less) == (before.id, after.id, "")


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(record("mlp", 8, protocol="tuned"), id="another protocol"),
        pytest.param(record("mlp", 8, row={"status": "failed"}), id="failed"),
        pytest.param(record("mlp", 4), id="another model"),
    ],
)
def test_only_what_may_speak_about_the_study_is_shown(tmp_path: Path, other: Record) -> None:
    assert asked(tmp_path, Pictures("reconstruction", (MLP_8,)), other) is None
