"""Families at the same bottleneck and at equal cost, and engines beside the study's loop."""

import pandas as pd
import pytest
from test_report_records import record, stored

from aebench.analysis import fights, frames
from aebench.analysis.fights import BOTTLENECK, PARAMETERS, STEP, TIME, TRAINING, Fight
from aebench.store import Record, Results

Row = tuple[str, int, float, float]


def points(*rows: Row, choice: tuple[float, ...] = ()) -> pd.DataFrame:
    """Family, seed, cost, error; another cost is another model, named by its latent.

    Validation errors are the errors themselves, unless `choice` gives them.
    """
    frame = pd.DataFrame(rows, columns=["family", "seed", "cost", "error"])
    frame = frame.assign(architecture=frame["family"], settings="tuned", depth=1, epoch=0)
    frame = frame.assign(latent=frame["cost"].astype(int), bottleneck=frame["cost"].astype(int))
    return frame.assign(choice=choice or frame["error"])


def seeds(family: str, cost: float, *errors: float) -> list[Row]:
    return [(family, seed, cost, error) for seed, error in enumerate(errors)]


def only(rows: list[Row], cost: fights.Cost = BOTTLENECK) -> Fight:
    (found,) = fights.fights(points(*rows), cost)
    return found


def ordered(folder, *records: Record) -> Results:
    return frames.ordered(stored(folder, *records))


def test_at_most_means_at_most_and_exactly_means_exactly() -> None:
    mine = fights.models(
        points(("mlp", 0, 10.0, 0.5), ("mlp", 0, 20.0, 0.2), ("mlp", 0, 40.0, 0.3))
    )
    assert fights.best(mine, 9.0) is None
    assert fights.best(mine, 10.0)["error"] == 0.5
    # What costs more and is worse is never chosen, unless nothing else costs just so much.
    assert fights.best(mine, 100.0)["error"] == 0.2
    assert fights.best(mine, 40.0, exact=True)["error"] == 0.3
    assert fights.best(mine, 30.0, exact=True) is None


def test_front_drops_what_another_beats() -> None:
    mine = fights.models(
        points(
            ("mlp", 0, 10.0, 0.5), ("mlp", 0, 15.0, 0.6), ("mlp", 0, 20.0, 0.5),
            ("mlp", 0, 30.0, 0.1),
        )
    )  # fmt: skip
    assert fights.front(mine)["cost"].to_list() == [10.0, 30.0]


def test_the_validation_error_chooses_and_the_test_error_is_told() -> None:
    # Two models of one bottleneck: the one with the lesser test error has the greater other.
    rows = [*seeds("mlp", 8, 0.1, 0.1, 0.1), *seeds("mlp", 8, 0.2, 0.2, 0.2)]
    frame = points(*rows, choice=(0.5,) * 3 + (0.4,) * 3)
    frame["depth"] = [1] * 3 + [2] * 3
    assert fights.best(fights.models(frame), 8, exact=True)["error"] == pytest.approx(0.2)
    frame["choice"] = [0.4] * 3 + [0.5] * 3
    assert fights.best(fights.models(frame), 8, exact=True)["error"] == pytest.approx(0.1)
    # Alike in test error, only validation differs; the cheaper one where that is alike too.
    frame["error"], frame["choice"] = 0.1, [0.5] * 3 + [0.4] * 3
    assert fights.best(fights.models(frame), 8, exact=True)["depth"] == 2
    frame["choice"], frame["cost"] = 0.4, [8.0] * 3 + [7.0] * 3
    assert fights.best(fights.models(frame), 8)["depth"] == 2


def test_a_clear_difference_has_a_winner_and_the_ratio_is_paired_by_seed() -> None:
    # The seeds differ by tenths, the ratios by thousandths: pairing takes the seed out.
    drift = (1.0, 1.1, 1.2)
    rows = seeds("mlp", 8, *(0.4 * d * x for d, x in zip(drift, (1, 1.002, 0.999), strict=True)))
    found = only(rows + seeds("conv", 8, *(0.1 * d for d in drift)))
    assert found.families == ("mlp", "conv")
    assert found.ratio.centre == pytest.approx(4.0, rel=0.01)
    assert found.ratio.low == pytest.approx(4.0, rel=0.02)
    assert found.p < 0.001
    assert (found.ahead, found.verdict) == ("conv", "conv")
    other = only(seeds("mlp", 8, *(0.1 * d for d in drift)) + seeds("conv", 8, 0.4, 0.41, 0.4))
    assert (other.ahead, other.verdict) == ("mlp", "mlp")


