"""The local executor's decisions, with workers that only say what a test has them say."""

from __future__ import annotations

import dataclasses
import os
import signal
import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import aebench
from aebench.errors import RequestError
from aebench.executors import Ending, Listener, RunOptions, carried, leases, local, pool
from aebench.executors.processes import ForeignCode
from aebench.job import Job
from aebench.records import Circumstances, ended_without_record
from aebench.store import Record, Store, read

OK = {"status": "ok", "reason": "", "study_error": 1.0, "mse": 0.1, "train_s": 2.0}


def job(latent: int = 4, architecture: str = "mlp") -> Job:
    return Job.create(architecture=architecture, dataset="digits", latent=latent, epochs=1)


def stored(one: Job, status: str = "ok", started_at: str | None = None) -> Record:
    record = ended_without_record(one, Circumstances(), status, "", 1.0)
    if started_at:
        record.job["started_at"] = started_at
    return record


class Queue(list):
    def empty(self) -> bool:
        return not self

    def get(self) -> dict[str, Any]:
        return self.pop(0)


class FakeWorker:
    """Says what `Scene.plays` has for the job it is given."""

    def __init__(self, scene: Scene, forks: bool) -> None:
        self.scene, self.forks, self.ready = scene, forks, False
        self.said = Queue()
        self.dead, self.lost, self.exit = False, False, "exit code 9"
        self.jobs: list[tuple[Job, Circumstances]] = []
        self.codes: list[ForeignCode | None] = []
        self.say("ready")

    def say(self, kind: str, **content: Any) -> None:
        self.said.append({"kind": kind, **content})

    def give(self, one: Job, where: Circumstances, code: ForeignCode | None) -> None:
        self.jobs.append((one, where))
        self.codes.append(code)
        self.say("started")
        self.scene.plays.get(one.latent, Scene.ends_ok)(self, one)
        if self.forks:
            self.say("gone", code=0, key=one.key)

    @property
    def ended(self) -> bool:
        return self.dead

    def end(self) -> None:
        self.dead = True


class Scene(Listener):
    """A store, a clock that moves a second at every look, and all workers that were started."""

    def __init__(self, store: Store) -> None:
        self.store, self.workers = store, []
        self.plays: dict[int, Callable[[FakeWorker, Job], None]] = {}
        self.failures = 0  # of the next attempts to start a worker
        self.now = 0.0
        self.waits: list[bool] = []  # whether nothing was new, so that it would have waited
        self.told: list[tuple[str, int, Job, Ending | None]] = []

    def start(self, results: Path, forks: bool, folder: Path, news: threading.Event) -> FakeWorker:
        if self.failures:
            self.failures -= 1
            raise OSError(12, "Cannot allocate memory")
        news.wait = lambda timeout: self.waits.append(not news.is_set())  # nobody is waited for
        self.workers.append(FakeWorker(self, forks))
        return self.workers[-1]

    def monotonic(self) -> float:
        self.now += 1.0
        return self.now

    def ends_ok(worker: FakeWorker, one: Job) -> None:
        worker.scene.store.write(stored(one))
        worker.say("ended", **OK)

    def started(self, slot: int, one: Job) -> None:
        self.told.append(("started", slot, one, None))

    def ended(self, slot: int, one: Job, ending: Ending) -> None:
        self.told.append(("ended", slot, one, ending))

    def run(self, *jobs: Job, **options: Any) -> bool:
        return local.run(jobs, self.store, RunOptions(**options), self)

    @property
    def endings(self) -> dict[int, Ending]:
        return {one.latent: end for kind, _, one, end in self.told if kind == "ended" and end}


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scene:
    made = Scene(Store(tmp_path / "results"))
    monkeypatch.setattr(local, "Worker", made.start)
    monkeypatch.setattr(pool, "time", SimpleNamespace(monotonic=made.monotonic))
    return made


@pytest.fixture
def foreign() -> Iterator[str]:
    @aebench.architecture("foreign-to-us")
    def build(shape: object, latent: int, depth: int) -> None:
        """Never built here."""

    yield "foreign-to-us"
    aebench.architectures.registry._registry.pop("foreign-to-us")


def test_a_job_that_may_not_start_is_left_out_when_its_turn_comes(scene: Scene) -> None:
    asked = []

    def may_start(one: Job) -> bool:
        asked.append((one.latent, len(scene.store.survey().jobs)))
        return one.latent != 2

    assert local.run([job(1), job(2), job(3)], scene.store, RunOptions(may_start=may_start), scene)
    assert asked == [(1, 0), (2, 1), (3, 1)]
    assert {one.latent for worker in scene.workers for one, _ in worker.jobs} == {1, 3}
    assert len(scene.store.survey().jobs) == 2


