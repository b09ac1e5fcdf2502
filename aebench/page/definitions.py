"""The last sections: what words and columns mean, and the sources of data and methods."""

from __future__ import annotations

from collections.abc import Sequence

from aebench.analysis import published
from aebench.datasets import catalogue
from aebench.language import later, say
from aebench.page.parts import ABOUT, Section, table
from aebench.store import Results

METHODS = later((
    "M. Bachelard, M. Laleu: TP – AutoEncoder. The study whose findings are checked here.",
    "D. J. Schuirmann: A comparison of the two one-sided tests procedure and the power approach "
    "for assessing the equivalence of average bioavailability. Journal of Pharmacokinetics and "
    "Biopharmaceutics 15, 1987. The margin of 80 to 125 % is that of the FDA (Statistical "
    "Approaches to Establishing Bioequivalence, 2001) and the EMA (CPMP/EWP/QWP/1401/98 Rev. 1, "
    "2010).",
    "S. Holm: A simple sequentially rejective multiple test procedure. Scandinavian Journal of "
    "Statistics 6, 1979.",
    "E. D. Dolan, J. J. Moré: Benchmarking optimization software with performance profiles. "
    "Mathematical Programming 91, 2002.",
    "G. E. Dahl et al.: Benchmarking neural network training algorithms (AlgoPerf), "
    "arXiv:2306.07179, 2023. Seconds to a target, and the score of a profile.",
    "Z. Wang, A. C. Bovik, H. R. Sheikh, E. P. Simoncelli: Image Quality Assessment: From Error "
    "Visibility to Structural Similarity. IEEE Transactions on Image Processing 13(4), 2004.",
    "R. E. Krichevsky, V. K. Trofimov: The Performance of Universal Encoding. IEEE Transactions "
    "on Information Theory 27(2), 1981. Half an occurrence of every cell in the tables of codes.",
))  # fmt: skip


def section(sections: Sequence[Section]) -> Section:
    """What the columns of the tables shown hold, and then every column of a stored job."""
    shown = [table for section in sections for table in section.all_tables()]
    about = {c.head: c.meaning for table in shown for c in table.columns if c.about}
    about |= {name: say(text) for name, text in ABOUT.items()}
    meanings = table(
        say("What each column holds"),
        "column\nwhat it holds",
        about.items(),
        id="definitions-table",
    )
    return Section(
        "definitions",
        say("Words and columns"),
        (
            say(
                "Study error is the study's own figure: the sum over the full test batches of 128 "
                "of "
                "each batch's mean squared error, 78 batches for 10,000 images, so about 78 times "
                "the "
                "MSE. MSE is per pixel over the whole test set, pixels in [0, 1]."
            ),
            say(
                "Bottleneck counts the numbers per image that pass through the code; compression "
                "is "
                "the image's numbers over the bottleneck, and nothing is compressed at 1 or below."
            ),
            say(
                "Intervals are 95 % intervals of Student's t on the logarithm, over seeds for "
                "errors "
                "and over runs for times; that of seconds to a target, which some runs never "
                "reach, is "
                "of their order statistics. Seeds are repeated for errors, repeats for times. "
                "Errors "
                "depend on the job only; times also on machine and software, and are compared only "
                "where all of that is alike and nothing else ran."
            ),
        ),
        folded=(meanings,),
    )


def sources(results: Results) -> Section:
    """The study, the methods, the datasets that occur, and what others have published of them."""
    known = sorted({*results.jobs["dataset"]} & {*catalogue.names()})
    cited = (catalogue.info(name).citation for name in known)
    others = dict.fromkeys(f.citation for name in known for f in published.of(name))
    return Section(
        "sources", say("Sources"), lists=(*map(say, METHODS), *filter(None, cited), *others)
    )
