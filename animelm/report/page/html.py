"""Renders the report as one HTML page that needs nothing else."""

from functools import cache
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from animelm import __version__
from animelm.data.held_out import QUESTION_SETS
from animelm.report.page.accuracy import AccuracyExhibits
from animelm.report.page.answers import answer_data
from animelm.report.page.content import Content
from animelm.report.page.drawing.svg import to_svg
from animelm.report.page.exhibit import Exhibit
from animelm.report.page.findings import asked_sets, before_and_after_models, findings
from animelm.report.page.made import attribution, configs, made_exhibits
from animelm.report.page.process import router_exhibits, training_exhibits
from animelm.report.page.texts import Language, load_texts

MOST_QUESTIONS = 5000
# Words that the page's script shows.
_SCRIPT_TEXTS = ("page", "found", "all", "rivals", "right", "wrong", "expected", "question")


def report_page(content: Content, language: Language, questions: int = MOST_QUESTIONS) -> str:
    """The page.

    Args:
        content: of the folder that is reported.
        language: of its words; questions and answers stay as they are.
        questions: largest number of questions whose answers are shown.
    """
    texts = load_texts(language)
    summary = content.summary
    accuracy = AccuracyExhibits(summary, content.results, texts) if summary else None
    pair = before_and_after_models(summary) if summary else None
    models = list(summary.models) if summary else []
    asked = asked_sets(summary) if summary else []
    answers = None
    if content.results:
        answers = answer_data(content.results, models, questions, texts)
        answers["pair"] = [models.index(name) for name in pair or models[:1]]
        answers["outcomes"] = {
            name: texts(f"outcomes.{name}") for name in ("gained", "kept", "lost", "never_known")
        }
        answers["texts"] = {name: texts(f"answers.{name}") for name in _SCRIPT_TEXTS}
        answers["nothing"] = texts("nothing")
    return _template().render(
        texts=texts,
        content=content,
        findings=findings(summary, texts),
        main=accuracy.main() if accuracy else None,
        explained=[name for name in asked if name in QUESTION_SETS],
        pictures=accuracy.pictures() if accuracy else [],
        outcomes=accuracy.outcomes() if accuracy else None,
        answers=answers,
        training=training_exhibits(content.runs, texts),
        routers=router_exhibits(content.routers, content.runs, texts),
        made=made_exhibits(content, texts),
        attribution=attribution(content.runs, texts) if content.runs else [],
        configs=configs(content.runs, texts),
        style=_asset("report.css"),
        script=_asset("report.js"),
        version=__version__,
    )


def _asset(name: str) -> str:
    return (files("animelm.report.page") / name).read_text(encoding="utf-8")


def _inline(exhibit: Exhibit) -> str:
    """The picture; the library has escaped the texts in it."""
    assert exhibit.figure is not None
    return to_svg(exhibit.figure, exhibit.name, exhibit.title)


@cache
def _template() -> Template:
    environment = Environment(
        autoescape=True,
        loader=PackageLoader("animelm.report", "page"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["inline"] = _inline
    # Japanese text as it is; escaped as \uXXXX it would take twice the space.
    environment.policies["json.dumps_kwargs"] = {
        "ensure_ascii": False,
        "separators": (",", ":"),
        "sort_keys": False,
    }
    return environment.get_template("report.html.j2")
