"""What `noxfile.py -s mutants` changes, and what it leaves; where its extra is installed."""

import subprocess
from pathlib import Path

import pytest

pytest.importorskip("cosmic_ray", reason="the extra `mutants` is not installed")
import mutants

SOURCE = '''\
"""Words."""

LEAST: int | None = 3


@dataclass(frozen=True)
class Kept:
    size: int | float


def clipped(noisy: Tensor | None, *, most=1.5) -> Tensor | None:
    """More words."""
    if noisy is None or most < LEAST:
        raise ValueError("too small")
    model.eval()
    best = noisy.clamp(0, most) - LEAST
    return best
'''


@pytest.fixture
def changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[mutants.Mutant]:
    (tmp_path / "it.py").write_text(SOURCE)
    monkeypatch.setattr(mutants, "ROOT", tmp_path)
    return list(mutants.mutants("it", "it.py"))


def test_each_change_is_one_that_python_can_run(changes: list[mutants.Mutant]) -> None:
    assert len({mutant.code for mutant in changes}) == len(changes)
    for mutant in changes:
        compile(mutant.code, "it.py", "exec")
        assert mutant.code != SOURCE
        assert mutant.was in " ".join(SOURCE.split())


@pytest.mark.parametrize(
    ("line", "now"),
    [
        (3, "LEAST: int | None = 4"),
        (13, "if noisy is not None or most < LEAST:"),
        (13, "if noisy is None and most < LEAST:"),
        (13, "if noisy is None or most <= LEAST:"),
        (14, "pass"),
        (15, "pass"),
        (15, "model"),
        (16, "best = noisy - LEAST"),
        (16, "best = noisy.clamp(0, most) + LEAST"),
        (17, "pass"),
    ],
)
def test_every_kind_of_change_is_made(changes: list[mutants.Mutant], line: int, now: str) -> None:
    made = [" ".join(mutant.now.split()) for mutant in changes if mutant.line == line]
    assert now in made, made


def test_words_and_annotations_are_left(changes: list[mutants.Mutant]) -> None:
    assert {1, 12}.isdisjoint(mutant.line for mutant in changes)
    assert not [m for m in changes if "|" in m.was and "|" not in m.now and m.now != "pass"]


def test_only_the_lines_asked_for(changes: list[mutants.Mutant]) -> None:
    found = list(mutants.mutants("it", "it.py", {13}))
    assert found
    assert found == [mutant for mutant in changes if mutant.line == 13]


def test_changed_lines_are_those_of_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def git(*words: str) -> None:
        who = ["-c", "user.name=a", "-c", "user.email=a@b"]
        subprocess.run(["git", *who, *words], cwd=tmp_path, check=True, capture_output=True)

    monkeypatch.setattr(mutants, "ROOT", tmp_path)
    (tmp_path / "aebench").mkdir()
    path = tmp_path / "aebench" / "it.py"
    path.write_text("a = 1\nb = 2\nc = 3\n")
    git("init")
    git("add", ".")
    git("commit", "-m", "first")
    path.write_text("a = 1\nb = 3\nc = 3\nd = 4\n")
    assert mutants.changed("HEAD") == {"aebench/it.py": {2, 4}}


def test_every_module_has_files_and_tests() -> None:
    for module, (patterns, _) in mutants.MODULES.items():
        assert mutants.files(patterns), module
        assert mutants.tests_of(module), module
