"""Mutation testing: change the package one small step at a time, and see whether a test notices.

    python3 noxfile.py -s mutants                            every module of `MODULES`
    python3 noxfile.py -s mutants -- statistics device       these
    python3 noxfile.py -s mutants -- --since main            only what changed since then
    python3 noxfile.py -s mutants -- store --sample 100      a hundred of its mutants, the same ones

Decides which tests judge which module. cosmic-ray makes most of the mutants; it would start a
Python for each, of which importing torch takes most. Here one process imports what the tests
need from others, and forks for each mutant: the child alone imports aebench, from a copy of the
checkout in which one file is changed. Needs Linux or macOS. Writes into `.mutants` only.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import importlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from cosmic_ray import plugins
from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.operators.operator import Operator
from parso.python.tree import Keyword, PythonNode

ROOT = Path(__file__).resolve().parent.parent
WORK = ROOT / ".mutants"
NOT_RUN = "not cluster and not network and not browser and not cuda"

# Files by glob, and the test files that judge them, quickest to fail first.
MODULES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "statistics": (
        ("aebench/analysis/statistics.py",),
        ("test_statistics.py", "test_figures.py", "test_compare.py"),
    ),
    "comparison": (
        ("aebench/analysis/comparison.py",),
        ("test_compare.py", "test_compare_matching.py"),
    ),
    "fitness": (("aebench/analysis/fitness.py",), ("test_check.py",)),
    "figures": (
        ("aebench/analysis/figures.py", "aebench/analysis/expected.py"),
        ("test_figures.py", "test_expected.py", "test_rates_of_rules.py"),
    ),
    "rules": (
        ("aebench/analysis/rules.py", "aebench/analysis/picture_rules.py"),
        ("test_findings*.py",),
    ),
    "device": (("aebench/engines/device.py",), ("test_device.py",)),
    "engines": (("aebench/engines/__init__.py",), ("test_engine_registry.py", "test_grid*.py")),
    "store": (("aebench/store/*.py", "aebench/disk.py"), ("test_store*.py", "test_disk.py")),
    "worker": (
        ("aebench/worker.py", "aebench/records.py"),
        ("test_worker*.py", "test_probes.py"),
    ),
    # What stands between real processes (keeper, child, processes) is judged by `kills.py`.
    "executors": (
        ("aebench/executors/local.py", "aebench/executors/leases.py"),
        ("test_local.py",),
    ),
}

# One change of each kind, of the dozen that cosmic-ray has for an operator: more find little more.
CORE = [
    *("AddNot", "ExceptionReplacer", "NumberReplacer", "RemoveDecorator", "ZeroIterationForLoop"),
    *("ReplaceAndWithOr", "ReplaceOrWithAnd", "ReplaceFalseWithTrue", "ReplaceTrueWithFalse"),
    *("ReplaceBreakWithContinue", "ReplaceContinueWithBreak"),
    *(f"ReplaceUnaryOperator_Delete_{name}" for name in ("Not", "USub", "Invert")),
    *("ReplaceBinaryOperator_Add_Sub", "ReplaceBinaryOperator_Sub_Add"),
    *("ReplaceBinaryOperator_Mul_Div", "ReplaceBinaryOperator_Div_Mul"),
    *("ReplaceBinaryOperator_FloorDiv_Div", "ReplaceBinaryOperator_Mod_Mul"),
    *("ReplaceBinaryOperator_Pow_Mul", "ReplaceBinaryOperator_BitOr_BitAnd"),
    *("ReplaceBinaryOperator_BitAnd_BitOr",),
    *("ReplaceComparisonOperator_Eq_NotEq", "ReplaceComparisonOperator_NotEq_Eq"),
    *("ReplaceComparisonOperator_Is_IsNot", "ReplaceComparisonOperator_IsNot_Is"),
    *("ReplaceComparisonOperator_Lt_LtE", "ReplaceComparisonOperator_Lt_GtE"),
    *("ReplaceComparisonOperator_LtE_Lt", "ReplaceComparisonOperator_LtE_Gt"),
    *("ReplaceComparisonOperator_Gt_GtE", "ReplaceComparisonOperator_Gt_LtE"),
    *("ReplaceComparisonOperator_GtE_Gt", "ReplaceComparisonOperator_GtE_Lt"),
]


class DropStatement(Operator):
    """Leaves out an assignment, a call, a `raise` or a `return` in the body of something."""

    def mutation_positions(self, node):
        statement = node.type in ("expr_stmt", "atom_expr", "raise_stmt", "return_stmt", "keyword")
        line = node.parent if node.parent is not None else node
        if (
            statement
            and line.type == "simple_stmt"
            and line.parent.type == "suite"
            and node.get_code(include_prefix=False) not in ("pass", "return", "break", "continue")
        ):
            yield node.start_pos, node.end_pos

    def mutate(self, node, index):
        return Keyword("pass", node.start_pos, node.get_first_leaf().prefix)

    @classmethod
    def examples(cls):
        return ()


class DropCall(Operator):
    """Leaves out the last method call of a chain: `noisy.clamp(0, 1)` becomes `noisy`."""

    def mutation_positions(self, node):
        if node.type == "atom_expr" and len(node.children) > 2:
            name, call = node.children[-2:]
            if [part.get_code()[:1] for part in (name, call)] == [".", "("]:
                yield name.start_pos, call.end_pos

    def mutate(self, node, index):
        return PythonNode(node.type, node.children[:-2])

    @classmethod
    def examples(cls):
        return ()


OURS: dict[str, type[Operator]] = {"DropStatement": DropStatement, "DropCall": DropCall}


@dataclass(frozen=True)
class Mutant:
    """One change: `was` became `now` in the line of `path`; the whole file's text is `code`."""

    module: str
    path: str
    line: int
    operator: str
    was: str
    now: str
    code: str


