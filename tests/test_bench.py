"""The timing suites: collectable, kept out of the tests, right in their arithmetic."""

import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest

from aebench.datasets import DataUnavailable
from aebench.engines import compiler
from bench import checklist, results, roofline

DEVICES = ("cpu", "cuda")
ROOT = Path(__file__).resolve().parent.parent


def run_pytest(*words, **variables):
    plain = ("-p", "no:cacheprovider", "-p", "no:hypothesispytest", "-p", "no:xdist")
    command = [sys.executable, "-m", "pytest", *plain, *words]
    env = os.environ | variables
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True)


@pytest.fixture(scope="module")
def collected():
    """What each device collects: the two at once, for each imports torch."""

    def collect(device, marker):
        words = ("bench", "--benchmark-only", "--collect-only", "-q", "-m", marker)
        return run_pytest(*words, AEBENCH_DEVICE=device)

    with ThreadPoolExecutor() as pool:
        return dict(zip(DEVICES, pool.map(collect, DEVICES, ("not cuda", "cuda")), strict=True))


@pytest.mark.slow
def test_every_suite_is_collected_with_every_engine(collected):
    from aebench.engines import ENGINES

    collected = collected["cpu"]
    assert collected.returncode == 0, collected.stdout + collected.stderr
    suites = ["step", "epoch", "evaluation", "data_start_up", "planning", "reading", "rendering"]
    for suite in [*suites, "grid", "overhead"]:
        assert f"::test_{suite}" in collected.stdout
    for engine in set(ENGINES) - {"reference"}:
        for case in ("mlp-512", "conv-16"):
            assert f"test_step[cpu-{engine}-{case}]" in collected.stdout


@pytest.mark.slow
def test_device_suites_carry_the_marker_of_their_device(collected):
    found = collected["cuda"]
    assert "test_step[cuda-eager-mlp-512]" in found.stdout, found.stdout
    assert "test_planning" not in found.stdout


@pytest.mark.parametrize(
    ("setting", "value"), [("DEVICE", "tpu"), ("ROUNDS", "0"), ("ROUNDS", "-1"), ("ROUNDS", "x")]
)
def test_wrong_settings_end_with_a_word(monkeypatch, setting, value):
    from bench import conftest

    monkeypatch.setattr(conftest, setting, value)
    with pytest.raises(pytest.UsageError, match=f"AEBENCH_{setting} is .* not {value!r}"):
        conftest.pytest_configure(SimpleNamespace(stash={}))


def test_the_tests_alone_run_no_suite(request):
    assert request.config.getini("testpaths") == ["tests"]


# ---- RESULTS.md


def test_new_figures_replace_only_their_own_section():
    text = results.RESULTS.read_text(encoding="utf-8")
    new = results.replace(text, "suites-cpu", "x  1\\2\n")
    assert "<!-- begin suites-cpu -->\n```text\nx  1\\2\n```\n<!-- end suites-cpu -->" in new
    assert results.replace(new, "suites-cpu", "y") == results.replace(text, "suites-cpu", "y")
    assert (
        new.partition("<!-- end suites-cpu -->")[2] == text.partition("<!-- end suites-cpu -->")[2]
    )
    for section in ("peers-cpu", "suites-cuda", "peers-cuda"):
        results.replace(text, section, "z")
    with pytest.raises(ValueError, match="marks"):
        results.replace(text, "no-such-section", "z")


def test_readme_s_speed_is_that_of_the_published_steps():
    published = results.RESULTS.read_text(encoding="utf-8")
    table = published.partition("<!-- begin roofline-cpu -->")[2].partition("<!-- end")[0]
    rows = [re.split(r"\s{2,}", line.strip()) for line in table.splitlines()]
    known = {row[0]: row for row in rows if len(row) == 11}
    ratio, fraction = {"eager": 5, "native": 8}, 9  # columns
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    shown = readme.partition("| times the study's loop |")[2].partition("\n\n")
    head, _, *lines = ("|" + shown[0]).splitlines()
    models = [m.strip().replace(" of depth", " depth") for m in head.strip("| ").split("|")]
    assert len(lines) == len(ratio)
    for line in lines:
        engine, *values = (cell.strip(" `") for cell in line.strip("| ").split("|"))
        times = [float(known[model][ratio[engine]]) for model in models]
        expected = [f"{x:.0f}" if x >= 9.5 else f"{x:.1f}" for x in times]
        assert values == expected, engine
    shares = ", ".join(known[model][fraction] for model in models[:-1])
    assert f"reaches {shares} and {known[models[-1]][fraction]} of" in shown[2].replace("\n", " ")


