"""What a user is told before anything runs: help, lists, completion, and how much is said."""

from __future__ import annotations

import csv
import io
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import environment
from test_report_records import record, stored

from aebench import architectures, axes, datasets, protocols, schema
from aebench.analysis.findings import FINDINGS
from aebench.cli import complete, run_options
from aebench.engines import ENGINES
from aebench.grid import PRESETS, SEARCHES
from aebench.job import Job
from aebench.records import Circumstances
from aebench.worker import run_job


def helped(invoke, monkeypatch: pytest.MonkeyPatch, *words: str) -> str:
    monkeypatch.setenv("COLUMNS", "200")
    code, out, err = invoke(*words)
    assert (code, err) == (0, "")
    return " ".join(out.replace("│", " ").split())


# Help

DEFAULTS = {
    "run": {
        "--grid": "quick", "--dataset": "mnist", "--depth": "1", "--seeds": "1", "--repeats": "1",
        "--protocol": "study", "--epochs": "the protocol's", "--batch-size": "the protocol's",
        "--learning-rate": "the protocol's", "--schedule": "the protocol's",
        "--order": "the protocol's", "--optimizer": "the protocol's",
        "--momentum": "the protocol's", "--weight-decay": "the protocol's",
        "--warmup": "the protocol's", "--clip-gradient": "the protocol's", "--train-noise": "0",
        "--engine": "auto", "--precision": "fp32", "--device": "auto", "--workers": "1",
        "--timeout": "never",
        "--results": "results/GRID", "--data": "$AEBENCH_DATA, else the user's cache",
    },
    "show": {"--format": "table", "results": "the newest of yours below results/"},
    "findings": {"--only": "all", "results": "the newest of yours below results/"},
    "check": {"results": "the newest of yours below results/"},
    "report": {
        "--output": "reports/NAME.html, .pdf or .md",
        "--format": "as --output ends, else html",
        "results": "the newest of yours below results/",
    },
    "compare": {"--format": "table"},
    "tune": {"--out": "tuned.toml"},
    "list": {"kind": "all", "--format": "table"},
    "example": {"name": "a list of them"},
    "data list": {"--data": "$AEBENCH_DATA, else the user's cache"},
    "data verify": {"names": "all that are here"},
}  # fmt: skip