def mutants(module: str, path: str, only: set[int] | None = None) -> Iterator[Mutant]:
    """Every mutant of a file that is Python, on the lines of `only` if that is given."""
    source = (ROOT / path).read_text(encoding="utf-8")
    words = _words(source)
    nodes = list(ast_nodes(get_ast(source)))
    operators = {name: plugins.get_operator(f"core/{name}") for name in CORE} | OURS
    for name, make in operators.items():
        operator = make()
        places = [place for node in nodes for place in operator.mutation_positions(node)]
        for occurrence, ((line, column), (last, _)) in enumerate(places):
            touched = set(range(line, last + 1))
            if (line, column) in words or (only is not None and not only & touched):
                continue
            code = _mutated(source, operator, occurrence)
            if not code:
                continue
            was, now = _difference(source, code, line)
            if was.startswith("@dataclass"):  # that it is frozen is a promise to its readers
                continue
            yield Mutant(module, path, line, name, was, now, code)


def _words(source: str) -> set[tuple[int, int]]:
    """Places, line and column, within annotations: nothing computes them."""
    lines = source.splitlines()
    found: set[tuple[int, int]] = set()
    for node in ast.walk(ast.parse(source)):
        for part in (getattr(node, "annotation", None), getattr(node, "returns", None)):
            if part is not None:
                for line in range(part.lineno, part.end_lineno + 1):
                    start = part.col_offset if line == part.lineno else 0
                    end = part.end_col_offset if line == part.end_lineno else len(lines[line - 1])
                    found |= {(line, column) for column in range(start, end)}
    return found


def _mutated(source: str, operator: Operator, occurrence: int) -> str:
    """The changed source; empty if it is no Python, or if cosmic-ray cannot make the change."""
    try:
        code = mutate_code(source, operator, occurrence) or ""
        compile(code, "mutant", "exec")
    except (SyntaxError, ValueError):
        return ""
    except AttributeError:  # ExceptionReplacer knows names only, and not `except module.Error`
        return ""
    return code


def _difference(source: str, code: str, line: int) -> tuple[str, str]:
    """The lines that differ, before and after."""
    before, after = source.splitlines(), code.splitlines()
    start = min(line - 1, len(after))
    tail = 0
    while tail < min(len(before), len(after)) - start - 1 and before[-1 - tail] == after[-1 - tail]:
        tail += 1
    return tuple(
        " ".join(" ".join(lines[start : len(lines) - tail]).split()) for lines in (before, after)
    )  # type: ignore[return-value]


def changed(since: str) -> dict[str, set[int]]:
    """Lines of the package's files that differ from those at `since`, as they are numbered now."""
    command = ["git", "diff", "--unified=0", "--no-color", "--relative", since, "--", "aebench"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"--since {since}: {done.stderr.strip()}")
    found: dict[str, set[int]] = {}
    path = ""
    for line in done.stdout.splitlines():
        if line.startswith("+++ "):
            path = line.removeprefix("+++ b/")
        elif hunk := re.match(r"@@ -\S+ \+(\d+)(?:,(\d+))? @@", line):
            first, count = int(hunk[1]), int(hunk[2] or 1)
            found.setdefault(path, set()).update(range(first, first + count))
    return {path: lines for path, lines in found.items() if path.endswith(".py") and lines}