def test_a_tie_is_undecided() -> None:
    same = only([*seeds("mlp", 8, 0.1, 0.2, 0.3), *seeds("conv", 8, 0.1, 0.2, 0.3)])
    assert (same.p, same.ratio.centre, same.verdict) == (1.0, pytest.approx(1.0), "undecided")
    noisy = only([*seeds("mlp", 8, 0.1, 0.2, 0.3), *seeds("conv", 8, 0.3, 0.1, 0.2)])
    assert noisy.p > 0.05
    assert noisy.verdict == "undecided"


@pytest.mark.parametrize("n", [1, 2])
def test_too_few_seeds_decide_nothing_however_far_apart(n: int) -> None:
    found = only([*seeds("mlp", 8, *[0.9] * n), *seeds("conv", 8, *[0.1] * n)])
    assert found.ratio.centre == pytest.approx(9.0)
    assert (found.ratio.low, found.p, found.ahead, found.verdict) == (None, None, "", "undecided")


def test_a_missing_side_is_told_and_counts_as_no_test() -> None:
    rows = [*seeds("mlp", 8, 0.4, 0.41, 0.4), *seeds("conv", 8, 0.1, 0.1, 0.1)]
    rows += seeds("conv", 32, 0.1, 0.1, 0.1)
    both, alone = fights.fights(points(*rows), BOTTLENECK)
    assert (both.budget, both.verdict) == (8, "conv")
    assert alone.sides[0] is None
    assert alone.sides[1].model == "conv-32"
    assert (alone.budget, alone.ratio, alone.p, alone.verdict) == (32, None, None, "one side only")
    (by_itself,) = fights.fights(points(*rows[:6]), BOTTLENECK)
    assert by_itself.p == both.p
    assert fights.fights(points(*seeds("conv", 8, 0.1)), BOTTLENECK) == []


def test_p_values_are_adjusted_for_all_bottlenecks_of_a_data_set() -> None:
    def rows(*bottlenecks: int) -> list[Row]:
        return [
            row
            for b in bottlenecks
            for row in seeds("mlp", b, 0.40, 0.42, 0.45) + seeds("conv", b, 0.38, 0.38, 0.40)
        ]

    alone = only(rows(8))
    five = fights.fights(points(*rows(2, 8, 32, 128, 512)), BOTTLENECK)
    assert alone.ahead == "conv"
    assert [f.p for f in five] == pytest.approx([5 * alone.p] * 5)
    assert {f.verdict for f in five} == {"undecided"}
    assert five[0].ratio == alone.ratio  # whose interval is not adjusted


def test_two_models_that_meet_at_several_budgets_are_one_test() -> None:
    rows = [*seeds("mlp", 10, 0.40, 0.42, 0.45), *seeds("conv", 50, 0.38, 0.38, 0.40)]
    rows += seeds("mlp", 90, 0.41, 0.43, 0.46)
    found = fights.fights(points(*rows), TRAINING)
    assert len(found) == fights.POINTS
    assert {f.p for f in found} == {only(seeds("mlp", 8, 0.40, 0.42, 0.45) + [
        ("conv", s, 8, e) for s, e in enumerate((0.38, 0.38, 0.40))
    ]).p}  # fmt: skip


def test_budgets_start_where_both_can_afford_something() -> None:
    rows = [*seeds("mlp", 10, 0.4, 0.4, 0.4), *seeds("conv", 50, 0.1, 0.1, 0.1)]
    found = fights.fights(points(*rows), PARAMETERS)
    assert [f.budget for f in found] == [pytest.approx(50.0)]
    assert found[0].sides[1].model == "conv-50"  # which rounding leaves in


def test_budgets_are_those_from_which_on_another_model_is_the_best() -> None:
    # What costs the same at every epoch is known at every budget: nothing changes between these.
    rows = [
        *seeds("mlp", 10, 0.5), *seeds("mlp", 40, 0.4), *seeds("mlp", 60, 0.45),  # no better
        *seeds("conv", 20, 0.3), *seeds("conv", 90, 0.2),
    ]  # fmt: skip
    found = fights.fights(points(*rows), PARAMETERS)
    assert [f.budget for f in found] == [20, 40, 90]
    assert [[side.model for side in f.sides] for f in found] == [
        ["mlp-10", "conv-20"], ["mlp-40", "conv-20"], ["mlp-40", "conv-90"],
    ]  # fmt: skip
    assert [side.bottleneck for side in found[0].sides] == [10, 20]
    spent = [f.budget for f in fights.fights(points(*rows), TRAINING)]
    assert len(spent) == fights.POINTS
    assert spent == pytest.approx([20, 29.13, 42.43, 61.79, 90], rel=1e-3)


