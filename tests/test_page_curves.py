"""Learning curves: each loss is drawn from its own column."""

import math
import re
from pathlib import Path

import pytest
from test_report_records import record, stored

from aebench.analysis import frames, names
from aebench.page import charts as page_charts
from aebench.page import learning_curves
from aebench.page.compact import compact


def test_training_and_validation_are_drawn_from_their_own_losses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = frames.ordered(stored(tmp_path, record("mlp", 8, losses=(0.3, 0.2, 0.1), epochs=3)))
    drawn = []
    monkeypatch.setattr(page_charts, "inline", lambda figure, *_: drawn.append(figure) or "")
    learning_curves.chart(frames.curves(results), "label")
    lines = {line.get_marker(): list(line.get_ydata()) for line in drawn[0].axes[0].lines}
    assert lines["o"] == pytest.approx([0.3, 0.2, 0.1])  # markers: after the epoch
    assert lines["None"] == pytest.approx([0.345, 0.23, 0.115])  # no marker: while training


def test_a_loss_of_a_models_own_is_no_curve_of_mse(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = record("mlp", 8, losses=(0.3, 0.2), epochs=2)
    for epoch in made.epochs:
        epoch |= {"train_mse": None, "train_loss": 99.0}
    results = frames.ordered(stored(tmp_path, made))
    drawn = []
    monkeypatch.setattr(page_charts, "inline", lambda figure, *_: drawn.append(figure) or "")
    learning_curves.chart(frames.curves(results), "label")
    lines = {line.get_marker(): list(line.get_ydata()) for line in drawn[0].axes[0].lines}
    assert lines["o"] == pytest.approx([0.3, 0.2])
    assert all(math.isnan(y) for y in lines["None"])
    section = learning_curves.section(results)
    shown = [cell.text for row in section.charts[0].tables[0].rows for cell in row]
    assert not any("99" in text for text in shown)
    assert "loss of its own" in section.charts[0].reading


def test_the_number_at_a_line_end_opens_its_model(tmp_path: Path) -> None:
    rows = frames.curves(frames.ordered(stored(tmp_path, *(record("mlp", k) for k in (4, 8)))))
    drawn = compact([learning_curves.chart(rows, "curves")]).svgs[0]
    found = re.findall(r'<g data-model="(\w+)"><text[^>]*>(\d)</text></g>', drawn)
    known = {names.identity(row): str(row["latent"]) for row in rows.to_dict("records")}
    assert dict(found) == known
