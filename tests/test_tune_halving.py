"""Rungs, winners, edges, widening and the budget, on records that a formula writes at once."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from aebench import machine, schema
from aebench.errors import RequestError
from aebench.job import Job
from aebench.tune import reading, running
from aebench.tune.running import MayStart, Running

HOW = {"engine": "eager", "precision": "fp32", "device": "cpu"}
Error = Callable[[Job], float]


def bowl(best: float, gain: float = 0.01) -> Error:
    """Least at a learning rate; each further epoch takes off a share of `gain`, and converges."""
    return lambda job: (
        (1 + math.log10(job.learning_rate / best) ** 2) * (1 + gain / job.epochs) * job.latent
    )


class Records:
    """A store of the jobs' rows alone, in memory: reading files would take nearly all the time."""

    exists = True

    def __init__(self, path: Path) -> None:
        self.path, self.rows = path, list[dict[str, Any]]()

    def survey(self) -> Any:
        names = [column.name for column in schema.JOBS]
        frame = pd.DataFrame(self.rows, columns=names)
        numbers = ["train_s", "steps", "flops_per_step", "peak_gflops", "threads", "val_mse"]
        return SimpleNamespace(jobs=frame.astype(dict.fromkeys(numbers, float)))


STORES: dict[Path, Records] = {}


class Search:
    """A search whose jobs end at once, with the error of a formula."""

    def __init__(self, folder: Path, error: Error, text: str, **how: Any) -> None:
        (folder / "mine.toml").write_text(text)
        self.error, self.batches = error, list[list[Job]]()
        self.now, self.job_s, self.start_s = 0.0, 1.0, 6.0
        space = reading.load(str(folder / "mine.toml"))
        self.store = STORES.setdefault(folder, Records(folder))
        self.run = Running(space, self.store, HOW, clock=lambda: self.now, **how)

    def train(self, jobs: Sequence[Job], _: object, may_start: MayStart) -> bool:
        self.batches.append([])
        self.now += self.start_s
        for job in jobs:
            if may_start(job):
                self.batches[-1].append(job)
                self.write(job)
                self.now += self.job_s
        return True

    def write(self, job: Job) -> None:
        error = self.error(job)
        ok = math.isfinite(error)
        self.store.rows.append(
                dataclasses.asdict(job)
                | {
                    "key": job.key, "status": "ok" if ok else "diverged", "reason": "",
                    "val_mse": error if ok else None, "aebench": "0.1.0", "commit": "abc",
                    "started_at": f"2026-11-29T00:00:{len(self.batches):02}.000+00:00",
                    "total_s": self.job_s, "baseline_s": 0.0, "compile_s": 0.0,
                    "concurrent": False, "resumed": "", "cpu_name": machine.cpu_name(),
                    "cpu_details": machine.cpu_details(), "cores": machine.cores(),
                }
        )  # fmt: skip

    def search(self, budget_s: float = 1e6) -> bool:
        return self.run.search(self.train, budget_s)

    @property
    def jobs(self) -> list[Job]:
        return [job for batch in self.batches for job in batch]

    def chosen(self, number: int = 0) -> Any:
        choice, why = self.run.stands()[number].choice("mine", self.run.accepted)
        return choice or why


def text(more: str = "", **changed: Any) -> str:
    given = {
        "dataset": '"digits"', "architecture": '"mlp"', "latent": 4, "epochs": [1, 3, 9],
        "candidates": 18, "learning_rate": "{ from = 1e-4, to = 1e-1 }",
    } | changed  # fmt: skip
    return "[[search]]\n" + "\n".join(f"{k} = {v}" for k, v in given.items() if v) + f"\n{more}\n"


def test_one_in_three_goes_on_trained_anew_and_the_best_wins(tmp_path: Path) -> None:
    search = Search(tmp_path, bowl(3e-3), text())
    assert search.search()
    assert Counter(job.epochs for job in search.jobs) == {1: 18, 3: 6, 9: 2}
    assert len(set(search.jobs)) == 26
    by_error = sorted((j for j in search.jobs if j.epochs == 1), key=search.error)
    for epochs, count in ((3, 6), (9, 2)):
        rates = {job.learning_rate for job in search.jobs if job.epochs == epochs}
        assert rates == {job.learning_rate for job in by_error[:count]}
    found = search.chosen()
    best, second = found.candidates
    assert best.settings.learning_rate == by_error[0].learning_rate
    assert (best.settings.epochs, best.ratio) == (9, 1.0)
    assert second.ratio > 1
    assert (found.at_edge, found.search["jobs"], found.search["grid"]) == ((), 26, "mine")
    assert len(found.others) == 24
    # Both ends of the range are among those tried.
    assert {1e-4, 1e-1} <= {job.learning_rate for job in search.jobs}