def test_results_are_refused_where_suites_would_skip_for_want_of_mnist(monkeypatch, tmp_path):
    def unavailable(name):
        raise DataUnavailable(name, [("cache", "not there"), ("torchvision", "no network")])

    def measured(*command, summary):
        return f"figures of {command[0]}"

    shown = tmp_path / "RESULTS.md"
    before = results.RESULTS.read_text(encoding="utf-8")
    shown.write_text(before, encoding="utf-8")
    for name, value in (("RESULTS", shown), ("ROOT", tmp_path), ("measure", measured)):
        monkeypatch.setattr(results, name, value)
    monkeypatch.setattr(sys, "argv", ["bench.results"])
    monkeypatch.setenv("AEBENCH_DEVICE", "cpu")

    monkeypatch.setattr(results, "load", unavailable)
    with pytest.raises(SystemExit) as stopped:
        results.main()
    told = str(stopped.value)  # a SystemExit of text is printed, and the exit status is 1
    assert "torchvision: no network" in told
    assert "RESULTS.md is as it was" in told
    assert "aebench data fetch mnist" in told
    assert shown.read_text(encoding="utf-8") == before

    monkeypatch.setattr(results, "load", lambda name: None)
    results.main()
    assert "figures of pytest" in shown.read_text(encoding="utf-8")

    shown.write_text(before, encoding="utf-8")
    monkeypatch.setattr(sys, "argv", ["bench.results", "--only", "campaign"])
    results.main()
    block = "<!-- begin campaign-cpu -->\n```text\nfigures of bench.campaign\n```\n"
    assert block in shown.read_text(encoding="utf-8")
    assert "figures of pytest" not in shown.read_text(encoding="utf-8")
    for wrong in (["--only"], ["--only", "peers"]):
        monkeypatch.setattr(sys, "argv", ["bench.results", *wrong])
        with pytest.raises(SystemExit, match="one or more of aa, campaign, clusters"):
            results.main()


@pytest.fixture(scope="module")
def digits():
    import torch

    from aebench import datasets

    return torch.from_numpy(datasets.load("digits").train[: 3 * 128].copy())


def test_roofline_sets_every_engine_beside_the_study_s_loop(digits):
    row, missing = roofline.profile("conv-16", digits, "fp32", peak_gflops=1.0, rounds=1)
    model, gflop, floor, reference, eager, ratio, fraction, *native = row
    assert model == "conv-16"
    # Of 3 x 3, 8 x 8 images: 36 places, 9 x 16 weights, forward and weights, and in the second
    # layer the input's gradient; 2 FLOP per multiply-add; 128 images; 1 GFLOP/s.
    flop = 2 * 5 * 36 * 9 * 16 * 128
    assert float(gflop) == pytest.approx(flop / 1e9, abs=0.005)
    assert float(floor) == pytest.approx(flop / 1e3, abs=1)
    assert float(fraction) == pytest.approx(float(floor) / float(eager), abs=0.006)
    assert float(ratio) == pytest.approx(float(reference) / float(eager), abs=0.006, rel=0.01)
    if compiler.find():  # its time is a few dozen us, shown as a whole number
        its, its_ratio, its_fraction, done = native
        assert float(its_fraction) == pytest.approx(float(floor) / float(its), rel=0.05)
        assert float(its_ratio) == pytest.approx(float(reference) / float(its), rel=0.05)
        assert (done, missing) == ("1.00", [])
    else:
        assert native == ["-"] * 4
        assert "no C++ compiler" in missing[0]


