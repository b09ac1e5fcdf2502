"""Grids: which jobs come out of presets, files and options, and what is said of mistakes."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import aebench
from aebench import engines
from aebench.analysis.figures import EXACT
from aebench.analysis.statistics import LEAST
from aebench.errors import RequestError
from aebench.grid import PRESETS, load_grid, size, steps
from aebench.job import Job


def test_quick_is_five_systems_of_the_study_by_the_fastest_engine() -> None:
    jobs = load_grid("quick", {"device": "cpu"}).jobs
    wanted = [("mlp", 1), ("mlp", 128), ("mlp", 512), ("conv", 1), ("conv", 16)]
    assert sorted(jobs, key=lambda job: job.key) == sorted(
        (
            Job(family, "mnist", latent, seed=0, engine=engines.choose(family, "cpu", 1).engine)
            for family, latent in wanted
        ),
        key=lambda job: job.key,
    )
    assert {(j.epochs, j.batch_size, j.learning_rate) for j in jobs} == {(15, 128, 1e-4)}


def test_study_holds_every_trained_system_of_the_study_often_enough_to_decide_it() -> None:
    jobs = [j for j in load_grid("study").jobs if not j.modified]
    seeds = Counter((j.dataset, j.architecture, j.latent, j.depth) for j in jobs)
    many, few = EXACT + 1, LEAST  # at least; as few only where one takes minutes
    assert seeds == {
        **{("mnist", "mlp", k, 1): many for k in (1, 128, 512)},
        **{("mnist", "conv", k, 1): many for k in (1, 16, 128, 512)},
        **{("mnist", "conv", k, 2): many for k in (64, 128)},  # two outcomes
        **{("mnist", "conv-relu", k, 2): few + 2 for k in (64, 128)},
        ("cifar10", "conv", 128, 1): few + 2,
        ("cifar10", "mlp-shared", 512, 1): many,
        ("cifar10", "mlp-separate", 8500, 1): few,
    }


def test_study_times_a_model_of_each_family_by_the_studys_loader_and_the_fastest_engine() -> None:
    jobs = [j for j in load_grid("study").jobs if j.modified]
    runs = Counter(
        (j.architecture, j.latent, j.depth, j.engine == "reference", j.epochs) for j in jobs
    )
    assert runs == {
        **{(*model, 1, loader, 3): 6 for model in (("mlp", 512), ("conv", 128))
           for loader in (True, False)},
        # The deeper model takes minutes an epoch, and stands beside as many of conv-128.
        **{(name, 128, 2, True, 1): LEAST for name in ("conv", "conv-relu")},
        ("conv", 128, 1, True, 1): LEAST,
    }  # fmt: skip
    assert {(j.seed, j.modified) for j in jobs} == {(0, "epochs=1"), (0, "epochs=3")}


@pytest.mark.parametrize("name", PRESETS)
def test_presets_have_only_possible_jobs_and_modify_no_protocol(name: str) -> None:
    grid = load_grid(name)
    assert grid.name == name
    assert not grid.impossible
    short = {"", "epochs=1", "epochs=3"} if name == "study" else {""}  # for times alone
    assert {job.modified for job in grid.jobs} == short


def test_products_are_united_jobs_added_and_excluded_ones_left_out(toml: Any) -> None:
    grid = toml("""
        title = "mine"
        dataset = "digits"
        [[product]]
        architecture = ["mlp", "conv"]
        latent = [2, 4]
        [[product]]  # overlaps with the first
        architecture = "mlp"
        latent = [4, 8]
        [[job]]
        architecture = "conv"
        latent = 3
        depth = 2
        [[exclude]]
        architecture = "conv"
        latent = 4
    """)
    found = sorted((j.architecture, j.latent, j.depth) for j in grid.jobs)
    assert found == [
        ("conv", 2, 1), ("conv", 3, 2), ("mlp", 2, 1), ("mlp", 4, 1), ("mlp", 8, 1),
    ]  # fmt: skip
    assert grid.name == "mine"


BASE = 'architecture = "mlp"\ndataset = "digits"\n'


def test_ranges_and_seeds(toml: Any) -> None:
    grid = toml(BASE + 'latent = ["0001..3", 8]\nseeds = 2\nrepeat = "0..1"')
    assert sorted({j.latent for j in grid.jobs}) == [1, 2, 3, 8]
    assert {(j.seed, j.repeat) for j in grid.jobs} == {(0, 0), (0, 1), (1, 0), (1, 1)}


def test_a_table_wins_over_the_file_and_an_option_over_both(toml: Any) -> None:
    text = BASE + "seeds = 3\nepochs = 4\n[[product]]\nlatent = 2\nseed = 7\nepochs = 5"
    assert [(j.seed, j.epochs) for j in toml(text).jobs] == [(7, 5)]
    forced = toml(text, seeds=2, epochs=[1], latent="3..4").jobs
    assert sorted((j.latent, j.seed, j.epochs) for j in forced) == [
        (3, 0, 1), (3, 1, 1), (4, 0, 1), (4, 1, 1),
    ]  # fmt: skip


def test_options_alone_describe_a_grid_and_defaults_yield() -> None:
    options = {"architecture": ["mlp"], "latent": [4]}
    (job,) = load_grid(None, options, {"dataset": "digits", "device": "cpu"}).jobs
    assert job == Job("mlp", "digits", 4, engine=engines.choose("mlp", "cpu").engine)
    (job,) = load_grid(None, options | {"dataset": "mnist"}, {"dataset": "digits"}).jobs
    assert job.dataset == "mnist"


def test_keys_may_be_spelled_as_options_are(toml: Any) -> None:
    (job,) = toml(BASE + "latent = 2\nbatch-size = 32\nlearning-rate = 1").jobs
    assert (job.batch_size, job.learning_rate) == (32, 1.0)
    (job,) = toml(BASE + "latent = 2\nbatch-size = 32\n[[product]]\nbatch_size = 16").jobs
    assert job.batch_size == 16


@pytest.mark.parametrize("name", ["X.TOML", "2024.toml", "a,b.Toml"])
def test_a_grid_file_may_have_any_name(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text(BASE + "latent = 2")
    assert load_grid(str(tmp_path / name)).name == name.rpartition(".")[0]


def test_an_architecture_may_have_the_name_of_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    from aebench import architectures

    for name in ("nan", "2024", "1e3"):
        architectures.architecture(name)(lambda shape, latent, depth: None)
        asked = {"architecture": name, "dataset": "digits", "latent": 2}
        assert [job.architecture for job in load_grid(None, asked).jobs] == [name]


def test_a_file_saved_with_a_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "notepad.toml"
    path.write_text(BASE + "latent = 2", "utf-8-sig")
    assert len(load_grid(str(path)).jobs) == 1


def test_shards_are_a_disjoint_cover(toml: Any) -> None:
    grid = toml(BASE.replace('"mlp"', '["mlp", "conv"]') + 'latent = "1..40"\ndepth = [1, 4]')
    assert grid.impossible
    shards = [grid.shard(i, 3) for i in (1, 2, 3)]
    assert all(shard.jobs for shard in shards)
    together = [job for shard in shards for job in shard.jobs]
    assert len(together) == len(set(together))
    assert set(together) == set(grid.jobs)
    assert {j: r for s in shards for j, r in s.impossible.items()} == grid.impossible
    for index, count in [(0, 3), (4, 3), (1, 0)]:
        with pytest.raises(RequestError, match="parts are numbered from 1"):
            grid.shard(index, count)


def test_parts_are_the_same_where_auto_means_another_engine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """So that machines with a compiler and without one divide the work and leave nothing out."""
    monkeypatch.setattr(engines, "trouble", lambda *_: "")
    grid = load_grid("quick", {"device": "cpu"})
    monkeypatch.setattr(engines, "trouble", lambda name, *_: "none" if name == "native" else "")
    other = load_grid("quick", {"device": "cpu"})
    assert {j.engine for j in grid.jobs} == {"native"}
    assert {j.engine for j in other.jobs} == {"eager"}
    for i in range(1, 4):
        parts = [{(j.architecture, j.latent) for j in g.shard(i, 3).jobs} for g in (grid, other)]
        assert parts[0] == parts[1]


@pytest.mark.parametrize("name", PRESETS)
def test_the_engine_is_auto_unless_told_otherwise(
    name: str, toml: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "choose", lambda *_, **__: engines.Choice("compiled", "so"))
    jobs = load_grid(name).jobs
    told = {(j.engine, j.engine_choice) for j in jobs}
    asked = {("reference", "given")} if name == "study" else set()  # for the times of its loader
    assert told == {("compiled", "auto: so"), *asked}
    given = load_grid(name, {"engine": "reference"}).jobs
    assert {(j.engine, j.engine_choice) for j in given} == {("reference", "given")}
    assert load_grid(name, {}, {"engine": "eager"}).jobs[0].engine == "eager"
    (job,) = toml(BASE + 'latent = 2\nengine = "eager"').jobs
    assert job.engine == "eager"


def test_running_a_shard_without_jobs_is_no_mistake(invoke) -> None:
    empty = [i for i in range(1, 10) if not load_grid("quick").shard(i, 9).jobs]
    assert empty  # five jobs in nine parts
    code, out, said = invoke("run", "--shard", f"{empty[0]}/9", "--device", "cpu")
    assert (code, out) == (0, "")
    assert "has no jobs; nothing to do" in said
    assert not list(Path.cwd().iterdir())


def test_order_is_the_same_however_the_file_is_written_and_in_blocks(toml: Any) -> None:
    text = BASE + 'latent = {}\nseed = {}\nrepeat = "0..1"'
    one = toml(text.format("[1, 2, 3, 4]", "[0, 1]")).jobs
    other = toml(text.format("[4, 2, 1, 3]", "[1, 0]")).jobs
    assert one == other
    blocks = [(job.repeat, job.seed) for job in one]
    assert blocks == sorted(blocks)
    assert [j.latent for j in one[:4]] != [1, 2, 3, 4]  # shuffled within the block


def test_ten_thousand_jobs_can_be_planned_and_sliced(toml: Any) -> None:
    # Half of them impossible, since shards once searched all jobs for each of those.
    text = 'architecture = "conv"\ndataset = ["digits", "mnist"]\ndepth = 5\nseeds = 5\n'
    grid = toml(text + 'latent = "1..1000"')
    assert (len(grid.jobs), len(grid.impossible)) == (10_000, 5_000)
    assert sum(len(grid.shard(i, 4).jobs) for i in (1, 2, 3, 4)) == 10_000


@pytest.mark.parametrize(
    ("job", "says"),
    [
        (Job("conv", "digits", 2, depth=4), "greatest depth here is 3"),
        (Job("mlp-shared", "digits", 2), "these images are grey; use mlp"),
        (Job("mlp-separate", "digits", 2), "these images are grey; use mlp"),
        (
            Job("mlp", "digits", 2, batch_size=1258),
            "more than the 1,257 training images of digits, so no full batch is left; give"
            " --batch-size 1257 or less",
        ),
    ],
)
def test_impossible_jobs_carry_the_reason(job: Job, says: str) -> None:
    fields = ("architecture", "dataset", "latent", "depth", "batch_size")
    table = {name: [getattr(job, name)] for name in fields} | {"engine": ["eager"]}
    with pytest.raises(RequestError, match=says):  # nothing else in the grid: a mistake
        load_grid(None, table)
    beside = load_grid(
        None,
        table
        | {"architecture": ["mlp", job.architecture], "batch_size": [128, job.batch_size]}
        | {"depth": [1, job.depth]},
    )
    assert says in beside.impossible[job]
    assert len(beside.impossible) < len(beside.jobs)


def test_steps_drop_the_partial_batch() -> None:
    assert steps(Job("mlp", "mnist", 1)) == 429 * 15  # the study's
    assert steps(Job("mlp", "digits", 1, batch_size=1257, epochs=2)) == 2


def test_size_is_known_before_building_except_for_a_plugin(monkeypatch: pytest.MonkeyPatch) -> None:
    from aebench import architectures

    assert size(Job("conv", "mnist", 16)).bottleneck == 10_816
    architectures.architecture("opaque")(lambda shape, latent, depth: None)
    assert size(Job("opaque", "mnist", 16)) is None


def test_planning_does_not_import_torch() -> None:
    code = (
        "import sys; from aebench.grid import load_grid; load_grid('full')\n"
        "import aebench.estimate, aebench.store, aebench.plugins, aebench.machine\n"
        "print(*{'torch', 'torchvision', 'sklearn'} & {*sys.modules})"
    )
    root = Path(aebench.__file__).parents[1]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root)
    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stderr