@pytest.mark.parametrize("command", DEFAULTS)
def test_help_says_every_default(command: str, invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = helped(invoke, monkeypatch, *command.split(), "--help")
    for option, value in DEFAULTS[command].items():
        # Nothing else in brackets between the option and its default, but for a range of numbers.
        text = shown.replace("list[str]", "list").replace("[x>=1] ", "").replace("[x>=0.001] ", "")
        said = re.escape(f"[default: {value}]")
        assert re.search(rf" {option}\b[^\[]{{0,250}}{said}", text), option


def test_no_command_shows_a_type_as_python_has_it(invoke, monkeypatch) -> None:
    for command in ("", *DEFAULTS, "data", "data fetch", "data add"):
        shown = helped(invoke, monkeypatch, *command.split(), "-h")
        for kind in ("bool", "Path]", "int range"):
            assert kind not in shown, command
        assert "--help" in shown


def test_an_option_of_run_is_an_axis_or_one_that_grid_files_refuse() -> None:
    options = {option.name for option in run_options.OPTIONS}
    # Of the options of architectures each has a name of its own, in a table `options`.
    assert options - set(run_options.AXIS_NAMES) == {*axes._RUN_OPTIONS, "option"}


def test_run_shows_examples_that_can_be_planned(invoke, monkeypatch) -> None:
    shown = helped(invoke, monkeypatch, "run", "--help")
    examples = [part.split() for part in shown.partition("Examples:")[2].split("aebench ")[1:]]
    assert len(examples) >= 5
    for words in examples:
        ends = next((i for i, w in enumerate(words) if w.endswith(":")), len(words) - 1)
        command = [w.removesuffix(":") for w in words[: ends + 1]]
        code, out, err = invoke(*command, *(["--plan"] if "--plan" not in command else []))
        assert (code, err) == (0, ""), command
        assert "to do:" in out


def test_version_and_help_at_the_top(invoke, monkeypatch) -> None:
    assert invoke("--version")[1].startswith("aebench 0.")
    shown = helped(invoke, monkeypatch, "-h")
    for said in ("-q", "--quiet", "-v", "--verbose", "--version", "Examples:", "200 columns"):
        assert said in shown


# How much is said


@pytest.fixture
def runs(invoke) -> list[str]:  # which goes to an empty folder
    """A command that has nothing to do any more."""
    job = {"dataset": "digits", "device": "cpu"}
    stored(Path("results/custom"), record("mlp", 4, **job), record("mlp", 5, **job))
    return ["run", "--architecture", "mlp", "--dataset", "digits", "--latent", "4,5",
            "--device", "cpu", "--engine", "eager"]  # fmt: skip


def test_quiet_says_errors_and_the_result(runs: list[str], invoke) -> None:
    code, usual, said = invoke(*runs)
    assert code == 0
    assert "2 of 2 jobs are in results/custom already" in said
    for words in (["-q", *runs], [*runs, "--quiet"]):
        assert invoke(*words) == (0, usual, "")
    code, out, err = invoke("-q", "show", "nowhere")
    assert (code, out) == (2, "")
    assert "no results at nowhere" in err
    assert invoke("-q", "show")[2] == ""
    assert "results/custom, the newest" in invoke("show")[2]


def test_more_and_less_at_once_are_refused(runs: list[str], invoke) -> None:
    for words in (["-q", "-v", *runs], ["-v", *runs, "-q"], [*runs, "-q", "--verbose"]):
        code, out, err = invoke(*words)
        assert (code, out) == (2, ""), words
        assert "-q and -v were both given" in err


def test_verbose_says_what_is_decided(runs: list[str], invoke) -> None:
    assert "engine" not in invoke(*runs)[2]
    for words in (["-v", *runs], [*runs, "-v"]):
        code, _, err = invoke(*words)
        assert code == 0
        assert "mlp of depth 1: engine eager on cpu" in err
        assert f"results: {Path.cwd()}/results/custom, 2 records there" in err


# Lists


def test_lists_hold_what_there_is_and_say_what_it_is(invoke) -> None:
    _, out, _ = invoke("list", "--format", "json")
    rows = json.loads(out)
    found: dict[str, list[str]] = {}
    for row in rows:
        found.setdefault(row["kind"], []).append(row["name"])
        assert len(row["what it is"]) > 20, row
        assert "\n" not in row["what it is"]
    assert found == {
        "architectures": list(architectures.names()),
        "options": [
            f"{n} {o}" for n in architectures.names() for o in architectures.get(n).options
        ],
        "engines": list(ENGINES),
        "datasets": list(datasets.names()),
        "probes": list(schema.PROBE_KINDS),
        "grids": [*PRESETS, *SEARCHES],
        "protocols": list(protocols.NAMES),
        "findings": [finding.id for finding in FINDINGS],
    }
    assert list(csv.DictReader(io.StringIO(invoke("list", "--format", "csv")[1]))) == rows
    told = {row["name"]: row["what it is"] for row in rows if row["kind"] == "engines"}
    assert told["native"].endswith("Runs on the CPU in fp32, bf16 or bf16x3.")
    assert told["eager"].endswith("Runs on the CPU or on CUDA devices.")
    engines = list(told)
    for form in ("table", "markdown"):
        code, out, _ = invoke("list", "engines", "--format", form)
        assert code == 0
        assert all(f" {name} " in out for name in engines)
        assert "mnist" not in out
    assert invoke("list", "engine")[0] == 2


def test_a_plugin_is_listed(invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("mine.py").write_text(
        "import aebench\n\n@aebench.architecture('of-mine')\n"
        "def build(shape, latent, depth, width=4):\n    '''All my own.'''\n"
    )
    _, out, _ = invoke("list", "architectures", "--plugin", "mine.py", "--format", "csv")
    assert "architectures,of-mine,All my own." in out
    _, out, _ = invoke("list", "options", "--plugin", "mine.py", "--format", "csv")
    assert "options,of-mine width,a whole number; by default 4" in out


def test_every_probe_that_a_job_records_is_listed(tmp_path: Path) -> None:
    made = run_job(Job("mlp", "digits", 1, epochs=1), Circumstances(threads=1, data=tmp_path))
    assert {row["kind"] for row in made.probes} == set(schema.PROBE_KINDS)


# Completion


def offered(folder: Path, *words: str) -> list[str]:
    """What bash is offered for the last word, and that neither torch nor pandas was needed."""
    code = (
        "import sys\n"
        "from aebench.cli import main\n"
        "try:\n    main()\n"
        "finally:\n"
        "    heavy = {'torch', 'pandas', 'numpy', 'scipy', 'pyarrow'} & set(sys.modules)\n"
        "    print(*heavy, file=sys.stderr, end='')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env=environment(
            _AEBENCH_COMPLETE="complete_bash",
            COMP_WORDS=" ".join(["aebench", *words]),
            COMP_CWORD=str(len(words)),
        ),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.stderr == ""
    return done.stdout.splitlines()


def test_the_shell_is_offered_values_without_torch_or_pandas(tmp_path: Path) -> None:
    """One process each for the two ways in; the values themselves are cheap to ask for."""
    (tmp_path / "results" / "mine" / "parts").mkdir(parents=True)
    assert "results/mine" in offered(tmp_path, "show", "res")
    assert offered(tmp_path, "run", "--architecture", "mlp,conv-b") == ["mlp,conv-bottleneck"]


def test_every_value_is_offered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("results/mine/parts", "results/reference-old/parts", "pictures", ".hidden"):
        Path(name).mkdir(parents=True)
    for name in ("g.toml", "G.TOML", "plug.py", "notes.txt"):
        Path(name).touch()
    assert complete.grid("") == [*PRESETS, "G.TOML", "g.toml", "pictures/", "results/"]
    assert complete.grid("qu") == ["quick"]
    assert complete.architecture("mlp-s") == ["mlp-separate", "mlp-shared"][::-1]
    assert complete.architecture("conv,conv-r") == ["conv,conv-relu"]
    assert set(complete.engine("")) == {*ENGINES, "auto"}
    assert complete.optimizer("sgd,ad") == ["sgd,adam", "sgd,adamw"]
    assert complete.option("k") == ["kernel="]
    assert complete.option("norm=batch,") == ["norm=batch,none", "norm=batch,layer"]
    assert complete.option("kernel=") == []
    assert complete.dataset("p") == ["pictures/"]
    assert complete.dataset("mnist,dig") == ["mnist,digits"]
    assert complete.named_dataset("mn") == ["mnist"]
    assert complete.protocol("t") == ["tuned"]
    assert "g.toml" in complete.protocol("")
    assert complete.device("c") == ["cpu", "cuda"]
    assert complete.plugin("p") == ["pictures/", "plug.py"]
    assert complete.results("") == [
        "results/mine", "results/reference-old", "pictures/", "results/",
    ]  # fmt: skip
    assert complete.results("results/m") == ["results/mine"]
    assert complete.folders(".h") == [".hidden/"]
    assert complete.folders("nowhere/x") == []
    assert tuple(finding.id for finding in FINDINGS) == complete.FINDINGS
    assert complete.finding("conv-16,deep-") == [
        f"conv-16,{f.id}" for f in FINDINGS if f.id.startswith("deep-")
    ]