def test_roofline_says_why_an_engine_is_missing(digits, monkeypatch):
    from aebench import engines

    monkeypatch.setattr(engines, "trouble", lambda engine: "gone" if engine == "native" else "")
    row, missing = roofline.profile("mlp-128", digits, "fp32", peak_gflops=1.0, rounds=1)
    assert row[-4:] == ["-"] * 4
    assert missing == ["native: gone"]
    monkeypatch.setattr(roofline.calibration, "peak_gflops", lambda device, precision: 1.0)
    told = roofline.tables(digits, ["fp32"], ["mlp-128", "conv-16"], rounds=1)
    assert told[0] == "fp32, peak 1 GFLOP/s"
    assert told.count("native: gone") == 1


def test_roofline_times_slow_steps_over_fewer_of_them(digits, monkeypatch):
    seen = []

    class Fast:
        def __init__(self, engine, case, images, device, precision):
            seen.append((engine, len(images) // 128, precision))
            self.engine = self
            self.setup = type("Setup", (), {"steps_per_epoch": 1})
            self.work = lambda: type("Work", (), {"skipped_flops_per_step": 0})
            self.epoch = lambda: None

    monkeypatch.setattr(roofline, "Trainer", Fast)
    images = digits[:1].expand(20 * 128, -1, -1, -1)
    monkeypatch.setattr(roofline, "step_gflop", lambda case, shape: 1.0 if case.depth == 1 else 66)
    roofline.profile("conv-128", images, "bf16", 1.0, rounds=1)
    roofline.profile("conv-64 depth 2", images, "fp32", 1.0, rounds=1)
    assert seen[:3] == [("reference", 20, "fp32"), ("eager", 20, "bf16"), ("native", 100, "bf16")]
    assert [steps for _, steps, _ in seen[3:]] == [4, 4, 20]


@pytest.mark.compiler
def test_roofline_holds_native_to_the_arithmetic_that_it_does(monkeypatch):
    import torch

    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    images = torch.zeros(128, 1, 4, 10, dtype=torch.uint8)
    images[:, :, 0] = 9  # 10 of 40 pixels: 3/4 of two of five products is left out
    row, _ = roofline.profile("mlp-128", images, "fp32", peak_gflops=1.0, rounds=1)
    native, _, fraction, done = row[-4:]
    floor_us = 2 * 5 * 40 * 128 * 128 / 1e3
    assert done == "0.70"
    assert float(fraction) == pytest.approx(0.7 * floor_us / float(native), rel=0.05)


@pytest.mark.slow
def test_checklist_without_cuda():
    import torch

    from aebench import datasets

    images = torch.from_numpy(datasets.load("digits").train[: 3 * 128].copy())
    cpu = torch.device("cpu")
    rows = list(checklist.captured(images, cpu, capture=False))
    assert len(rows) == len(checklist.SMALL) * len(checklist.STEPS_PER_GRAPH)
    assert all(float(row[2]) > 0 and row[4] == "yes" for row in rows)
    models, layouts = (("mlp", 4, 1), ("conv", 2, 1)), (False, True)
    names, precisions = ("reference", "eager", "graph"), ("fp32", "bf16")
    rows = list(checklist.speeds(models, names, precisions, layouts, images, cpu))
    assert len(rows) == 2 * 3 * 2 * 2
    for row in rows:
        if row[1] == "graph":
            assert row[4] == "-"
            assert "CUDA" in row[7]
        else:
            assert float(row[4]) > 0
            assert "NOT THE SAME" not in row[7]


def test_checklist_names_what_is_not_the_same(monkeypatch):
    import torch

    from aebench import datasets
    from aebench.engines import training

    images = torch.from_numpy(datasets.load("digits").train[: 3 * 128].copy())
    create = training.create

    def wrong(setup):
        with torch.no_grad():
            for parameter in setup.model.parameters():
                parameter.mul_(1 + (setup.job.engine == "eager"))
        return create(setup)

    monkeypatch.setattr(training, "create", wrong)
    model, cpu = (("mlp", 4, 1),), torch.device("cpu")
    rows = checklist.speeds(model, ("reference", "eager"), ("fp32",), (False,), images, cpu)
    honest, dishonest = rows
    assert not honest[7]
    assert dishonest[7].startswith("NOT THE SAME RESULT")
