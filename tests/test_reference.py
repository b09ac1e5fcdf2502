"""What is published of the reference results is what their records say, and made by one command."""

import html
import re
from dataclasses import replace
from types import SimpleNamespace

import pytest
from test_report_records import record, stored

from aebench.analysis import fitness, frames, names, outcomes, searches
from aebench.grid import load_grid
from aebench.page import answers, verdicts
from aebench.protocols import SETTINGS
from aebench.store import read
from bench import readme
from bench.committed import NAMES, ROOT, Reference

README = (ROOT / "README.md").read_text("utf-8")


@pytest.fixture(scope="module")
def made() -> dict[str, str]:
    return readme.blocks()


def test_readme_says_what_the_records_say(made: dict[str, str]) -> None:
    assert readme.filled(README, made) == README, "python3 noxfile.py -s reference"


def test_a_figure_changed_by_hand_is_found(made: dict[str, str]) -> None:
    factor = re.search(r"mlp-128 has\s+(\S+) times", README)
    assert factor is not None
    changed = README[: factor.start(1)] + "6.8" + README[factor.end(1) :]
    assert readme.filled(changed, made) == README != changed


def test_blocks_and_places_belong_together(made: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="README has the blocks"):
        readme.filled(README, made | {"new": "text"})
    with pytest.raises(ValueError, match="README has the blocks"):
        readme.filled(README, {name: made[name] for name in list(made)[1:]})


@pytest.mark.parametrize("name", NAMES)
def test_committed_reports_say_what_the_records_say(name: str) -> None:
    page = (ROOT / f"reports/reference-{name}.html").read_text("utf-8")
    known = Reference(name)
    results = fitness.marked(searches.without(known.results))
    for said in verdicts.sentences(results, known.outcomes):
        assert html.escape(said).replace("&#x27;", "&#39;") in page
    tally = outcomes.tally(known.outcomes) if outcomes.tested(known.outcomes) else {}
    for verdict, count in tally.items():
        assert f'<li class="{verdict.replace(" ", "-")}"><b>{count}</b>' in page


def test_trainings_of_the_study_are_counted_once_whatever_engine_made_them(made) -> None:
    jobs = Reference("study").results.jobs
    models = jobs[["dataset", "architecture", "latent", "depth", "seed", "repeat", "epochs"]]
    there = len(models.assign(loop=jobs["engine"].eq("reference")).drop_duplicates())
    planned = len(load_grid("study").jobs)
    far = "all of" if there == planned else f"so far {there} of"
    assert f"{far} its {planned} trainings" in made["study"].replace("\n", " ")


def test_only_times_that_are_fit_to_compare_are_called_so(tmp_path) -> None:
    shared = record("mlp", 4, seed=1, row={"concurrent": True})
    said = readme._fit(stored(tmp_path / "a", shared))
    assert said.startswith("None of their times is fit")
    said = readme._fit(stored(tmp_path / "b", shared, record("mlp", 4, seed=2)))
    assert said.startswith("Of these, 1 time is fit")


def test_readme_says_how_many_repeats_find_how_much() -> None:
    measured = """
2026-11-30, Intel(R) Xeon(R) Processor, 2 CPU cores, 2 threads, load average 1.7 at most

9 comparisons of 4 processes a side
same: 1 of 9 find a difference (Wilson's 95 % interval of the share: 2 to 44 %), mean ratio 1.0
slowed: 2 of 5 find a difference (Wilson's 95 % interval of the share: 12 to 77 %), mean ratio 1.05
taken 2 at a time, 8 processes a side
same: 0 of 4 find a difference (Wilson's 95 % interval of the share: 0 to 49 %), mean ratio 1.0
slowed: 2 of 2 find a difference (Wilson's 95 % interval of the share: 34 to 100 %), mean ratio 1.05
"""
    said = readme.repeats(measured)
    assert "On 2 cores of an Intel Xeon, 1 of 9 comparisons" in said
    assert "with itself, 4 processes a side, found" in said
    assert "was found in 2 of 5 by 4 and 2 of 2 by 8 processes a side (" in said


@pytest.mark.parametrize("folder", sorted(ROOT.glob("results/reference-*")), ids=lambda f: f.name)
def test_commands_of_published_records_name_no_place_of_one_machine(folder) -> None:
    commands = set(read(folder).jobs["command"])
    assert commands
    assert not [command for command in commands if re.search(r"[ =]/", command)]