def files(patterns: Sequence[str], folder: Path = ROOT) -> list[str]:
    """Paths of the files that match, in order, each once."""
    found = [path for pattern in patterns for path in sorted(folder.glob(pattern))]
    return list(dict.fromkeys(path.relative_to(ROOT).as_posix() for path in found))


def tests_of(module: str) -> list[str]:
    """The test files that judge a module; at least one."""
    return files(MODULES[module][1], ROOT / "tests")


class Slot:
    """A copy of the checkout in which one test run at a time happens, in a child that is forked."""

    def __init__(self, number: int) -> None:
        self.tree = WORK / f"slot-{number}"
        self.log = WORK / f"slot-{number}.log"
        self.scratch = WORK / f"scratch-{number}"
        self.pid = 0
        self.mutant: Mutant | None = None
        self.began = 0.0
        self._stamp = 1_000_000_000 + number
        shutil.rmtree(self.tree, ignore_errors=True)
        listing = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
        names = subprocess.run(listing, cwd=ROOT, check=True, capture_output=True).stdout
        for name in filter(None, os.fsdecode(names).split("\0")):
            if (ROOT / name).is_file():
                (self.tree / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, self.tree / name)

    def start(self, tests: Sequence[str], mutant: Mutant | None = None) -> None:
        """Fork a child that runs `tests`, against `mutant` or what is in the checkout."""
        if mutant is not None:
            self._write(mutant.path, mutant.code)
        shutil.rmtree(self.scratch, ignore_errors=True)
        (self.scratch / "tmp").mkdir(parents=True)
        # What an earlier mutant left among the data must not judge this one. Compiling takes long.
        if (WORK / "data").exists():
            shutil.copytree(WORK / "data", self.scratch / "data")
        self.mutant, self.began = mutant, time.monotonic()
        sys.stdout.flush()
        self.pid = os.fork()
        if self.pid == 0:
            os._exit(self._run(tests))

    def _run(self, tests: Sequence[str]) -> int:
        """In the child: pytest's exit status."""
        os.setsid()
        with self.log.open("wb") as log:
            for stream in (1, 2):
                os.dup2(log.fileno(), stream)
        os.chdir(self.tree)
        os.environ |= {
            "PYTHONPATH": str(self.tree),
            "AEBENCH_DATA": str(self.scratch / "data"),
            "TMPDIR": str(self.scratch / "tmp"),
        }
        sys.path[:0] = [str(self.tree)]
        import pytest

        words = ["-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-m", NOT_RUN]
        return int(pytest.main([*words, "--hypothesis-seed=0", "--tb=line", *tests]))

    def _write(self, path: str, code: str) -> None:
        """Bytecode is kept by a file's date in whole seconds and its size: each gets its own."""
        self._stamp += 2
        (self.tree / path).write_text(code, encoding="utf-8")
        os.utime(self.tree / path, (self._stamp, self._stamp))

    def ended(self, limit_s: float) -> str:
        """How the child ended: `killed`, `survived`, `timed out`; empty while it runs."""
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        if not pid and time.monotonic() - self.began < limit_s:
            return ""
        _end_group(self.pid)
        if not pid:
            os.waitpid(self.pid, 0)
        if self.mutant is not None:
            self._write(self.mutant.path, (ROOT / self.mutant.path).read_text(encoding="utf-8"))
        if not pid:
            return "timed out"
        return "survived" if status == 0 else "killed"


def _end_group(pid: int) -> None:
    """End what a child left behind, those with a session of their own as well."""
    import psutil

    try:
        family = psutil.Process(pid).children(recursive=True)
    except psutil.Error:
        family = []
    for end in [lambda: os.killpg(pid, signal.SIGKILL), *(one.kill for one in family)]:
        with contextlib.suppress(OSError, psutil.Error):
            end()


def baseline(slot: Slot, module: str) -> float:
    """Seconds that the tests of a module take, all of which must pass without a mutant."""
    slot.start(tests_of(module))
    while not (how := slot.ended(1200)):
        time.sleep(0.05)
    if how != "survived":
        sys.stdout.write(slot.log.read_text(encoding="utf-8", errors="replace")[-3000:])
        raise SystemExit(f"the tests of {module} do not pass as they are: nothing to measure")
    if (slot.scratch / "data").exists():
        shutil.copytree(slot.scratch / "data", WORK / "data", dirs_exist_ok=True)
    return time.monotonic() - slot.began


