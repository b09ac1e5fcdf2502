"""The first screen: one sentence that says what was found, the tally, and two pictures.

Everything that a reader with ten seconds takes away. Where models of the study were run the second
picture sets its figures beside ours; where none was, it is a ranking of what was.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from aebench.analysis import frames, ranking, words
from aebench.analysis.evidence import Verdict
from aebench.analysis.origin import Origin, origin
from aebench.analysis.outcomes import Outcome, tally, tested
from aebench.analysis.ranking import Best
from aebench.language import later, plural, say
from aebench.page import digits, ranking_plot, replication_plot, verdicts
from aebench.page.answers import Answer
from aebench.page.best_sentences import headline
from aebench.page.cards import SYMBOLS
from aebench.page.dots import DotTable
from aebench.page.images import Images
from aebench.store import Results

_MONTHS = later((
    "January", "February", "March", "April", "May", "June", "July", "August", "September",
    "October", "November", "December",
))  # fmt: skip
_NAMED = 3  # data sets that a title names
_COMMANDS = 12  # command lines that are told


@dataclass(frozen=True)
class Head:
    """What stands at the head of the page.

    `title` is that of the browser's window, `h1` that of the page; `tally` is empty where nothing
    of the study was run. `where` says of which grid and days the records are, `jobs` how many there
    are, and `more` is told on demand.
    """

    title: str
    h1: str
    found: str
    tally: tuple[tuple[Verdict, str, int], ...]
    where: str
    jobs: str
    commands: tuple[str, ...]
    other_commands: int
    digits: digits.Digits | None
    plot: DotTable | None
    more: tuple[str, ...]


def head(
    results: Results,
    outcomes: Sequence[Outcome],
    known: Sequence[Answer],
    images: Images,
    searched: int = 0,
) -> Head:
    """The head of the page; `results` are ordered and marked, and without those of searches.

    Of these there are `searched` more jobs. `known` is what `answers` found in `results`, `images`
    are those that the page has already.
    """
    dataset = ranking.main_dataset(results.jobs)
    studied = tested(outcomes)
    best, pictures, plot = None, None, None
    if dataset is not None:
        mine = ranking.on(results, dataset)
        best = ranking.best(mine)
        models = [o.finding.model for o in outcomes if o.finding.model is not None]
        theirs = [model for model in models if model.dataset == dataset]
        pictures = digits.digits(mine, ranking.pictured(mine, best, theirs), images)
        plot = None if studied else ranking_plot.plot(*ranking.ranked(mine))
    plot = replication_plot.plot(outcomes) if studied else plot
    source, said = origin(results.jobs), verdicts.sentences(results, outcomes)
    h1 = title(results, studied)
    of_searches = (
        words.counted(searched, "candidate of searches", "candidates of searches")
        if searched
        else ""
    )
    days = _days(source)
    where = ", ".join(
        filter(None, [say("grid {grid}", grid=source.grid) if source.grid else "", days])
    )
    return Head(
        title=f"{h1} ({where})" if where else h1,
        h1=h1,
        found=found(results, outcomes, known, searched),
        tally=tuple((v, SYMBOLS[v], n) for v, n in tally(outcomes).items() if studied),
        where=where,
        jobs=words.listed(filter(None, [words.counted(len(results.jobs), "job"), of_searches])),
        commands=source.commands[:_COMMANDS],
        other_commands=len(source.commands[_COMMANDS:]),
        digits=pictures,
        plot=plot,
        more=tuple(said),
    )


def title(results: Results, studied: bool) -> str:
    """What a report of `results` is called, by what is in it: of the study, or of others."""
    names = [words.short(words.dataset(name)) for name in dict.fromkeys(results.jobs["dataset"])]
    if len(names) > _NAMED:
        rest = len(names) - _NAMED + 1
        names = [*names[: _NAMED - 1], words.counted(rest, "more data set")]
    on = say(" on {names}", names=words.listed(names)) if names else ""
    return say("What replicates{on}", on=on) if studied else say("Best autoencoders{on}", on=on)


def _days(source: Origin) -> str:
    """The days of the records: 24 November 2026, 24 to 28 November 2026."""
    first, last = source.first, source.last
    if first is None or last is None:
        return ""
    if first == last:
        return _day(first)
    if (first.year, first.month) == (last.year, last.month):
        return words.span([str(first.day), _day(last)])
    return words.span([_day(first), _day(last)])


def _day(day: date) -> str:
    month = say(_MONTHS[day.month - 1])
    if day.day == 1:  # which is an ordinal number in some languages
        return say("1 {month} {year}", month=month, year=day.year)
    return say("{day} {month} {year}", day=day.day, month=month, year=day.year)


def found(
    results: Results, outcomes: Sequence[Outcome], known: Sequence[Answer], searched: int = 0
) -> str:
    """What was found, in one sentence: of the study, then which family is better, or which model.

    Where nothing is decided between families the best model stands for what is known.
    """
    said = [_of_the_study(outcomes)] if tested(outcomes) else []
    finished = len(frames.done(results.jobs))
    dataset = ranking.main_dataset(results.jobs)
    if better := headline(known):
        said.append(better)
    elif dataset is not None and (best := ranking.best(ranking.on(results, dataset))):
        said.append(_of_the_best(best))
    if not said and finished:
        said = [
            say(
                "{finished} finished, none with a code smaller than the image",
                finished=words.counted(finished, "job"),
            )
        ]
    if not said and searched:
        said = [say("all of these are candidates of searches")]
    text = words.clauses(said) or say("no job in these results finished")
    return f"{text[:1].upper()}{text[1:]}."


def _of_the_study(outcomes: Sequence[Outcome]) -> str:
    n = tally(outcomes)
    good, bad, near = n["replicated"], n["not replicated"], n["consistent"]
    if good:
        against = say("none is contradicted")
        if bad:
            against = plural(bad, "{n} does not", "{n} do not")
        return plural(
            good,
            "{n} of the study's findings replicates and {against}",
            "{n} of the study's findings replicate and {against}",
            against=against,
        )
    if bad:
        return plural(
            bad,
            "{n} of the study's findings does not replicate and none does",
            "{n} of the study's findings do not replicate and none does",
        )
    if near:
        return plural(
            near,
            "no finding of the study is decided yet, but {n} is consistent with it",
            "no finding of the study is decided yet, but {n} are consistent with it",
        )
    return say("no finding of the study is decided yet")


def _of_the_best(best: Best) -> str:
    """The best model at the main bottleneck, and what it is better than."""
    first, dataset = best.rows.iloc[0], words.short(words.dataset(best.dataset))
    size = words.counted(round(best.bottleneck), "number")
    name = words.short(ranking_plot.named(first)[0])
    settings = (
        "" if first["settings"] == "study" else f" ({words.short(words.under(first['settings']))})"
    )
    text = say("with {size} per {dataset} image {name}", size=size, dataset=dataset, name=name)
    text += settings
    if words.missing(first["ratio"]):
        error, other = say("an MSE of {mse}", mse=words.number(first["mse"])), "mse"
    else:
        factor = words.number(first["ratio"])
        error, other = say("{factor} times the error of PCA", factor=factor), "ratio"
    if len(best.rows) == 1:
        return say("{model} has {error}", model=text, error=error)
    second = best.rows.iloc[1]
    rival = words.short(ranking_plot.named(second)[0])
    than = say("ahead of") if best.clear else say("though not clearly ahead of")
    theirs = words.number(second[other])
    theirs += say(" times") if other == "ratio" else ""
    return say(
        "{model} is best, with {error}, {than} {rival} ({theirs})",
        model=text, error=error, than=than, rival=rival, theirs=theirs,
    )  # fmt: skip