def test_with_several_latents_the_ratio_decides_and_each_is_trained(tmp_path: Path) -> None:
    search = Search(tmp_path, bowl(3e-3), text(latent=[2, 8]))
    assert search.search()
    assert Counter((j.latent, j.epochs) for j in search.jobs) == {
        (k, e): n for k in (2, 8) for e, n in ((1, 18), (3, 6), (9, 2))
    }
    found = search.chosen()
    assert found.latent == (2, 8)
    assert list(found.candidates[0].val_mse) == ["digits mlp-2", "digits mlp-8"]


def test_it_goes_on_from_the_records_wherever_it_was_stopped(tmp_path: Path) -> None:
    whole = Search(tmp_path, bowl(3e-3), text(latent=[2, 8]))

    class Killed(Exception):
        pass

    trained = Counter[Job]()
    for stop in (5, 1, 17, 9, 4, 10_000):  # as many jobs before each kill
        search = Search(tmp_path, bowl(3e-3), text(latent=[2, 8]))
        left = stop

        def train(jobs: Sequence[Job], *_: object, search: Search = search) -> bool:
            nonlocal left
            for job in jobs:
                if not left:
                    raise Killed
                left -= 1
                trained[job] += 1
                search.write(job)
            return True

        try:
            search.run.search(train, 1e6)
        except Killed:
            continue
    assert set(trained.values()) == {1}  # nothing twice
    assert Counter(job.epochs for job in trained) == {1: 36, 3: 12, 9: 4}
    assert whole.chosen().candidates[0].ratio == 1.0
    again = Search(tmp_path, bowl(3e-3), text(latent=[2, 8]))
    assert again.search()
    assert not again.batches


def test_records_that_are_there_count_and_others_do_not(tmp_path: Path) -> None:
    search = Search(tmp_path, bowl(3e-3), text())
    rates = [1e-3 * 1.2**i for i in range(12)]
    for rate in rates:
        search.write(Job("mlp", "digits", 4, epochs=1, learning_rate=rate, engine="native"))
    for other in ({"seed": 1}, {"latent": 5}, {"depth": 2}, {"train_noise": 0.1}, {"epochs": 2}):
        for rate in (2e-3, 3e-3, 4e-3):
            job = Job("mlp", "digits", 4, epochs=1, learning_rate=rate)
            search.write(dataclasses.replace(job, **other))
    assert search.search()
    assert Counter(job.epochs for job in search.jobs) == {1: 6, 3: 6, 9: 2}
    assert not {j.learning_rate for j in search.jobs if j.epochs == 1} & set(rates)


def test_failed_candidates_are_infinitely_bad_and_stop_nothing(tmp_path: Path) -> None:
    ok = bowl(3e-3)
    search = Search(tmp_path, lambda job: math.inf if job.learning_rate > 2e-3 else ok(job), text())
    assert search.search()
    assert "lies at" not in str(search.chosen())
    assert search.chosen().candidates[0].settings.learning_rate <= 2e-3
    (tmp_path / "none").mkdir()
    none = Search(tmp_path / "none", lambda _: math.inf, text())
    assert none.search()
    assert none.chosen() == (
        "no candidate of the last rung ended ok with at least half of the models"
    )


# Edges


def test_a_winner_at_the_edge_widens_the_range_there_with_a_third_more(tmp_path: Path) -> None:
    search = Search(tmp_path, bowl(1.3e-1), text())  # a little beyond the end
    assert search.search()
    first = [j for j in search.jobs if j.epochs == 1]
    assert [j.learning_rate <= 1e-1 for j in first] == [True] * 18 + [False] * 6
    assert max(j.learning_rate for j in first) == 3e-1
    found = search.chosen()
    assert 1e-1 < found.candidates[0].settings.learning_rate < 3e-1
    assert found.at_edge == ()
    # All rungs of the new part: one in three of 24 go on.
    rungs = Counter(job.epochs for job in search.jobs)
    assert rungs[1] == 24
    assert rungs[3] >= 8
    again = Search(tmp_path, bowl(1.3e-1), text())
    assert again.search()
    assert not again.batches


@pytest.mark.parametrize(("best", "low", "high"), [(1e3, 1e-1, 9e-1), (1e-9, 1.11111e-5, 1e-4)])
def test_it_is_widened_twice_then_refused_or_accepted(
    tmp_path: Path, best: float, low: float, high: float
) -> None:
    search = Search(tmp_path, bowl(best), text())
    assert search.search()
    beyond = [j.learning_rate for j in search.jobs if j.epochs == 1][18:]
    assert len(beyond) == 12
    assert all(low <= rate <= high for rate in beyond)
    said = search.chosen()
    end = "upper" if best > 1 else "lower"
    assert f"learning_rate: the winner's {max(beyond) if best > 1 else min(beyond):g}" in said
    assert f"lies at the {end} edge of the range" in said
    assert ("(to = 2.7)" if best > 1 else "(from = 3.7037e-06)") in said
    assert said.endswith("or --accept-edge learning_rate")
    accepted = Search(tmp_path, bowl(best), text(), accepted=["learning_rate"])
    assert accepted.search()
    assert not accepted.batches  # nor widened
    assert accepted.chosen().at_edge == ("learning_rate",)