def test_a_worker_takes_one_job_after_another(scene: Scene) -> None:
    assert scene.run(job(4), job(5), job(6))
    (worker,) = scene.workers
    assert [one.latent for one, _ in worker.jobs] == [4, 5, 6]
    assert worker.dead
    assert (worker.forks, worker.codes) == (False, [None] * 3)  # and nobody's plugins
    assert [where.position for _, where in worker.jobs] == [1, 2, 3]


@pytest.mark.parametrize(("status", "workers"), [("failed", 2), ("diverged", 1)])
def test_what_failed_may_have_left_its_process_in_any_state(
    scene: Scene, status: str, workers: int
) -> None:
    scene.plays[4] = lambda worker, one: worker.say("ended", **(OK | {"status": status}))
    scene.run(job(4), job(5))
    assert len(scene.workers) == workers


def test_code_that_is_not_ours_runs_in_workers_that_fork_for_each_job(
    scene: Scene, foreign: str
) -> None:
    scene.plays[6] = lambda worker, one: worker.say("ended", **(OK | {"status": "failed"}))
    one = [job(latent, foreign) for latent in (5, 6, 7)]
    scene.run(job(4), one[0], one[1], job(8), one[2], plugins=("a.py",))
    assert [[j.latent for j, _ in worker.jobs] for worker in scene.workers] == [[4, 8], [5, 6, 7]]
    assert [worker.forks for worker in scene.workers] == [False, True]
    assert [code and code.files for code in scene.workers[1].codes] == [("a.py",)] * 3


def repeats(count: int, architecture: str = "mlp") -> list[Job]:
    return [dataclasses.replace(job(9, architecture), repeat=n) for n in range(count)]


def test_each_of_several_repeats_has_a_process_that_is_started_for_it(
    scene: Scene, foreign: str
) -> None:
    ours, theirs = repeats(2), repeats(2, foreign)
    asked = [job(4), ours[0], theirs[0], job(5), ours[1], theirs[1], job(6, foreign)]
    alive: list[int] = []
    scene.ended = lambda *_: alive.append(sum(not w.dead for w in scene.workers))
    scene.run(*asked, repeated=frozenset(ours + theirs))
    taken = [[j for j, _ in worker.jobs] for worker in scene.workers]
    assert taken == [
        [asked[0], asked[3]], *([one] for one in (*asked[1:3], *asked[4:6])), [asked[6]],
    ]  # fmt: skip
    assert [worker.forks for worker in scene.workers] == [False] * 5 + [True]
    # Each ended with its job: besides the one kept for ours there is never another beside a job.
    assert alive == [1] * 6 + [2]
    scene.workers.clear()
    scene.store = Store(scene.store.path / "again")
    scene.run(*asked[:2], repeated=frozenset(ours), repeats_in_process=True)
    assert [[j for j, _ in worker.jobs] for worker in scene.workers] == [asked[:2]]


def test_the_process_of_a_repeat_that_dies_takes_its_own_job_along_and_no_other(
    scene: Scene,
) -> None:
    ours = repeats(3)

    def dies(worker: FakeWorker, one: Job) -> None:
        worker.end() if one.repeat == 0 else Scene.ends_ok(worker, one)

    scene.plays[9] = dies
    scene.run(*ours, repeated=frozenset(ours))
    rows = read(scene.store.path).jobs.sort_values("repeat")
    assert list(rows["status"]) == ["killed", "ok", "ok"]
    assert rows["process_id"].isna().iloc[0]  # it was that of no process that can be named


def test_a_fork_that_dies_takes_its_own_job_along_and_no_other(scene: Scene, foreign: str) -> None:
    scene.plays[5] = lambda worker, one: None  # dies: the keeper says that it is gone
    scene.run(job(5, foreign), job(6, foreign), job(7, foreign))
    assert {n: e.status for n, e in scene.endings.items()} == {5: "killed", 6: "ok", 7: "ok"}
    assert len(scene.workers) == 1


