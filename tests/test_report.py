"""The report as a whole, and its tables, charts and words one by one."""

import dataclasses
import re
import subprocess
import sys
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest
from test_report_records import CPU, MEAN_MSE, failure, record, stored, strip, study

from aebench.analysis import findings, fitness, frames, words
from aebench.errors import RequestError
from aebench.page import charts as page_charts
from aebench.page import (
    headline,
    learning_curves,
    noise,
    pictures,
    reconstruction,
    render,
    timing,
    verdicts,
)
from aebench.page import records as page_records
from aebench.page.html import page
from aebench.page.svg import spread
from aebench.store import Record, Results, Store

VOID = {"meta", "link", "img", "input", "br"}


class Checked(HTMLParser):
    """Collects ids, tags and text, and fails on tags that do not match."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.tags: list[tuple[str, dict]] = []
        self.open: list[str] = []
        self.feed(text)
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list) -> None:
        found = dict(attrs)
        self.tags.append((tag, found))
        self.ids += [found["id"]] if "id" in found else []
        self.links += [found[n] for n in ("href", "xlink:href", "src") if n in found]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def varied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Several datasets, engines and machines, failures, a torn file."""
    folder = tmp_path_factory.mktemp("varied")
    gpu = {"device": "cuda", "engine": "reference"}
    stored(
        folder,
        *study(3),
        *(record("mlp", k, dataset="digits", seed=s, epochs=2) for k in (4, 16) for s in (0, 1)),
        *(record("conv", k, dataset="digits", epochs=2) for k in (1, 4)),
        *(record("mlp", 512, repeat=r, seconds=20 + r, **gpu) for r in range(3)),
        *(record("conv", 128, repeat=r, seconds=26 + r, **gpu) for r in range(3)),
        record("mlp", 32, row={"concurrent": True}),
        failure(reason="<script>alert('reason')</script>"),
        failure("mlp", 77, status="out_of_memory", reason="CUDA out of memory"),
    )
    (folder / "parts" / "torn.parquet").write_bytes(b"PAR1 not at all")
    return folder


@pytest.fixture(scope="module")
def html(varied: Path) -> str:
    output = varied / "new" / "report.html"
    assert render(str(varied), output) == output
    assert [p.name for p in output.parent.iterdir()] == ["report.html"]
    assert output.stat().st_size < 1_500_000
    return output.read_text(encoding="utf-8")


# The page


def test_page_is_well_formed_and_its_ids_are_unique(html: str) -> None:
    checked = Checked(html)
    assert len(checked.ids) == len(set(checked.ids))
    assert ("html", {"lang": "en"}) in checked.tags
    anchors = [link[1:] for link in checked.links if link.startswith("#")]
    assert set(anchors) <= set(checked.ids)
    for reference in re.findall(r"url\(#([^)]+)\)", html):
        assert reference in checked.ids


def test_page_needs_nothing_from_outside(html: str) -> None:
    checked = Checked(html)
    assert all(link.startswith(("#", "data:")) for link in checked.links)
    policy = next(a["content"] for t, a in checked.tags if a.get("http-equiv"))
    assert policy == (
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
    )
    assert "@import" not in html
    assert set(re.findall(r"url\(\s*['\"]?(.)", html)) == {"#"}


def test_tables_and_charts_are_accessible(html: str) -> None:
    checked = Checked(html)
    count = [tag for tag, _ in checked.tags].count
    assert count("table") == count("caption") > 10
    assert all("scope" in attrs for tag, attrs in checked.tags if tag == "th")
    assert all(attrs.get("alt") for tag, attrs in checked.tags if tag == "img")
    charts = [attrs for tag, attrs in checked.tags if tag == "svg" and "aria-hidden" not in attrs]
    assert len(charts) > 8
    assert all(c["role"] == "img" and c["aria-label"] for c in charts)
    assert count("figcaption") == count("figure") > 8
    assert len(re.findall("Data of this chart", html)) == len(charts)


