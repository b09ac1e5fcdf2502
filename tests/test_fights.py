"""Families at equal cost, models beside the linear optimum, engines beside the study's loop."""

import pandas as pd
import pytest
from test_report_records import record, stored

from aebench.analysis import fights, frames
from aebench.analysis.fights import COSTS
from aebench.store import Record, Results

BOTTLENECK, PARAMETERS, TFLOP, TIME = COSTS


def points(*rows: tuple[str, int, float, float]) -> pd.DataFrame:
    """Architecture, seed, cost, error; another cost is another model, named by its latent."""
    frame = pd.DataFrame(rows, columns=["architecture", "seed", "cost", "error"])
    return frame.assign(latent=frame["cost"].astype(int), depth=1, epoch=0)


def ordered(folder, *records: Record) -> Results:
    return frames.ordered(stored(folder, *records))


def test_at_most_means_at_most() -> None:
    mine = points(("mlp", 0, 10.0, 0.5), ("mlp", 0, 20.0, 0.2), ("mlp", 0, 40.0, 0.3))
    assert fights.best(mine, 9.0) is None
    assert fights.best(mine, 10.0)["error"] == 0.5
    # What costs more and is worse is never chosen.
    assert fights.best(mine, 100.0)["error"] == 0.2


def test_front_drops_what_another_beats() -> None:
    mine = points(
        ("mlp", 0, 10.0, 0.5), ("mlp", 0, 10.0, 0.6), ("mlp", 0, 20.0, 0.5), ("mlp", 0, 30.0, 0.1)
    )
    assert fights.front(mine)["cost"].to_list() == [10.0, 30.0]


def test_fights_are_paired_by_seed_and_start_where_both_can_afford_something() -> None:
    rows = [("mlp", s, 10.0, 0.4 * (1 + s / 10)) for s in range(3)]
    rows += [("conv", s, 50.0, 0.1 * (1 + s / 10)) for s in range(3)]
    found = fights.fights(points(*rows), "conv")
    assert min(f.budget for f in found) >= 50.0
    assert all(f.ratio.n == f.mlp.seeds == f.other.seeds == 3 for f in found)
    # The seeds differ by tenths, the ratios not at all: pairing takes the seed out.
    assert all(f.ratio.low == pytest.approx(4.0) == f.ratio.high for f in found)


def test_a_fight_is_between_models_with_the_figures_of_all_their_seeds() -> None:
    # The wider MLP has the best single seed, and the greater mean: it is not chosen for a seed.
    rows = [("mlp", s, 10.0, 0.4) for s in range(3)] + [("mlp", 0, 20.0, 0.5)]
    rows += [("mlp", s, 20.0, e) for s, e in ((1, 0.1), (2, 4.0))]
    rows += [("conv", s, 20.0, e) for s, e in enumerate((0.1, 0.2, 0.4, 0.8))]
    found = fights.fights(points(*rows), "conv")[-1]
    assert (found.mlp.model, found.mlp.error) == ("mlp-10", pytest.approx(0.4))
    assert found.other.error == pytest.approx((0.1 * 0.2 * 0.4 * 0.8) ** 0.25)
    assert (found.mlp.seeds, found.other.seeds, found.ratio.n) == (3, 4, 3)
    assert found.ratio.centre == pytest.approx(found.mlp.error / found.other.error)
    assert found.ratio.low < 1 < found.ratio.high
    assert found.ahead == ""


def test_seeds_need_not_be_common() -> None:
    found, *_ = fights.fights(points(("mlp", 0, 1.0, 0.4), ("conv", 1, 1.0, 0.1)), "conv")
    assert (found.ratio.centre, found.ahead) == (pytest.approx(4.0), "conv")


def test_arithmetic_is_spent_epoch_by_epoch(tmp_path) -> None:
    results = ordered(tmp_path, record("mlp", 16, losses=(0.3, 0.2, 0.1), epochs=3))
    spent = fights.spent(results, TFLOP)
    # 429 steps an epoch of 1e9 operations each
    assert spent["cost"].to_list() == pytest.approx([0.429, 0.858, 1.287])
    assert spent["error"].to_list() == [0.3, 0.2, 0.1]


def test_shared_machines_have_no_time_to_spend(tmp_path) -> None:
    results = ordered(tmp_path, record("mlp", 16, row={"concurrent": True}))
    assert not len(fights.spent(results, TIME))
    assert len(fights.spent(results, TFLOP))