@pytest.mark.parametrize(
    ("field", "values", "edge"),
    [
        ("batch_size", [32, 64, 128], True),
        ("batch_size", [64, 32, 128], True),  # in whatever order
        ("batch_size", [16, 32, 64, 128], True),
        ("batch_size", [32, 64], False),  # of two one is always at an end
        ("batch_size", [1, 32, 64], False),  # no smaller one is possible
        ("optimizer", ["adam", "adamw"], False),
    ],
)
def test_a_list_of_numbers_has_edges_too(
    tmp_path: Path, field: str, values: list[Any], edge: bool
) -> None:
    end = min(values)
    more = {"learning_rate": "1e-3", "candidates": 9, field: values}
    search = Search(
        tmp_path,
        lambda job: 2.0 + (getattr(job, field) != end) + 0.001 * job.epochs,
        text(**more),
    )
    assert search.search()
    said = str(search.chosen())
    assert ("smaller values" in said and "--accept-edge batch_size" in said) is edge


def test_epochs_that_still_pay_are_an_edge_and_a_rung_is_added(tmp_path: Path) -> None:
    still = bowl(3e-3, gain=1.0)  # from 3 to 9 epochs 17 % less, to 27 a further 7 %, to 81 2.4 %
    search = Search(tmp_path, still, text())
    assert search.search()
    assert Counter(job.epochs for job in search.jobs) == {1: 18, 3: 6, 9: 2, 27: 2, 81: 2}
    said = search.chosen()
    assert said.startswith("epochs: the last rung, 81 epochs, still lowered")
    assert "by 2% from that of 27; add a rung of 243" in said
    accepted = Search(tmp_path, still, text(), accepted=["epochs"])
    assert accepted.chosen().candidates[0].settings.epochs == 9
    assert accepted.chosen().at_edge == ("epochs",)
    (tmp_path / "done").mkdir()
    converged = Search(tmp_path / "done", bowl(3e-3, gain=0.08), text())  # 1.7 % less
    assert converged.search()
    assert converged.chosen().at_edge == ()


def test_two_candidates_are_needed_and_one_rung_judges_no_epochs(tmp_path: Path) -> None:
    def error(job: Job) -> float:
        return float(job.depth)

    more = {"learning_rate": "1e-3", "epochs": [2], "depth": [1, 2], "candidates": 9}
    search = Search(tmp_path, error, text(**more))
    assert search.search()
    assert len(search.jobs) == 2
    assert search.chosen().candidates[0].depth == 1
    (tmp_path / "one").mkdir()
    momentum = more | {"depth": None, "momentum": [0, 0.9]}  # which adam has not
    one = Search(tmp_path / "one", error, text(**momentum))
    assert one.search()
    assert one.chosen().startswith("candidates that reached the last rung: 1, and")


def test_more_candidates_leave_the_best_that_is_known_in_the_last_comparison(
    tmp_path: Path,
) -> None:
    few = Search(tmp_path, bowl(3e-3), text(candidates=6, epochs=[1, 9]))
    assert few.search()
    best = few.chosen().candidates[0].settings.learning_rate
    old = {job.learning_rate for job in few.jobs}

    def early(job: Job) -> float:  # those that come are better at first, and only there
        return 1.0 if job.epochs == 1 else 100.0

    more = Search(tmp_path, early, text(candidates=12, epochs=[1, 9]))
    assert more.search()
    assert not old & {job.learning_rate for job in more.jobs}
    assert Counter(job.epochs for job in more.jobs) == {1: 6, 9: 4}
    assert more.chosen().candidates[0].settings.learning_rate == best
    assert len(more.chosen().candidates) == 6


# The budget


def test_every_search_has_a_rung_before_one_has_the_next(tmp_path: Path) -> None:
    both = text(candidates=9) + text(candidates=9, dataset='"digits"', latent=8)
    search = Search(tmp_path, bowl(3e-3), both)
    assert search.search()
    rungs = [{job.epochs for job in batch} for batch in search.batches]
    assert all(len(rung) == 1 for rung in rungs)
    order = [rung.pop() for rung in rungs]
    assert order == sorted(order)
    assert {job.latent for job in search.batches[0]} == {4, 8}
    assert [job.latent for job in search.batches[0]][:4] == [4, 8, 4, 8]