def test_verdicts_are_words_and_symbols(html: str) -> None:
    assert re.search(r'class="verdict replicated">✔ replicated', html)
    assert re.search(r'class="verdict undecided">\? undecided', html)
    assert (
        "Of the study&#39;s 23 findings 21 replicate, 0 are consistent with fewer than 3 seeds, "
        "0 do not replicate, 2 are undecided and 0 were not tested." in html
    )
    for verdict, count in (("consistent", 0), ("undecided", 2), ("not-tested", 0)):
        assert re.search(rf'<li class="{verdict}"><b>{count}</b>', html)
    # Each of the five has a look of its own.
    looks = re.findall(
        r"^\.(replicated|consistent|not-replicated|undecided|not-tested) (\{.*\})$", html, re.M
    )
    assert len(looks) == len({look for _, look in looks}) == 5
    assert len(set(verdicts.SYMBOLS.values())) == 5


@pytest.mark.usefixtures("undrawn")
def test_one_seed_is_not_shown_as_replicated(tmp_path: Path) -> None:
    text = page(stored(tmp_path, *study(1)))
    assert 'class="verdict consistent">≈ consistent, one seed<' in text
    assert 'class="verdict replicated"' not in text
    assert '<li class="replicated"><b>0</b>' in text
    assert "0 replicate, 21 are consistent with fewer than 3 seeds" in text


def test_page_tells_failures_gaps_and_problems(html: str) -> None:
    assert "1 failed and 1 out of memory" in html
    assert "CUDA out of memory" in html
    assert "1 finished job is left out" in html
    assert "torn.parquet: unreadable" in html
    assert 'class="missing">none' in html


def test_fields_cannot_inject_anything(varied: Path, html: str) -> None:
    assert "<script>alert" not in html
    assert "&lt;script&gt;alert(&#39;reason&#39;)&lt;/script&gt;" in html
    evil = '"><script>alert(1)</script>'
    row = {"architecture": evil, "dataset": evil, "device_name": evil, "torch": evil}
    results = stored(varied.parent / "evil", record("mlp", 4, row=row), record("mlp", 5, row=row))
    text = page(results)
    Checked(text)
    assert text.count("<script") == 1


def test_same_results_give_the_same_bytes_in_any_order(varied: Path, html: str) -> None:
    results = Store(varied).read()
    shuffled = Results(
        *(
            getattr(results, name).sample(frac=1, random_state=3)
            for name in ("jobs", "epochs", "samples", "baselines", "probes")
        ),
        problems=results.problems[::-1],
    )
    assert page(shuffled) == html
    assert str(varied) not in html


@pytest.mark.usefixtures("undrawn")
def test_compacted_results_give_the_same_bytes(tmp_path: Path) -> None:
    records = [record("mlp", 4, dataset="digits"), failure()]
    before = page(stored(tmp_path, *records))
    Store(tmp_path).compact()
    assert page(Store(tmp_path).read()) == before


@pytest.mark.parametrize(
    "records",
    [
        pytest.param([], id="nothing"),
        pytest.param([failure()], id="one failure"),
        pytest.param([record("mlp", 4, dataset="digits")], id="one job"),
        pytest.param([record("mlp", 4, epochs=1)], id="one epoch"),
        pytest.param([record("conv", 1, row={"concurrent": True})], id="no times"),
        pytest.param([record("mine", 4, dataset="digits")], id="a plugin's architecture"),
        pytest.param(
            [record("mlp", 4, row={"mean_mse": None, "pca_mse": None, "train_s": None})],
            id="nulls",
        ),
        pytest.param(
            [dataclasses.replace(record("mlp", 4), epochs=(), samples=(), baselines=(), probes=())],
            id="jobs table only",
        ),
        pytest.param(
            [record("conv", k, depth=d) for k in (1, 2, 4, 8, 16, 32, 64) for d in (1, 2, 3, 4)],
            id="many lines",
        ),
    ],
)
def test_whatever_is_there_renders(tmp_path: Path, records: list) -> None:
    text = page(stored(tmp_path, *records))
    Checked(text)
    assert "Findings of the study, judged" in text
    assert not re.search(r"\bnan\b|>None<", text)
    if not any(r.job["status"] == "ok" for r in records):
        assert "<svg" not in text
        assert "No finished job has an error to show." in text


