"""Renders the report as one HTML page that needs nothing else."""

from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from animelm import __version__
from animelm.evaluate.comparison.outcomes import OUTCOMES
from animelm.report.page.answers import answer_data
from animelm.report.page.content import Content
from animelm.report.page.drawing.svg import to_svg
from animelm.report.page.exhibit import Exhibit
from animelm.report.page.findings import asked_sets, before_and_after_models
from animelm.report.page.made import configs, made_exhibits
from animelm.report.page.sections import make_sections
from animelm.report.page.texts import Language, Texts, load_texts

MOST_QUESTIONS = 5000
# Words that the page's script shows.
_SCRIPT_TEXTS = ("page", "all", "rivals", "right", "wrong", "expected", "question")


def report_page(content: Content, language: Language, questions: int = MOST_QUESTIONS) -> str:
    """The page.

    Args:
        content: of the folder that is reported.
        language: of its words; questions and answers stay as they are.
        questions: largest number of questions whose answers are shown.
    """
    texts = load_texts(language)
    asked = asked_sets(content.summary) if content.summary else []
    return _template().render(
        texts=texts,
        content=content,
        sections=make_sections(content, texts),
        explained=[name for name in asked if texts.has("set_notes", name)],
        answers=_answers(content, questions, texts),
        made=made_exhibits(content, texts),
        configs=configs(content.runs, texts),
        style=_asset("report.css"),
        script=_asset("report.js"),
        version=__version__,
    )


def _answers(content: Content, most: int, texts: Texts) -> dict[str, Any] | None:
    """The answers, and the words with which the page's script shows them."""
    summary = content.summary
    if summary is None or not content.results:
        return None
    models = list(summary.models)
    pair = before_and_after_models(summary) or tuple(models[:1])
    return {
        **answer_data(content.results, models, most, texts),
        "pair": [models.index(name) for name in pair],
        "outcomes": {name: texts(f"outcomes.{name}") for name in OUTCOMES},
        "texts": {name: texts(f"answers.{name}") for name in _SCRIPT_TEXTS},
        "found": texts.forms("found"),
        "nothing": texts("nothing"),
    }


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
