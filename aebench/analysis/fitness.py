"""Are these results fit to compare? A closed list of doubts, and which rows raise each.

Reads stored records only, and judges times: errors repeat exactly and need none of this. How a
doubt is shown, and what it means for an exit code, is the command line's business.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, get_args

import pandas as pd

from aebench.analysis import frames, processes, words
from aebench.analysis.doubts import KINDS, Case, Grade, Kind, doubt_kind, rows_of
from aebench.job import FIELDS
from aebench.language import say
from aebench.store import Results

REPEATS = 6  # min to max of six values is a 97 % interval for the median: 1 - 2 / 2**6
SPREAD = 0.05
CLOCKS_APART, SLOW_START = 0.02, 1.1
_STEAL, _PRESSURE, _THROTTLED = 0.01, 0.05, 0.01  # shares of the training time
_text = words.known
_LOAD = 1.0  # above the job's own threads: one more process computing all the time
_CONTENTION = "load_1m", "threads", "steal_s", "cores", "pressure_s", "gpu_processes"
_GRADES = get_args(Grade)
_FREE = ("seed", "repeat")  # fields of a job that its time does not depend on
SYSTEM = [name for name in FIELDS if name not in _FREE]
# A power cap is how a large GPU works at full load; these are troubles of the machine.
_TROUBLES = ("thermal_slowdown", "hardware_slowdown", "hardware_thermal_slowdown", "power_brake")


@dataclass(frozen=True)
class Doubt:
    """A kind of doubt with the rows that raise it; at least one."""

    kind: Kind
    cases: tuple[Case, ...]


def check(results: Results, *, rejecting: bool = False) -> list[Doubt]:
    """Every doubt about the times of `results`, the worst first; or only those that reject a time.

    A time that the run itself left out passes for none, so nothing else is said against it.
    """
    jobs = frames.ordered(results).jobs
    good = jobs[jobs["status"].eq("ok") & frames.has_time(jobs)]
    timed = frames.timed(good)
    cases = {
        kind.name: tuple(
            _case(where, detail)
            for where, detail in kind.find(good if kind.grade == "left out" else timed, results)
        )
        for kind in KINDS
        if kind.grade != "note" or not rejecting
    }
    found = [Doubt(kind, cases[kind.name]) for kind in KINDS if cases.get(kind.name)]
    return sorted(found, key=lambda doubt: _GRADES.index(doubt.kind.grade))


def fit(results: Results, doubts: list[Doubt]) -> bool:
    """Whether `results` have times to compare, and none among their `doubts` forbids it."""
    timed = len(frames.timed(results.jobs)) > 0
    return timed and not any(doubt.kind.grade == "unfit" for doubt in doubts)


def rejected(results: Results) -> dict[str, tuple[str, ...]]:
    """Keys of the rows whose times should not be compared, each with the kinds of doubt."""
    found: dict[str, tuple[str, ...]] = {}
    for doubt in check(results, rejecting=True):
        for key in {key for case in doubt.cases for key in case.keys}:
            found[key] = (*found.get(key, ()), doubt.kind.name)
    return found


def marked(results: Results) -> Results:
    """The same results; their jobs have a column `doubt`: why a time is rejected, else empty."""
    doubts, jobs = rejected(results), results.jobs
    doubt = [", ".join(doubts.get(key, ())) for key in jobs["key"]]
    return replace(results, jobs=jobs.assign(doubt=pd.Series(doubt, jobs.index, dtype="str")))


def remedies(doubts: Iterable[str]) -> list[str]:
    """For each kind in texts of the column `doubt` what it is and what helps."""
    names = frames.reasons(doubts).split(", ")
    kinds = [kind for kind in KINDS if kind.name in names]
    return [words.headed(words.doubts(k.name), f"{say(k.what)} {say(k.remedy)}") for k in kinds]


def _case(where: Any, detail: str) -> Case:
    """A case of one row, or of a whole system of rows, which is then named without its seed."""
    if isinstance(where, pd.DataFrame):
        row = where.iloc[0]
        return Case(row["key"], words.job(row, without=_FREE), detail, tuple(where["key"]))
    return Case(where["key"], words.job(where), detail, (where["key"],))


def _percent(share: float) -> str:
    return f"{100 * share:.{0 if share >= 0.1 else 1}f} %"


def _systems(jobs: pd.DataFrame) -> Iterable[pd.DataFrame]:
    """Rows whose times should agree: alike, and of one job save for seed and repeat."""
    by = list(dict.fromkeys([*SYSTEM, *frames.ALIKE]))
    return (group for _, group in jobs.groupby(by, dropna=False, sort=False))


@doubt_kind(
    "concurrent",
    "Other jobs of the run trained on the machine at the same time.",
    "Its time depends on what they did, so it is compared with none. Its errors count.",
    "For its time, run it with --workers 1 in a new --results folder.",
    grade="left out",
)
def _concurrent(jobs: pd.DataFrame, _: Results) -> Iterator[tuple[Any, str]]:
    for row in rows_of(jobs[~jobs["concurrent"].eq(False)], "concurrent"):
        known = row["concurrent"] is True
        yield row, "others beside it" if known else "the record does not say whether it was alone"


def _saying(jobs: pd.DataFrame, column: str, form: str) -> Iterator[tuple[Any, str]]:
    """The rows in whose column a record says something, with what it says."""
    for row in rows_of(jobs[jobs[column].fillna("").ne("")], column):
        yield row, form.format(row[column])


@doubt_kind(
    "noisy",
    "A fixed piece of work just before or after training took more than 8 % (CPU) or 3 % (GPU)"
    " longer or shorter than in the median of these results.",
    "The machine was in another state then, and a difference in time may be the machine's.",
    "Delete these rows' results or use a new --results folder, and run again when it is quiet.",
)
def _noisy(jobs: pd.DataFrame, _: Results) -> Iterator[tuple[Any, str]]:
    marked = frames.noisy(jobs)
    shares = frames.noise(jobs)[marked].to_list()
    for row, off in zip(rows_of(jobs[marked]), shares, strict=True):
        word = "longer" if off > 0 else "shorter"
        yield row, f"the fixed work took {_percent(abs(off))} {word}"


@doubt_kind(
    "contended",
    "Something else used the machine while the job trained.",
    "Its time then depends on what the others did, and cannot be repeated.",
    "End other programs and run again; prefer a machine of your own to a shared one.",
)
def _contended(jobs: pd.DataFrame, _: Results) -> Iterator[tuple[Any, str]]:
    for row in rows_of(jobs, "train_s", *_CONTENTION):
        train_s, signs = row["train_s"], []
        if row["load_1m"] > row["threads"] + _LOAD:
            threads = words.counted(int(row["threads"]), "thread")
            signs.append(f"load {row['load_1m']:.1f} with {threads} of its own")
        if row["steal_s"] > _STEAL * train_s * row["cores"]:
            share = row["steal_s"] / train_s / row["cores"]
            signs.append(f"the host took {_percent(share)} of the CPU time for others")
        if row["pressure_s"] > _PRESSURE * train_s:
            signs.append(f"tasks waited for a CPU in {_percent(row['pressure_s'] / train_s)} of it")
        if row["gpu_processes"] > 0:
            others = words.counted(int(row["gpu_processes"]), "other process", "other processes")
            signs.append(f"{others} on the GPU")
        if signs:
            yield row, "; ".join(signs)


@doubt_kind(
    "resumed",
    "The training was interrupted, and went on from a checkpoint.",
    "Its time is of parts, each begun cold, and another load or machine may have had its share.",
    "Its errors count; for its time, run it undisturbed in a new --results folder.",
    grade="left out",
)
def _resumed(jobs: pd.DataFrame, _: Results) -> Iterator[tuple[Any, str]]:
    return _saying(jobs, "resumed", "went on {}")


@doubt_kind(
    "other-engine",
    "The engine trained otherwise than its name says.",
    "Its time is none of that engine. Its errors count.",
    "The record says why; run it by an --engine that can train it, in a new --results folder.",
    grade="left out",
)
def _other_engine(jobs: pd.DataFrame, _: Results) -> Iterator[tuple[Any, str]]:
    return _saying(jobs, "engine_note", "{}")


@doubt_kind(
    "throttled",
    "The system or the GPU slowed the job down while it trained.",
    "The time shows the quota, the heat or the power supply, not the job.",
    "Raise the container's CPU quota, or let the GPU cool; --device chooses another one.",
)
def _throttled(jobs: pd.DataFrame, _: Results) -> Iterator[tuple[Any, str]]:
    for row in rows_of(jobs, "throttled_s", "train_s", "clock_events"):
        held = row["throttled_s"] > _THROTTLED * row["train_s"]
        signs = [f"held up by a CPU quota for {row['throttled_s']:.2g} s"] if held else []
        events = str(row["clock_events"] or "").split(", ")
        signs += [event.replace("_", " ") for event in events if event in _TROUBLES]
        if signs:
            yield row, "; ".join(signs)


@doubt_kind(
    "clocks",
    "Host and device disagree by more than 2 % on how long the training took.",
    "Work may have been timed that was not the training, or not all of it waited for.",
    "Run again; if it stays, compare with --engine eager, and report it as a defect.",
)
def _clocks(jobs: pd.DataFrame, _: Results) -> Iterator[tuple[Any, str]]:
    for row in rows_of(jobs.dropna(subset="device_train_s"), "device_train_s", "train_s"):
        apart = abs(row["device_train_s"] / row["train_s"] - 1)
        if apart > CLOCKS_APART:
            host, device = f"{row['train_s']:.4g} s", f"{row['device_train_s']:.4g} s"
            yield row, f"{host} by the host, {device} by the device: {_percent(apart)} apart"


@doubt_kind(
    "first-epoch",
    "The first epoch was the slowest, by more than 10 % of the others' median.",
    "Warm-up leaked into the time, which then tells more against short trainings.",
    "Train longer with --epochs, or compare another --engine; report it if it stays.",
)
def _first_epoch(jobs: pd.DataFrame, results: Results) -> Iterator[tuple[Any, str]]:
    epochs = results.epochs.sort_values(["key", "epoch"]).astype({"train_s": "float64"})
    first = epochs.groupby("key")["train_s"].first()
    later = epochs[epochs["key"].duplicated()].groupby("key")["train_s"]
    seconds = pd.DataFrame({"usual": later.median(), "most": later.max(), "n": later.size()})
    seconds = seconds.assign(first=first)
    # Slower than every later one as well: a single late hiccup is noise, not warm-up.
    slow = (seconds["n"] >= 2) & (seconds["first"] > seconds["most"])
    slow &= seconds["first"] > SLOW_START * seconds["usual"]
    for row in rows_of(jobs[jobs["key"].isin(seconds.index[slow])]):
        took = seconds.loc[row["key"]]
        yield row, f"{took['first']:.3g} s, the later ones {took['usual']:.3g} s"


@doubt_kind(
    "spread",
    "Processes of one job differ by more than 5 % of their median, from fastest to slowest.",
    "Differences between jobs smaller than that spread cannot be told from chance.",
    "More runs with --repeats narrow the interval; a quieter machine narrows the spread.",
)
def _spread(jobs: pd.DataFrame, _: Results) -> Iterator[tuple[Any, str]]:
    for group in _systems(jobs):
        seconds = processes.per_process(group, "train_s")
        spread = (seconds.max() - seconds.min()) / seconds.median()
        if spread > SPREAD:
            extremes = f"{seconds.min():.4g} to {seconds.max():.4g} s"
            detail = f"{extremes} in {len(seconds)} processes: {_percent(spread)} of the median"
            yield group, detail


@doubt_kind(
    "mixed",
    "A system ran under other conditions than most, and not under those of most.",
    "Tables of times keep unlike rows apart, so it stands without what it would be compared to.",
    "Run the whole grid on one machine with one torch, --engine, --precision and --device.",
)
def _mixed(jobs: pd.DataFrame, _: Results) -> Iterator[tuple[Any, str]]:
    shared = {"dataset", *frames.ALIKE}
    system = [name for name in dict.fromkeys(frames.MODEL + SYSTEM) if name not in shared]
    for _name, rows in frames.by_dataset(jobs, "settings"):
        main, *others = sorted(frames.alike(rows), key=len, reverse=True)
        usual, known = main.iloc[0], set(map(tuple, main[system].to_numpy()))
        for group in others:
            # What most rows have too, model by model, is there to be compared with them.
            alone = [tuple(row) not in known for row in group[system].to_numpy()]
            first = group.iloc[0]
            unlike = [name for name in frames.ALIKE if _text(first[name]) != _text(usual[name])]
            detail = ", ".join(
                f"{name} {_text(first[name])}, most rows {_text(usual[name])}" for name in unlike
            )
            for row in group[alone].to_dict("records"):
                yield row, detail


@doubt_kind(
    "few-repeats",
    "Fewer than six processes.",
    "Only from six on is the range from fastest to slowest a 97 % interval of the median; runs in"
    " one process agree more than those of several, and count as one.",
    "Use --repeats 6, without --repeats-in-process.",
    grade="note",
)
def _few(jobs: pd.DataFrame, _: Results) -> Iterable[tuple[Any, str]]:
    for group in _systems(jobs):
        if (count := processes.count(group)) < REPEATS:
            runs = f", {words.counted(len(group), 'run')}" if len(group) > count else ""
            yield group, words.counted(count, "process", "processes") + runs


@doubt_kind(
    "dirty-commit",
    "aebench ran from a checkout with changes that are in no commit.",
    "Nobody can tell later which code was timed.",
    "Commit first, then run with a new --results folder.",
    grade="note",
)
def _dirty(jobs: pd.DataFrame, _: Results) -> Iterable[tuple[Any, str]]:
    rows = rows_of(jobs[jobs["commit"].str.endswith("+changes").eq(True)], "commit")
    return [(row, f"commit {row['commit']}") for row in rows]


@doubt_kind(
    "unwatched",
    "The record holds no noise probe.",
    "Whether the machine was quiet cannot be known.",
    "Run again with this aebench and a new --results folder.",
    grade="note",
)
def _unwatched(jobs: pd.DataFrame, _: Results) -> Iterable[tuple[Any, str]]:
    rows = rows_of(jobs[jobs["noise_before_s"].isna()], "aebench")
    return [(row, f"aebench {_text(row['aebench'])}") for row in rows]


@doubt_kind(
    "untimed",
    "The job ended ok, without a training time of its own.",
    "It has errors to compare, and is missing wherever times are compared.",
    "Run it again by another --engine.",
    grade="note",
)
def _untimed(_: pd.DataFrame, results: Results) -> Iterable[tuple[Any, str]]:
    good = results.jobs[results.jobs["status"].eq("ok")]
    return [
        (row, f"engine {_text(row['engine'])}") for row in rows_of(good[~frames.has_time(good)])
    ]


@doubt_kind(
    "unfinished",
    "The job did not end ok.",
    "It has no time, and is missing wherever times are compared.",
    "Use --retry-failed to run it again.",
    grade="note",
)
def _unfinished(_: pd.DataFrame, results: Results) -> Iterable[tuple[Any, str]]:
    rows = rows_of(results.jobs[results.jobs["status"].ne("ok")], "status", "reason")
    return [(row, f"{row['status']}: {row['reason']}") for row in rows]