def test_missing_folder_is_the_users_to_mend(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="no results at"):
        render(tmp_path / "nowhere", tmp_path / "report.html")
    assert not (tmp_path / "report.html").exists()


def test_importing_the_report_is_light_and_rendering_needs_no_torch(tmp_path: Path) -> None:
    stored(tmp_path, record("mlp", 4, dataset="digits"))
    code = (
        "import sys; from pathlib import Path; from aebench.page import render\n"
        "heavy = {'pandas', 'matplotlib', 'seaborn', 'scipy', 'torch', 'jinja2'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
        f"render({str(tmp_path)!r}, Path({str(tmp_path / 'r.html')!r}))\n"
        "assert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# Tables


def test_time_table_compares_only_what_is_alike(varied: Path) -> None:
    timed = frames.timed(frames.ordered(Store(varied).read()).jobs)
    assert not timed["concurrent"].any()
    groups = [g for _, rows in frames.by_dataset(timed, "settings") for g in frames.alike(rows)]
    assert len(groups) == 4
    for group in groups:
        assert len(group.drop_duplicates(frames.ALIKE)) == 1
    table = timing.times(groups[1], "caption")
    assert [row[0].text for row in table.rows] == ["mlp-512", "conv-128"]
    assert table.rows[0][5].text == "1 (reference)"
    assert table.rows[1][5].value == pytest.approx(27 / 21, rel=0.01)
    assert table.rows[0][4].look == "warn"  # 20, 21, 22 s: a spread of 9.5 %


def test_without_the_study_the_fastest_is_the_reference(tmp_path: Path) -> None:
    records = [record("mlp", k, seconds=s) for k, s in ((4, 3.0), (8, 2.0), (16, 5.0))]
    jobs = frames.ordered(stored(tmp_path, *records)).jobs
    rows = frames.times(frames.timed(jobs))
    assert rows.iloc[timing.reference(rows)]["latent"] == 8


def test_error_table_marks_what_compresses_nothing_or_loses_to_the_mean(tmp_path: Path) -> None:
    results = frames.ordered(stored(tmp_path, record("mlp", 1, 9.17), record("conv", 16)))
    table = reconstruction.errors(frames.summary(results.jobs), "caption")
    heads = [column.name for column in table.columns]
    mlp, conv = (dict(zip(heads, row, strict=True)) for row in table.rows)
    assert mlp["MSE / mean image"].look == "warn"
    assert mlp["MSE / mean image"].value == pytest.approx(9.17 / 78 / MEAN_MSE["mnist"])
    assert conv["compression"].look == "warn"
    assert conv["PCA MSE"].text == words.NONE


def test_coverage_counts_every_ending(tmp_path: Path) -> None:
    results = stored(
        tmp_path, record("mlp", 4), record("mlp", 4, seed=1), failure("mlp", 4, seed=2),
        failure("mlp", 8, status="timed_out"), record("conv", 8),
    )  # fmt: skip
    table = page_records.coverage(frames.ordered(results).jobs, "caption")
    cells = {row[0].text: [cell.text for cell in row[1:]] for row in table.rows}
    assert cells == {"mlp": ["✔ 2 ok, ✘ 1 failed", "✘ 1 timed_out"], "conv": ["none", "✔ 1 ok"]}


def test_jobs_table_has_every_job_and_download_every_column(html: str) -> None:
    import base64
    import io

    import pandas as pd

    found = re.search(r'href="data:text/csv;charset=utf-8;base64,([^"]+)"', html)
    assert found is not None
    frame = pd.read_csv(io.BytesIO(base64.b64decode(found[1])))
    assert len(frame) == 51
    assert {"key", "reason", "command", "started_at", "commit"} <= set(frame.columns)
    body = html[html.index('id="jobs-table"') :]
    assert body[: body.index("</table>")].count("<tr>") == 52


# Times that `aebench check` rejects


def doubtful(folder: Path) -> Results:
    """conv-1 is fit, conv-4 has one fit run of two, the MLP is contended."""
    busy = {"pressure_s": 50.0}
    records = [
        record("conv", 1, seconds=1.0),
        record("conv", 4, seconds=2.0),
        record("conv", 4, seconds=2.01, repeat=1, row=busy),
        record("mlp", 512, seconds=8.0, row=busy),
    ]
    return fitness.marked(frames.ordered(stored(folder, *records)))


def test_rejected_times_are_marked_and_in_no_ratio(tmp_path: Path) -> None:
    results = doubtful(tmp_path)
    (group,) = frames.alike(frames.timed(results.jobs))
    table = timing.times(group, "caption")
    at = {column.name: i for i, column in enumerate(table.columns)}
    rows = {row[0].text: row for row in table.rows}
    mlp = rows["mlp-512"]
    assert mlp[at["check"]].text == "✘ rejected: contended"
    assert mlp[at["check"]].look == "warn"
    assert mlp[at["train_s"]].value == 8.0
    assert mlp[at["factor"]].text == words.NONE
    # mlp-512 is the usual reference; a time that is rejected cannot be.
    assert rows["conv-1"][at["factor"]].text == "1 (reference)"
    half = rows["conv-4"]
    assert (half[at["runs"]].value, half[at["train_s"]].value) == (1, 2.0)
    assert half[at["factor"]].value == pytest.approx(2.0)
    assert half[at["check"]].text == "✔ passes"
    assert half[at["check"]].small == ("✘ 1 more run rejected: contended",)


def test_the_page_carries_what_check_says_to_every_time(tmp_path: Path) -> None:
    results = doubtful(tmp_path)
    text = page(results)
    times = text[text.index('<section id="times"') : text.index('<section id="phases"')]
    assert "aebench check rejects 2 of these 4 times" in times
    assert "contended: Something else used the machine" in times
    assert "prefer a machine of your own" in times
    assert "Of 4 times taken with the machine to itself aebench check rejects 2" in text
    phases = text[text.index('<section id="phases"') : text.index('<section id="curves"')]
    assert ">✘ mlp-512<" in phases
    assert ">conv-1<" in phases
    assert "rejected by aebench check" in phases
    jobs = text[text.index('id="jobs-table"') :]
    assert jobs.count("✘ rejected: contended") == 2
    assert jobs.count("✔ passes") == 2
    quiet = page(stored(tmp_path / "quiet", record("conv", 1), record("mlp", 512)))
    assert "aebench check passes all 2 of these times." in quiet
    assert "rejected: " not in quiet


# Frames, charts, pictures, words


def sentences(folder: Path, *records: Record) -> str:
    results = fitness.marked(frames.ordered(stored(folder, *records)))
    return " ".join(headline.sentences(results, findings.evaluate(results)))


def test_headline_tells_what_is_worse_than_the_mean_image(tmp_path: Path) -> None:
    worse = {"mean_mse": 0.1, "pca_mse": 0.05}
    records = [record("mlp", 1, 78 * 0.12, row=worse), record("mlp", 8, 78 * 0.09, row=worse)]
    text = sentences(tmp_path, *records)
    assert "Under the study's protocol mlp-1 on MNIST does worse than the mean image" in text
    assert "mlp-8 on MNIST does worse" not in text
    assert "have 1.8 (mlp-8 on MNIST) to 2.4 (mlp-1 on MNIST) times the error of PCA" in text
    assert "mean image" not in sentences(tmp_path / "none", records[1])


def test_one_statistic_for_one_model_throughout(tmp_path: Path) -> None:
    # Geometric mean 0.04, median 0.0356, arithmetic mean 0.0536: told apart in every place.
    errors = (0.015, 0.0356, 0.12)
    assert words.number(0.04, 2) == words.number((errors[0] * errors[1] * errors[2]) ** (1 / 3), 2)
    records = [
        record("mlp", 8, 78 * e, seed=s, losses=(1.0, e), epochs=2, row={"modified": ""})
        for s, e in enumerate(errors)
    ]
    results = fitness.marked(frames.ordered(stored(tmp_path, *records)))
    (model,) = frames.summary(results.jobs).to_dict("records")
    assert model["mse"] == pytest.approx(0.04, rel=0.01)
    assert (model["n_seeds"], model["study_error"]) == (3, pytest.approx(78 * 0.04, rel=0.01))
    last = frames.curves(results).iloc[-1]
    assert last["val_mse"] == pytest.approx(0.04, rel=0.01)
    assert last["train_mse"] == pytest.approx(1.15 * 0.04, rel=0.01)


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


def test_systems_of_one_name_and_different_code_stay_apart(tmp_path: Path) -> None:
    results = stored(tmp_path, *(record("mine", 4, 1.0 + s, seed=s) for s in range(3)))

    def named(**columns) -> list[str]:
        jobs = results.jobs.sort_values("seed").assign(**columns)
        summary = frames.summary(frames.ordered(dataclasses.replace(results, jobs=jobs)).jobs)
        return sorted(f"{r['architecture']}: {r['n_seeds']}" for _, r in summary.iterrows())

    assert named() == ["mine: 3"]
    assert named(code=["abcdef01"] * 3) == ["mine: 3"]
    assert named(code=["abcdef01", "abcdef01", "12345678"]) == [
        "mine (code 123456): 1", "mine (code abcdef): 2",
    ]  # fmt: skip
    assert named(code=[None, "", "12345678"]) == ["mine (code 123456): 1", "mine: 2"]


def test_data_of_one_name_and_different_pixels_stay_apart(tmp_path: Path) -> None:
    records = [
        record("mlp", 4, seed=s, row={"data_sha256": sha})
        for s, sha in enumerate(["aa" * 32, "bb" * 32, None])
    ]
    summary = frames.summary(frames.ordered(stored(tmp_path, *records)).jobs)
    assert sorted(summary["dataset"]) == ["mnist", "mnist (pixels aaaaaa)", "mnist (pixels bbbbbb)"]


def test_repeats_do_not_count_as_seeds(tmp_path: Path) -> None:
    records = [record("mlp", 4, 1.0, seed=s, repeat=r) for s in (0, 1) for r in (0, 1, 2)]
    row = frames.summary(frames.ordered(stored(tmp_path, *records)).jobs).iloc[0]
    assert (row["n_jobs"], row["n_seeds"]) == (6, 2)


def test_changed_settings_stay_apart(tmp_path: Path) -> None:
    records = [record("mlp", 4), record("mlp", 4, epochs=2), record("mlp", 4, precision="bf16")]
    summary = frames.summary(frames.ordered(stored(tmp_path, *records)).jobs)
    assert list(summary["settings"]) == ["study", "study with bf16", "study with epochs=2"]


def test_baselines_fall_back_on_the_jobs(tmp_path: Path) -> None:
    bare = dataclasses.replace(record("mlp", 4), baselines=())
    curve = frames.baseline_curve(stored(tmp_path, bare), "mnist")
    assert curve.to_dict("records") == [{"components": 0, "mse": MEAN_MSE["mnist"]}]


def test_charts_follow_the_theme(varied: Path) -> None:
    results = frames.ordered(Store(varied).read())
    summary, seeds = frames.summary(results.jobs), frames.seeds(results.jobs)
    rows, points = (f[f["dataset"] == "mnist"] for f in (summary, seeds))
    curve = frames.baseline_curve(results, "mnist")
    charts = [
        reconstruction.by_latent(rows, points, curve, "a <label>"),
        reconstruction.by_bottleneck(rows, points, curve, "another"),
    ]
    for chart in charts:
        assert chart.startswith("<svg ")
        assert "currentColor" in chart
        assert "var(--series-0)" in chart
        assert not re.search(r"#[0-9a-f]{6}\b", chart)
        assert "no compression" in chart or chart is charts[0]
    assert 'aria-label="a &lt;label&gt;"' in charts[0]


def test_models_worse_than_every_baseline_keep_the_baselines_in_sight(tmp_path: Path) -> None:
    results = frames.ordered(stored(tmp_path, record("mlp", 16, 14.0, dataset="digits")))
    summary, seeds = frames.summary(results.jobs), frames.seeds(results.jobs)
    curve = frames.baseline_curve(results, "digits")
    chart = reconstruction.by_latent(summary, seeds, curve, "label")
    assert "PCA" in chart
    lowest = curve.loc[curve["components"] <= 16, "mse"].min()
    ticks = [float(t) for t in re.findall(r">\s*(0\.\d+)</text>", chart)]
    assert min(ticks) < 10 * lowest


def test_labels_are_pushed_apart_but_stay_in_order() -> None:
    assert spread([1, 50, 100], 10) == [1, 50, 100]
    assert spread([10, 10, 10], 10) == pytest.approx([0, 10, 20])
    assert spread([], 10) == []
    moved = spread([0, 4, 9, 60, 61], 10)
    assert all(b - a >= 10 - 1e-9 for a, b in pairwise(moved))


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


def test_models_trained_with_noise_stand_beside_those_trained_without(tmp_path: Path) -> None:
    records = [
        *(record("mlp", 32, 1.0, seed=s, denoised={0.3: 0.04, 0.8: 0.1}) for s in (0, 1)),
        record("mlp", 32, 1.1, train_noise=0.3, denoised={0.3: 0.02, 0.8: 0.05}),
    ]
    results = frames.ordered(stored(tmp_path, *records))
    section = noise.section(results)
    (chart,), (strangers,) = section.charts, section.tables
    assert "trained with noise" in chart.svg
    assert "32, noise 0.3" in chart.svg
    (table,) = chart.tables
    at = [column.name for column in table.columns].index("0.3")
    shown = {tuple(c.text for c in row[:3]): row[at].value for row in table.rows[3:]}
    assert shown == {
        ("mlp-32", "clean", "2"): pytest.approx(0.04),
        ("mlp-32", "noise 0.3", "1"): pytest.approx(0.02),
    }
    assert [row[at].value for row in table.rows[:3]] == [
        pytest.approx(x) for x in (0.09, 0.054, 0.0674)
    ]
    # PCA of 32 of 784 numbers keeps so much of the noise's energy.
    pca = table.rows[3][[c.name for c in table.columns].index("PCA at 0.3")].value
    own = results.jobs["pca_mse"].iloc[0]
    assert pca == pytest.approx(own + 0.3**2 * 32 / 784)
    # 0.04 lies below the mean image and below what clipping gives, 0.1 does not.
    assert (
        "on clean images, 1 of 1 at amplitude 0.3 and 0 of 1 at amplitude 0.8" in section.lists[0]
    )
    assert [c.name for c in strangers.columns[4:]] == ["china.jpg"]  # digits were not in the cache
    assert strangers.rows[2][4].small == ("16 × own",)  # 0.2 against 1 / 78


def test_records_of_before_the_probes_render_without_them(tmp_path: Path) -> None:
    bare = dataclasses.replace(record("mlp", 32), probes=())
    section = noise.section(frames.ordered(stored(tmp_path, bare)))
    assert section.intro == ("No finished job left probes.",)
    assert not section.charts


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


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.605, "0.605"), (2.16, "2.16"), (0.0242, "0.0242"), (12.345, "12.3"), (123.4, "123"),
        (10816, "10,816"), (0.000012345, "1.23 × 10⁻⁵"), (0, "0"), (None, "–"),
        (float("nan"), "–"), (9.999, "10.0"), (float("inf"), "inf"), (-0.5, "-0.500"),
    ],
)  # fmt: skip
def test_numbers(value: float, text: str) -> None:
    assert words.number(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(10816, "10,816"), (7.6, "8"), (None, "–"), (float("inf"), "–")]
)
def test_counts(value: float, text: str) -> None:
    assert words.count(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(0.2, "0.2"), (0.18, "0.18"), (0.185, "0.185"), (1e-5, "1 × 10⁻⁵")]
)
def test_ticks(value: float, text: str) -> None:
    assert words.tick(value) == text