def judged(module: str, found: list[Mutant], slots: list[Slot]) -> Iterator[tuple[Mutant, str]]:
    """Each mutant with how it ended, in the order in which they end."""
    usual_s = baseline(slots[0], module)
    limit_s = 20 + 4 * usual_s  # a loop without end, not a slow moment
    print(f"{module}: {len(found)} mutants, tests {usual_s:.0f} s", flush=True)
    waiting, running, tests = list(reversed(found)), [], tests_of(module)
    while waiting or running:
        for slot in slots:
            if slot not in running and waiting:
                slot.start(tests, waiting.pop())
                running.append(slot)
        time.sleep(0.02)
        for slot in list(running):
            if how := slot.ended(limit_s):
                running.remove(slot)
                yield slot.mutant, how  # type: ignore[misc]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("modules", nargs="*", help=f"of: {', '.join(MODULES)}; all if none")
    parser.add_argument("--since", metavar="REV", help="only lines that differ from those at REV")
    parser.add_argument("--sample", type=int, metavar="N", help="at most N mutants of a module")
    parser.add_argument("--again", action="store_true", help="only what survived the last time")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="at once")
    asked = parser.parse_args()
    if unknown := [name for name in asked.modules if name not in MODULES]:
        parser.error(f"no module {', '.join(unknown)}; there are {', '.join(MODULES)}")
    since = changed(asked.since) if asked.since else None
    known = {path for patterns, _ in MODULES.values() for path in files(patterns)}
    if since and (left := sorted(set(since) - known)):
        print(f"changed, and judged by no tests named here: {', '.join(left)}")
    for name in ("torch", "pandas", "scipy.stats", "pyarrow.parquet", "sklearn", "rich"):
        importlib.import_module(name)
    assert "aebench" not in sys.modules, "a mutant must be imported after the fork"
    WORK.mkdir(exist_ok=True)
    shutil.rmtree(WORK / "data", ignore_errors=True)
    survived = [row["change"] for row in last() if row["end"] == "survived"]
    slots = [Slot(number) for number in range(max(1, asked.jobs))]
    tried = []
    for module in asked.modules or MODULES:
        found = [
            mutant
            for path in files(MODULES[module][0])
            if since is None or path in since
            for mutant in mutants(module, path, since and since[path])
        ]
        if asked.again:
            found = [mutant for mutant in found if told_of(mutant) in survived]
        if asked.sample and len(found) > asked.sample:
            found = random.Random(module).sample(found, asked.sample)
        if found:
            ended = []
            for mutant, how in judged(module, found, slots):
                ended.append((mutant, how))
                if how == "survived":
                    say(mutant)
            keep(module, ended, again=asked.again)
            tried.append(module)
    for slot in slots:
        shutil.rmtree(slot.tree)
        shutil.rmtree(slot.scratch, ignore_errors=True)
    told(tried)
    return 0


def told_of(mutant: Mutant) -> str:
    """One change in words that hold while other lines of the file come and go."""
    return f"{mutant.path} {mutant.operator}: {mutant.was} -> {mutant.now}"


def say(mutant: Mutant) -> None:
    print(f"  {mutant.path}:{mutant.line} {mutant.operator}")
    print(f"    - {mutant.was}\n    + {mutant.now}", flush=True)


def last() -> list[dict[str, str]]:
    """How the mutants of each module ended when it was last tried."""
    path = WORK / "results.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else []


def keep(module: str, ended: list[tuple[Mutant, str]], *, again: bool) -> None:
    """Write how they ended, over what is known of this module or, if `again`, into it."""
    new = [(told_of(one), how) for one, how in ended]
    tried = {change for change, _ in new}
    rows = [
        row for row in last() if row["module"] != module or (again and row["change"] not in tried)
    ]
    rows += [{"module": module, "end": how, "change": change} for change, how in new]
    (WORK / "results.json").write_text(json.dumps(rows, indent=1), encoding="utf-8")


def told(modules: Sequence[str]) -> None:
    """Print the scores of these modules."""
    if not modules:
        print("nothing to change: no mutant is left of what was asked for")
        return
    print("\n| module | mutants | killed | timed out | score |\n|---|---|---|---|---|")
    for module in modules:
        hows = [row["end"] for row in last() if row["module"] == module]
        score = 100 * (1 - hows.count("survived") / len(hows))
        counts = f"{len(hows)} | {hows.count('killed')} | {hows.count('timed out')}"
        print(f"| `{module}` | {counts} | {score:.0f} % |")


if __name__ == "__main__":
    sys.exit(main())
