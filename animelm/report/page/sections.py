"""What a report says and shows, before it is written as a page or as Markdown."""

from dataclasses import dataclass

from animelm.report.page.accuracy import AccuracyExhibits
from animelm.report.page.content import Content
from animelm.report.page.exhibit import Exhibit
from animelm.report.page.findings import cautions, findings
from animelm.report.page.made import attribution
from animelm.report.page.process import router_exhibits, training_exhibits
from animelm.report.page.texts import Texts


@dataclass(frozen=True)
class Sections:
    """The parts of a report.

    Attributes:
        findings: a sentence on what was learned, and one on what was lost.
        cautions: sentences on figures that rest on few works.
        main: accuracies and perplexities; None without a comparison.
        pictures: accuracies as pictures.
        outcomes: what became of each question; None with fewer than two models.
        training: of the fits.
        routers: which experts were chosen.
        attribution: a line for each source of articles.
    """

    findings: list[str]
    cautions: list[str]
    main: Exhibit | None
    pictures: list[Exhibit]
    outcomes: Exhibit | None
    training: list[Exhibit]
    routers: list[Exhibit]
    attribution: list[str]


def make_sections(content: Content, texts: Texts, every_pair: bool = True) -> Sections:
    """The parts of the report on a folder.

    Args:
        content: of the folder.
        texts: words of the report.
        every_pair: whether outcomes are shown of every pair of models, or of each model against
            the first one.
    """
    summary = content.summary
    accuracy = AccuracyExhibits(summary, content.results, texts) if summary else None
    return Sections(
        findings=findings(summary, texts),
        cautions=cautions(summary, texts),
        main=accuracy.main() if accuracy else None,
        pictures=accuracy.pictures() if accuracy else [],
        outcomes=accuracy.outcomes(every_pair) if accuracy else None,
        training=training_exhibits(content.runs, texts, compared=summary is not None),
        routers=router_exhibits(content.routers, content.runs, texts),
        attribution=attribution(content.runs, texts) if content.runs else [],
    )