def test_conditions_name_what_must_be_alike() -> None:
    row = CPU | {"device": "cpu", "engine": "eager", "precision": "fp32"}
    text = words.conditions(row)
    assert text == (
        "Intel Xeon Platinum 8275CL, cpu, engine eager, fp32, 2 threads, torch 2.11.0, "
        "machine 0f1e2d3c"
    )
    assert words.listed(["a", "b", "c"]) == "a, b and c"


@pytest.mark.usefixtures("undrawn")
def test_kernels_stand_beside_times_only_where_they_differ(tmp_path: Path) -> None:
    def timed(*kernels):
        records = [
            record("mlp", 4 + i, dataset="digits", row={"kernels": k})
            for i, k in enumerate(kernels)
        ]
        results = stored(tmp_path / "-".join(map(str, kernels)), *records)
        (group,) = frames.alike(frames.timed(frames.ordered(results).jobs))
        return timing.times(group, "caption"), page(results)

    said = "has nothing faster for"
    for alike in (["torch", "torch"], [None, None]):
        table, text = timed(*alike)
        assert "kernels" not in [c.name for c in table.columns]
        assert said not in text
    table, text = timed("linear=onednn", "torch", None)
    assert table.columns[-1].name == "kernels"
    assert [row[-1].text for row in table.rows] == ["linear=onednn", "torch", words.NONE]
    assert said in text
    # Layers of other kinds have other kernels: nothing that is unfair to either.
    table, text = timed("linear=onednn", "conv=onednn conv_transpose=product")
    assert table.columns[-1].name == "kernels"
    assert said not in text
    assert said in timed("linear=onednn", "conv=onednn conv_transpose=product+torch")[1]