def test_what_does_not_fit_the_budget_any_more_is_not_started(tmp_path: Path) -> None:
    search = Search(tmp_path, bowl(3e-3), text())
    search.job_s = 10.0  # far longer than the estimate, which learns from it
    assert search.search(budget_s=130.0)
    assert 8 <= len(search.jobs) <= 12
    assert search.now <= 130.0 + search.job_s  # the first is started by the estimate alone
    assert search.chosen().startswith("the budget ended on rung 1 of 3 (1 epochs); the same")
    spent, done = search.now, len(search.jobs)
    assert search.search(budget_s=40.0)
    assert 1 <= len(search.jobs) - done <= 3
    assert search.now - spent <= 40.0
    assert search.search(budget_s=1e6)
    assert Counter(job.epochs for job in search.jobs) == {1: 18, 3: 6, 9: 2}


def test_a_batch_ends_after_minutes_so_that_what_was_measured_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "product_gflops", lambda: 239.0)
    search = Search(tmp_path, bowl(3e-3), text(candidates=10))
    search.job_s = 100.0
    assert search.search()
    assert len(search.batches[0]) == 6  # by a rough estimate ten of them take no minutes
    assert all(len(batch) <= 3 for batch in search.batches[1:])


def test_beside_a_long_job_others_fill_the_time_of_who_would_wait_for_it(tmp_path: Path) -> None:
    def taking(long_s: float, workers: int) -> Counter[int]:
        search = Search(tmp_path, bowl(3e-3), both, workers=workers)
        costs: Any = SimpleNamespace(
            start_s=0.0, seconds=lambda job: {4: 50.0, 8: long_s}[job.latent]
        )
        batch, least_s, batch_s = search.run._batch(search.run.stands(), 1e6, costs)
        assert (least_s, batch_s) == (50.0, max(long_s, 300.0))
        return Counter(job.latent for job in batch)

    both = text(candidates=10) + text(candidates=10, latent=8)
    assert taking(800.0, workers=2) == {8: 1, 4: 10}  # 500 s beside 800
    assert taking(450.0, workers=2) == {8: 1, 4: 9}  # and no tenth
    assert taking(250.0, workers=1) == {8: 1, 4: 1}


@pytest.mark.parametrize(("batch_s", "started"), [(2000.0, 5), (10.0, 2)])
def test_as_long_as_a_batch_is_planned_its_jobs_may_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, batch_s: float, started: int
) -> None:
    search = Search(tmp_path, bowl(3e-3), text(candidates=5))
    search.job_s = 300.0
    real = Running._batch
    monkeypatch.setattr(Running, "_batch", lambda *given: (*real(*given)[:2], batch_s))
    assert search.search()
    assert len(search.batches[0]) == started


def test_a_budget_for_no_job_is_refused_with_the_least_that_would_do(tmp_path: Path) -> None:
    search = Search(tmp_path, bowl(3e-3), text())
    with pytest.raises(RequestError) as error:
        search.search(budget_s=2.0)
    least = int(str(error.value).split()[-1].removesuffix("s"))
    assert "--budget 2s is too small for a single job; the least that would do is" in str(
        error.value
    )
    assert not search.batches
    assert search.search(budget_s=least)
    assert search.batches


def test_ctrl_c_ends_the_search(tmp_path: Path) -> None:
    search = Search(tmp_path, bowl(3e-3), text())
    assert not search.run.search(lambda *_: False, 1e6)
    with pytest.raises(RequestError, match="leave no readable record"):
        search.run.search(lambda jobs, _, may_start: may_start(jobs[0]), 1e6)


def test_a_way_of_training_that_a_model_has_not_is_told_before(tmp_path: Path) -> None:
    search = Search(tmp_path, bowl(3e-3), text())
    search.run.how = HOW | {"precision": "bf16x3"}
    with pytest.raises(RequestError, match=r"digits mlp-4: .*bf16x3"):
        search.search()
    (tmp_path / "never").mkdir()
    never = Search(tmp_path / "never", bowl(3e-3), text(momentum=0.9))
    with pytest.raises(RequestError, match="momentum belongs to sgd"):
        never.search()
    assert not [*search.batches, *never.batches]


def test_no_test_error_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The search is the same without the columns that know the test images."""
    searches = []
    for blind in (False, True):
        (folder := tmp_path / str(blind)).mkdir()
        search = Search(folder, bowl(2e-1), text())
        if blind:
            known = ["study_error", "mse", "psnr_db", "mean_mse", "pca_mse"]
            survey = running._jobs
            monkeypatch.setattr(running, "_jobs", lambda s, f=survey, k=known: f(s).drop(columns=k))
        assert search.search()
        searches.append((search.jobs, search.chosen()))
    assert searches[0] == searches[1]