def test_a_fight_is_between_models_with_the_figures_of_all_their_seeds() -> None:
    # The wider MLP has the best single seed, and the greater mean: it is not chosen for a seed.
    rows = seeds("mlp", 10.0, 0.4, 0.4, 0.4) + seeds("mlp", 20.0, 0.5, 0.1, 4.0)
    rows += seeds("conv", 20.0, 0.1, 0.2, 0.4, 0.8)
    found = fights.fights(points(*rows), PARAMETERS)[-1]
    mlp, conv = found.sides
    assert (mlp.model, mlp.error) == ("mlp-10", pytest.approx(0.4))
    assert conv.error == pytest.approx((0.1 * 0.2 * 0.4 * 0.8) ** 0.25)
    assert (mlp.seeds, conv.seeds, found.ratio.n) == (3, 4, 3)
    assert found.ratio.centre == pytest.approx(mlp.error / conv.error)
    assert found.ratio.low < 1 < found.ratio.high
    assert found.ahead == ""


def test_seeds_need_not_be_common() -> None:
    found = only([("mlp", 0, 1.0, 0.4), ("conv", 1, 1.0, 0.1)])
    assert (found.ratio.centre, found.verdict) == (pytest.approx(4.0), "undecided")


def test_depths_options_and_settings_are_of_one_family(tmp_path) -> None:
    # An option of a family makes another model of it, not another family.
    results = ordered(
        tmp_path,
        record("mlp", 16, 2.0),
        record("mlp", 16, 1.0, options={"code": "linear"}),
        record("mlp", 16, 3.0, depth=2, epochs=2),
    )
    rows = fights.spent(results, BOTTLENECK)
    assert set(rows["family"]) == {"mlp"}
    assert fights.best(fights.models(rows), 16, exact=True)["architecture"] == "mlp (code=linear)"


def test_a_code_as_large_as_the_image_is_in_no_fight(tmp_path) -> None:
    results = ordered(tmp_path, record("mlp", 783), record("mlp", 784), record("conv", 16))
    assert fights.spent(results, PARAMETERS)["latent"].to_list() == [783]


def test_arithmetic_is_spent_epoch_by_epoch(tmp_path) -> None:
    results = ordered(tmp_path, record("mlp", 16, losses=(0.3, 0.2, 0.1), epochs=3))
    spent = fights.spent(results, TRAINING)
    # 429 steps an epoch of 1e9 operations each
    assert spent["cost"].to_list() == pytest.approx([0.429, 0.858, 1.287])
    assert spent["error"].to_list() == spent["choice"].to_list() == [0.3, 0.2, 0.1]


def test_what_a_step_takes_is_told_of_an_image(tmp_path) -> None:
    results = ordered(
        tmp_path,
        record("mlp", 16, batch_size=100),
        record("mlp", 32, batch_size=200, row={"flops_per_step": 2 * 10**9}),
    )
    assert fights.spent(results, STEP)["cost"].to_list() == [10.0, 10.0]


def test_static_costs_buy_the_test_error_and_validation_chooses(tmp_path) -> None:
    results = ordered(tmp_path, record("mlp", 16, 1.56, losses=(0.5, 0.3)))
    (row,) = fights.spent(results, PARAMETERS).to_dict("records")
    assert (row["error"], row["choice"], row["epoch"]) == (pytest.approx(0.02), 0.3, 0)


def test_shared_machines_have_no_time_to_spend(tmp_path) -> None:
    results = ordered(tmp_path, record("mlp", 16, row={"concurrent": True}))
    assert not len(fights.spent(results, TIME))
    assert len(fights.spent(results, TRAINING))


def test_times_of_one_machine_only_are_set_side_by_side(tmp_path) -> None:
    results = ordered(
        tmp_path,
        record("mlp", 16), record("mlp", 32), record("mlp", 8, row={"machine_id": "another"}),
    )  # fmt: skip
    rows, where = fights.comparable(fights.spent(results, TIME))
    assert set(rows["latent"]) == {16, 32}
    assert where.endswith("machine 0f1e2d3c")