# In a browser


@pytest.mark.browser
def test_page_runs_in_chromium(html: str, tmp_path: Path) -> None:
    import shutil

    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    browser = next(filter(None, map(shutil.which, names)), None)
    if browser is None:
        pytest.skip(f"no Chromium: none of {', '.join(names)} is installed")
    # A script of the test's own sorts and filters; what it found is read from the DOM.
    probe = """<script>
      document.querySelector('#findings-table thead button').click();
      const input = document.querySelector('#jobs input');
      input.value = 'conv failed'; input.dispatchEvent(new Event('input'));
      document.querySelector('.theme').click();
      const shown = [...document.querySelectorAll('#jobs-table tbody tr')].filter(r => !r.hidden);
      const wide = document.documentElement.scrollWidth - innerWidth;
      document.title = [shown.length, document.documentElement.dataset.theme, wide <= 0,
        document.querySelector('#findings-table th').getAttribute('aria-sort')].join(' ');
    </script></body>"""
    file = tmp_path / "report.html"
    file.write_text(html.replace("</body>", probe), encoding="utf-8")
    done = subprocess.run(
        [
            browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic",
            "--no-first-run", "--disable-background-networking", "--disable-component-update",
            "--disable-sync", f"--user-data-dir={tmp_path / 'profile'}", "--window-size=400,900",
            "--enable-logging=stderr", "--dump-dom", file.as_uri(),
        ],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    # Console errors and violations of the content policy both end up there.
    console = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    assert not console
    assert 'id="findings-table"' in done.stdout
    assert "<title>1 dark true ascending</title>" in done.stdout