def test_typed_code_is_taken_before_any_job_and_refused_if_it_cannot_be_sent(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr("__main__.__file__", raising=False)
    space: dict[str, Any] = {"aebench": aebench, "__name__": "__main__", "HELD": 1}
    exec("@aebench.architecture('typed')\ndef build(shape, latent, depth): return HELD", space)
    try:
        one = job(5, "typed")

        def changes_the_cell(worker: FakeWorker, done: Job) -> None:
            space["HELD"] = 2
            Scene.ends_ok(worker, done)

        scene.plays[4] = changes_the_cell
        scene.run(job(4), one)
        sent = scene.workers[1].codes[0]
        assert sent is not None
        assert (sent.files, sent.modules) == ((), ())
        carried.unpack(sent.carried)
        assert aebench.architectures.get("typed").build(None, 5, 1) == 1
        space["HELD"] = threading.Lock()
        exec("aebench.architecture('typed')(build)", space)
        workers = len(scene.workers)
        with pytest.raises(RequestError, match="no other process can be given"):
            scene.run(job(6), job(4, "typed"))
        assert len(scene.workers) == workers
    finally:
        aebench.architectures.registry._registry.pop("typed")


def test_a_dead_worker_leaves_a_record_that_says_when_its_job_began(scene: Scene) -> None:
    scene.plays[4] = lambda worker, one: worker.end()
    scene.run(job(4), job(5))
    rows = read(scene.store.path).jobs.set_index("latent")
    assert rows["status"].to_dict() == {4: "killed", 5: "ok"}
    assert rows["reason"][4] == "the worker process ended with exit code 9"
    assert rows["total_s"][4] > 0
    assert len(scene.workers) == 2


def test_a_record_that_a_dying_worker_had_stored_stands(scene: Scene) -> None:
    def dies_late(worker: FakeWorker, one: Job) -> None:
        scene.store.write(stored(one))
        worker.end()

    scene.plays[4] = dies_late
    scene.run(job(4))
    assert list(read(scene.store.path).jobs["status"]) == ["ok"]
    assert scene.endings[4].status == "ok"


def test_what_ends_all_processes_leaves_no_record_of_a_worker_that_it_reaches_first(
    scene: Scene,
) -> None:
    def ended_from_outside(worker: FakeWorker, one: Job) -> None:
        worker.dead, worker.exit = True, "exit code 0"
        threading.Timer(0.02, lambda: os.kill(os.getpid(), signal.SIGTERM)).start()

    scene.plays[4] = ended_from_outside
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    assert not scene.run(job(4), job(5))
    assert scene.store.statuses() == {}
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == handlers


def test_a_slot_has_its_next_job_as_soon_as_the_last_has_ended(scene: Scene) -> None:
    scene.run(*(job(n) for n in range(1, 9)))
    # Once for each job's end, of which this worker says nothing to `news`, and at the beginning.
    assert sum(scene.waits) <= 8 + 2


def test_a_job_has_its_time_from_when_its_worker_was_prepared(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        FakeWorker, "give", lambda self, one, where, code: None
    )  # prepares for ever
    before = datetime.now().astimezone()
    scene.run(job(4), timeout_s=5.0)
    assert scene.now > pool._PREPARE_S
    (row,) = read(scene.store.path).jobs.to_dict("records")
    assert (row["status"], row["reason"]) == (
        "timed_out", "stopped after 5 s, the limit set by --timeout",
    )  # fmt: skip
    assert abs(datetime.fromisoformat(row["started_at"]) - before) < timedelta(minutes=1)
    monkeypatch.undo()


def test_a_job_that_runs_too_long_is_stopped(scene: Scene) -> None:
    scene.plays[4] = lambda worker, one: None  # begins, and never ends
    scene.run(job(4), job(5), timeout_s=5.0)
    assert scene.now < pool._PREPARE_S
    assert {n: e.status for n, e in scene.endings.items()} == {4: "timed_out", 5: "ok"}


def test_a_worker_that_cannot_start_is_tried_again(scene: Scene) -> None:
    scene.failures = pool._STARTS - 1
    assert scene.run(job(4))
    assert scene.endings[4].status == "ok"


def test_after_some_attempts_one_sentence_says_why_and_jobs_are_left(scene: Scene) -> None:
    scene.failures = 100
    with pytest.raises(RequestError, match=r"3 attempts.*Cannot allocate memory"):
        scene.run(job(4), job(5))
    assert scene.failures == 100 - pool._STARTS
    assert leases.Leases(scene.store.parts).take(job(4).key)


def test_one_slot_without_a_worker_leaves_its_job_to_the_others(scene: Scene) -> None:
    scene.failures = 2 * pool._STARTS - 1  # of both slots in turn: one of them is given up
    assert scene.run(job(5), job(6), job(7), workers=2)
    assert len(scene.workers) == 1
    assert sorted(scene.endings) == [5, 6, 7]


def test_a_job_whose_machine_is_lost_is_done_at_another_place(scene: Scene) -> None:
    def goes_once(worker: FakeWorker, one: Job) -> None:
        if worker is scene.workers[0]:
            worker.lost = worker.dead = True
        else:
            Scene.ends_ok(worker, one)

    scene.plays[4] = goes_once
    assert scene.run(job(4), job(5), job(6), workers=2)
    assert {n: end.status for n, end in scene.endings.items()} == dict.fromkeys((4, 5, 6), "ok")
    assert len(scene.workers) == 2  # nothing more is begun where the machine was lost


def test_a_job_that_has_lost_three_machines_is_given_up(scene: Scene) -> None:
    def goes(worker: FakeWorker, one: Job) -> None:
        worker.lost, worker.dead, worker.exit = True, True, "the node n1 is gone"

    scene.plays[4] = goes
    assert scene.run(job(4), job(5), job(6), job(7), workers=4)
    assert scene.endings[4].status == "killed"
    assert scene.endings[4].reason == "the node n1 is gone, and 2 places before it"
    assert {scene.endings[n].status for n in (5, 6, 7)} == {"ok"}


def test_without_a_place_left_the_run_says_so_and_leaves_the_jobs(scene: Scene) -> None:
    def goes(worker: FakeWorker, one: Job) -> None:
        worker.lost, worker.dead, worker.exit = True, True, "the node n1 is gone"

    scene.plays[4] = goes
    with pytest.raises(RequestError, match=r"last place .*node n1 is gone.*The same command"):
        scene.run(job(4), job(5))
    assert scene.endings == {}
    assert leases.Leases(scene.store.parts).take(job(4).key)


def test_jobs_that_share_the_machine_say_so_even_the_last(scene: Scene) -> None:
    scene.run(job(4), job(5), job(6), workers=2)
    assert all(where.concurrent for worker in scene.workers for _, where in worker.jobs)
    scene.workers.clear()
    scene.run(job(7), workers=2)
    assert [where.concurrent for _, where in scene.workers[0].jobs] == [False]


def test_a_job_that_another_run_has_done_meanwhile_is_not_done_again(scene: Scene) -> None:
    def and_the_other_run_ends(worker: FakeWorker, one: Job) -> None:
        scene.store.write(stored(job(5)))
        Scene.ends_ok(worker, one)

    scene.plays[4] = and_the_other_run_ends
    assert scene.run(job(4), job(5))
    assert [one.latent for one, _ in scene.workers[0].jobs] == [4]
    assert scene.endings[5].elsewhere
    assert [one.latent for kind, _, one, _ in scene.told if kind == "started"] == [4, 5]


@pytest.mark.parametrize("status", ["", "ok", "failed", "timed_out"])
def test_a_job_that_another_run_is_training_is_waited_for(scene: Scene, status: str) -> None:
    scene.store.prepare()
    other = leases.Leases(scene.store.parts)
    assert other.take(job(4).key)
    looks = 0

    def look() -> None:
        nonlocal looks
        looks += 1
        if looks == 20:  # then the other run ends, with a record or without
            if status:
                scene.store.write(stored(job(4), status))
            other.close()

    scene.tick = look  # type: ignore[method-assign]
    assert scene.run(job(4), job(5))
    trained = [one.latent for worker in scene.workers for one, _ in worker.jobs]
    done = status in ("ok", "failed")  # the other run's limit of time is not this one's
    assert trained == ([5] if done else [5, 4])
    assert looks >= 20
    assert scene.endings[4].elsewhere == done


def test_a_failure_that_is_to_be_retried_is_not_taken_for_another_runs_work(scene: Scene) -> None:
    scene.store.prepare()
    scene.store.write(stored(job(4), "failed", "2026-01-01T00:00:00.000+00:00"))
    scene.run(job(4))
    assert list(read(scene.store.path).jobs["status"]) == ["ok"]


def test_an_unwritable_store_ends_the_run_with_its_sentence(scene: Scene) -> None:
    scene.plays[4] = lambda worker, one: worker.say("unwritable", reason="the disk is full")
    with pytest.raises(RequestError, match="the disk is full"):
        scene.run(job(4))
    assert scene.workers[0].dead


def test_a_model_that_keeps_its_own_process_from_writing_fails_alone(
    scene: Scene, foreign: str
) -> None:
    scene.plays[4] = lambda worker, one: worker.say("unwritable", reason="file too large")
    assert scene.run(job(4, foreign), job(5, foreign), job(6))
    assert {n: e.status for n, e in scene.endings.items()} == {4: "failed", 5: "ok", 6: "ok"}
    assert "could not write its record" in scene.endings[4].reason


def test_a_record_that_the_run_writes_itself_tells_of_company(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.plays |= dict.fromkeys((4, 5), lambda worker, one: worker.end())
    for latent, others in ((4, 0), (5, 1)):
        monkeypatch.setattr(local.interference, "others", lambda others=others: others)
        scene.run(job(latent))
    rows = read(scene.store.path).jobs.set_index("latent")
    assert rows["concurrent"].to_dict() == {4: False, 5: True}


def test_a_lease_is_one_runs_and_is_given_back(tmp_path: Path) -> None:
    one, other = leases.Leases(tmp_path), leases.Leases(tmp_path)
    assert one.take("a")
    assert one.take("a")
    assert not other.take("a")
    assert other.take("b")
    one.give_up("a", done=True)
    assert not list(tmp_path.glob(".a*"))
    assert other.take("a")
    other.close()
    assert one.take("b")


def test_a_folder_without_locks_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RequestError, match="choose another folder"):
        leases.Leases(tmp_path / "file").take("a")
