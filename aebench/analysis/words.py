"""How values are written: numbers, counts, names of models, settings and conditions.

One place, so that a value looks the same in a sentence, a table and a chart.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from aebench import language
from aebench.datasets import catalogue
from aebench.job import named
from aebench.language import numeral, say, sense

NONE = "–"
_ON_CHART = 40  # characters of a name on a chart
_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def known(value: object) -> str:
    """A value in words, or that it is unknown."""
    return say("unknown") if missing(value) else str(value)


def missing(value: Any) -> bool:
    """Tell whether a cell of a frame holds nothing: None, NaN or an empty string."""
    return value is None or value == "" or value != value


def number(value: Any) -> str:
    """Write a measured number with three significant digits: 0.605, 12.3, 4.10 × 10⁻⁵.

    Every figure, wherever it stands: one that is 0.12 here and 0.118 there looks like two.
    """
    return NONE if missing(value) else _with_digits(float(value), 3)


def _with_digits(value: float, digits: int) -> str:
    if not math.isfinite(value):
        return str(value)
    if value == 0:
        return "0"
    exponent = math.floor(math.log10(abs(float(f"{value:.{digits - 1}e}"))))
    if exponent < -4 or exponent > 6:
        mantissa = numeral(value / 10**exponent, f".{digits - 1}f")
        return f"{mantissa} × 10{str(exponent).translate(_SUPERSCRIPT)}"
    return numeral(value, f",.{max(0, digits - 1 - exponent)}f")


def tick(value: float, *, powers: bool = False) -> str:
    """Write a number beside an axis, no longer than it must be: 0.2, 0.185, 0.00001.

    An axis that goes far down has them all as `powers` of ten: 10⁻⁶, 2 × 10⁻⁶.
    """
    digits = next((d for d in (1, 2) if float(f"{value:.{d - 1}e}") == float(f"{value:.6e}")), 3)
    mantissa, _, exponent = f"{value:.{digits - 1}e}".partition("e")
    if powers and value:
        power = f"10{str(int(exponent)).translate(_SUPERSCRIPT)}"
        return power if float(mantissa) == 1 else f"{numeral(mantissa)} × {power}"
    if 0 < abs(value) < 1:
        return numeral(value, f".{digits - 1 - int(exponent)}f")
    return _with_digits(value, digits)


def count(value: Any) -> str:
    """Write a whole number with thousands separated: 10,816."""
    if missing(value) or not math.isfinite(float(value)):
        return NONE
    return numeral(round(float(value)), ",")


def between(low: float | None, high: float | None) -> str:
    """Write an interval: 0.59 to 0.62; a dash where there is none."""
    if low is None or high is None or missing(low) or missing(high):
        return NONE
    return say("{low} to {high}", low=number(low), high=number(high))


def span(ends: Iterable[str]) -> str:
    """Write what reaches from one end to the other, or the one where both are the same."""
    low, *high = dict.fromkeys(ends)
    return say("{low} to {high}", low=low, high=high[0]) if high else low


def headed(head: str, told: str) -> str:
    """Write what is told under a head: MNIST: 3 models."""
    return say("{head}: {told}", head=head, told=told)


def clauses(said: Iterable[str]) -> str:
    """Join what is said in one sentence, in turn."""
    return say("; ").join(said)


def counted(n: int, noun: str, plural: str = "") -> str:
    """Write a number of things: 1 job, 2 jobs, 3 entries."""
    return f"{numeral(n, ',')} {language.plural(n, noun, plural or noun + 's')}"


def at_most(p: float) -> str:
    """Write the largest of some p-values: p < 0.001, p ≤ 0.012."""
    if p < 0.001:
        return f"p < {numeral(0.001)}"
    return f"p ≤ {numeral(math.ceil(p * 1000) / 1000, '.3f')}"


def percent(share: Any) -> str:
    """Write a share of one in percent: 71.1 %."""
    return NONE if missing(share) else in_percent(numeral(100 * float(share), ".1f"))


def in_percent(written: str) -> str:
    """A number that is written already, in percent."""
    return say("{number} %", number=written)


def text(value: Any) -> str:
    """Write a text, or a dash where there is none."""
    return NONE if missing(value) else str(value)


def seeds(n: int, noun: str = "seed") -> str:
    """Write how many draws a figure rests on: one seed, 2 seeds, 3 pairs."""
    if noun == "pair":
        return language.plural(n, "one pair", "{n} pairs")
    return language.plural(n, "one seed", "{n} seeds")


def listed(words: Iterable[str]) -> str:
    """Join words as in a sentence: a, b and c."""
    items = list(words)
    if len(items) < 2:
        return "".join(items)
    return say("{most} and {last}", most=", ".join(items[:-1]), last=items[-1])


def model(architecture: str, latent: Any, depth: Any = 1) -> str:
    """Name a model as `Job.name` does: mlp-512, conv-128 depth 2, conv-16 (kernel=5).

    What `names.told_apart` says of an architecture, in brackets after its name, comes last.
    """
    family, bracket, told = architecture.partition(" (")
    deep = f" {deeper(depth)}" if int(depth) > 1 else ""
    return f"{family}-{int(latent)}{deep}{bracket}{told}"


def deeper(depth: Any) -> str:
    """The depth of a model, where it is not one."""
    return say("depth {depth}", depth=int(depth))


def model_of(row: Any) -> str:
    """Name the model of a row that has `frames.MODEL`."""
    return model(row["architecture"], row["latent"], row["depth"])


def plain(model_name: str) -> str:
    """The name of a model without what is told in brackets: mlp-128 depth 2."""
    return model_name.partition(" (")[0]


def model_on(row: Any) -> str:
    """Name the model of a row with its dataset: mlp-512 on MNIST."""
    return on(model_of(row), dataset(row["dataset"]))


def on(what: str, where: str) -> str:
    """Write on what data set, or machine, something is: mlp-512 on MNIST."""
    return say("{what} on {where}", what=what, where=where)


def job(row: Any, *, without: Iterable[str] = ()) -> str:
    """Name a row of the `jobs` table as `Job.name` does, without the fields named."""
    left_out = set(without)
    parts = [f"{row['dataset']} {model_of(row)}"]
    options = "" if missing(row.get("options")) or "options" in left_out else row["options"]
    parts += [f"({options})"] if options and f"({options})" not in parts[0] else []
    usually = {"protocol": "study", "engine": "eager", "precision": "fp32", "device": "cpu"}
    parts += [
        str(row[name])
        for name, usual in usually.items()
        if row[name] != usual and name not in left_out
    ]
    parts += [] if missing(row["modified"]) else [f"({row['modified']})"]
    told = "" if missing(row.get("code")) or "code" in left_out else named(row["code"])
    parts += [told] if told and told not in row["architecture"] else []
    numbered = [name for name in ("seed", "repeat") if name not in left_out and row[name]]
    return " ".join(parts + [f"{name} {row[name]}" for name in numbered])


def short(name: str, most: int = _ON_CHART) -> str:
    """A name for a chart, which has little room: the middle of a long one is left out."""
    return name if len(name) <= most else f"{name[: most // 2]}…{name[-(most - most // 2 - 1) :]}"


def line(architecture: str, depth: Any) -> str:
    """Name a family of models that differ only in latent size: conv, conv depth 2."""
    family, bracket, told = architecture.partition(" (")
    return family + (f" {deeper(depth)}" if int(depth) > 1 else "") + bracket + told


def dataset(name: str) -> str:
    """Name a dataset as people write it; one we do not know keeps its own name."""
    return catalogue.info(name).short or name if name in catalogue.names() else name


def titled(dataset_name: str, settings: str) -> str:
    """Name a dataset and, where they are not the study's, the settings: MNIST, tuned."""
    return dataset(dataset_name) + ("" if settings == "study" else f", {under(settings)}")