def test_the_table_tells_the_five_apart_and_has_every_figure(made: dict[str, str]) -> None:
    outcomes = Reference("study").outcomes
    table = made["findings"]
    for outcome in outcomes:
        assert f"`{outcome.finding.id}`" in table
        if outcome.ours is not None:
            assert f"| `{outcome.finding.id}` | {outcome.answer} |" in table
    counts = re.findall(
        r"(\d+) (?:replicates?|is|are|does not|do not|was|were) ?", made["study"].replace("\n", " ")
    )
    assert sum(map(int, counts)) == len(outcomes)


def test_grid_best_trains_the_models_of_the_answer() -> None:
    """Else who runs it gets other figures than README's."""
    stored = searches.without(Reference("best").results)
    tuned = replace(stored, jobs=stored.jobs[stored.jobs["protocol"] == "tuned"])
    planned: dict[tuple, set[tuple]] = {}
    for job in load_grid("best").jobs:
        settings = (job.depth, job.options, *(getattr(job, name) for name in SETTINGS))
        planned.setdefault((job.dataset, job.architecture, job.latent), set()).add(settings)
    jobs = tuned.jobs.assign(settings=names.settings(tuned.jobs, without="precision"))
    cells = 0
    for answer in answers.answers(tuned):
        for code in answer.codes.to_dict("records"):
            model = {name: code[name] for name in ("dataset", "settings", *frames.MODEL)}
            row = frames.matching(jobs, model).iloc[0]
            cell = (code["dataset"], code["family"], int(code["bottleneck"]))
            trained = (row["depth"], row["options"] or "", *(row[name] for name in SETTINGS))
            assert trained in planned[cell], cell
            cells += 1
    assert cells >= 20


@pytest.mark.slow
def test_readme_answers_from_what_was_trained_properly_on_every_data_set(tmp_path) -> None:
    code = {"bottleneck": 8, "pca_mse": 0.03}

    def models(dataset, families, errors, **fields):
        return [
            record(family, 8, 78 * e, dataset=dataset, seed=s, row=code, **fields)
            for family, factor in families.items()
            for s, e in enumerate(factor * e for e in errors)
        ]

    both, tuned = {"mlp": 2.0, "conv-bottleneck": 1.0}, {"protocol": "tuned"}
    records = [
        *models("mnist", both, (0.01, 0.0101, 0.0102), **tuned),
        *models("mnist", {"mlp": 0.1}, (0.01, 0.0101, 0.0102)),  # better, but not tuned
        *models("digits", {"mlp": 1.0}, (0.01,), **tuned),
    ]
    best = SimpleNamespace(results=frames.ordered(stored(tmp_path, *records)), name="best")
    study = Reference("study")
    made = readme.trained_properly(study, best)
    said = " ".join(made.split())
    assert re.search(r": 7 trainings of [0-9to ]+ epochs: \[report\]\(reports/reference-best", said)
    first = (
        "- On MNIST at equal bottleneck conv-bottleneck is better than mlp at 8 numbers: mlp-8 has "
        "2.00 times the test MSE of conv-bottleneck-8 (95 % interval 2.00 to 2.00)."
    )
    assert first in said
    assert "- On digits (" not in said  # where only one family was trained
    table = [line for line in made.splitlines() if line.startswith("|")]
    assert (
        table[0] == "| images | numbers in the code | `mlp` | `conv-bottleneck` | PCA | published |"
    )
    # A family that is better is bold, few seeds are told, and an empty place is one.
    assert table[2:] == [
        "| MNIST | 8 | 0.0202 | **0.0101** | 0.0300 | – |",
        "| digits (scikit-learn) | 8 | 0.0100 (one seed) | – | 0.0300 | – |",
    ]
    assert "More epochs" not in said
    edged = best.results.jobs.assign(settings_from="grid g, at_edge epochs")
    best.results = replace(best.results, jobs=edged)
    assert "of all of them the errors" in " ".join(readme.trained_properly(study, best).split())
    real = readme.trained_properly(study, Reference("best"))
    assert first not in " ".join(real.split())
    # The nearest published figure stands beside ours, and says where it is if not at that code.
    assert re.search(r"\| MNIST \| 32 \| .* \| 0\.00383 \(Hinton 2006, at 30\) \|", real)