def under(settings: str) -> str:
    """Write settings as `names.settings` names them: study, study with epochs=2."""
    protocol, changed, changes = str(settings).partition(" with ")
    if not changed:
        return protocol
    return say("{protocol} with {changes}", protocol=protocol, changes=say(changes))


def doubts(kinds: str) -> str:
    """Write the kinds of doubt that the column `doubt` names."""
    return ", ".join(sense("doubt", kind) for kind in kinds.split(", "))


def conditions(row: Any) -> str:
    """Say under which conditions a time was taken; `row` has the columns of `frames.ALIKE`."""
    threads = "" if missing(row["threads"]) else counted(int(row["threads"]), "thread")
    parts = [
        row["device_name"],
        row["device"],
        "" if missing(row["engine"]) else say("engine {engine}", engine=row["engine"]),
        row["precision"],
        threads,
        "" if missing(row["torch"]) else f"torch {row['torch']}",
        "" if missing(row["machine_id"]) else say("machine {id}", id=row["machine_id"][:8]),
    ]
    return ", ".join(str(part) for part in parts if not missing(part))


def size(number_of_bytes: Any) -> str:
    """Write a size in memory in GiB."""
    if missing(number_of_bytes):
        return NONE
    return say("{size} GiB", size=numeral(float(number_of_bytes) / 2**30, ".1f"))
