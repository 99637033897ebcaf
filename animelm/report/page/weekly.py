"""The report as a weekly report in Japanese: Markdown, with pictures beside it."""

import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from animelm import __version__
from animelm.data.held_out import ONLY_READ, UNREHEARSED
from animelm.evaluate.comparison.outcomes import OUTCOMES, changes
from animelm.evaluate.results import Result
from animelm.evaluate.summary import Summary
from animelm.files import make_folder, write_whole
from animelm.report.page.content import Content
from animelm.report.page.drawing.svg import to_svg
from animelm.report.page.exhibit import Exhibit, PageTable, percent
from animelm.report.page.findings import (
    before_and_after_models,
    few_works,
    learned_and_lost_sets,
)
from animelm.report.page.made import data_rows, method_table
from animelm.report.page.sections import make_sections
from animelm.report.page.texts import Texts, load_texts

_EXAMPLES = 3  # of each outcome
_SPECIAL = re.compile(r"([\\`*_\[\]<>|~$^#@&])")


def write_weekly_report(path: Path, content: Content) -> None:
    """Writes the report, and its pictures into a folder beside it.

    Args:
        path: the file; its pictures lie in a folder of its name and ``-files``.
        content: of the folder that is reported.

    Raises:
        UserError: a file cannot be written.
    """
    texts = load_texts("ja")
    summary = content.summary
    sections = make_sections(content, texts, every_pair=False)
    folder = path.with_name(f"{path.stem}-files")
    shown = [
        *([sections.main] if sections.main else []),
        *sections.pictures,
        *sections.training,
        *sections.routers,
    ]
    make_folder(folder, "--output")
    for exhibit in shown:
        if exhibit.figure is not None:
            picture = to_svg(exhibit.figure, exhibit.name, exhibit.title, themed=False)
            write_whole(folder / f"{exhibit.name}.svg", picture + "\n")
    text = _template().render(
        texts=texts,
        content=content,
        sections=sections,
        data=data_rows(content.runs),
        method=method_table(content.runs),
        shape=_shape(content),
        exhibits=[exhibit for exhibit in shown if exhibit.name not in ("curves", "drift")],
        process=[exhibit for exhibit in shown if exhibit.name in ("curves", "drift")],
        examples=_examples(content, texts) if summary else [],
        tasks=_tasks(summary) if summary else [],
        folder=folder.name,
        version=__version__,
    )
    write_whole(path, text.strip() + "\n")


def _shape(content: Content) -> str | None:
    """Layers and experts, as the routers' statistics have them."""
    shares = next((r.router_shares for r in content.runs if r.router_shares is not None), None)
    return None if shares is None else f"{shares.shape[0]}層、各層{shares.shape[1]}エキスパート"


def _examples(content: Content, texts: Texts) -> list[tuple[str, PageTable]]:
    """A few questions of each outcome, from the sets on what was learned and lost."""
    summary = content.summary
    assert summary is not None
    pair = before_and_after_models(summary)
    if pair is None or not content.results:
        return []
    first, last = ([r for r in content.results if r.model == name] for name in pair)
    before = {(r.seed, r.held_out_set, r.id): r for r in reversed(first)}
    titles = [texts.name("models", name) for name in pair]
    head = [texts("answers.question"), texts("answers.expected"), *titles]
    wanted = [name for name in learned_and_lost_sets(summary) if name is not None]
    found = [each for each in changes(first, last) if each.question.held_out_set in wanted]
    tables = []
    for outcome in OUTCOMES:
        members = [each.question for each in found if each.outcome == outcome]
        rows = [
            _example(before[result.seed, result.held_out_set, result.id], result)
            for result in _of_different_works(members)[:_EXAMPLES]
        ]
        if rows:
            tables.append((texts(f"outcomes.{outcome}"), PageTable(head, rows)))
    return tables


def _of_different_works(results: Sequence[Result]) -> list[Result]:
    """The first result of each work."""
    return list({result.work: result for result in reversed(results)}.values())[::-1]


def _example(before: Result, after: Result) -> list[str]:
    answers = [
        f"{'○' if result.accuracy >= 0.5 else '×'} {result.output or '(回答なし)'}"
        for result in (before, after)
    ]
    return [after.question, after.answers[0], *answers]


def _tasks(summary: Summary) -> list[str]:
    """What the figures themselves call for next."""
    pair = before_and_after_models(summary)
    if pair is None:
        return []
    tasks = []
    after = summary.models[pair[1]]
    differences = summary.differences.get(f"{pair[1]}-{pair[0]}", {})
    lost = differences.get(UNREHEARSED)
    if lost and lost.ci95 and lost.ci95[1] < 0:
        points = f"{100 * -lost.accuracy:.1f}"
        tasks.append(
            f"リプレイの対象としなかった一般知識の正答率が{points}ポイント低下した。学習率の引き下げ、"
            "リプレイの対象範囲の拡大などにより、忘却の抑制を図る。"
        )
    read = after.sets.get(ONLY_READ)
    if read and read.n:
        tasks += _tasks_on_reading(summary, pair[1])
        if ONLY_READ in few_works(summary):
            tasks.append(
                f"記事のみを学習した作品の評価は{read.works}作品に基づくため、信頼区間が広い。"
                "評価対象の作品数を増やす。"
            )
    if len(summary.seeds) == 1 and all(each.spread is None for each in after.sets.values()):
        tasks.append("シードが1つであるため、複数のシードで実験し、結果のばらつきを確認する。")
    return tasks


def _tasks_on_reading(summary: Summary, name: str) -> list[str]:
    tasks = []
    directions = summary.models[name].sets[ONLY_READ].directions
    forward, reverse = (
        directions[each].accuracy if each in directions else None for each in ("forward", "reverse")
    )
    if forward is not None and reverse is not None and forward - reverse > 0.1:
        tasks.append(
            f"記事のみを学習した作品では、逆方向の正答率({percent(reverse)})が順方向"
            f"({percent(forward)})を下回る。値を先に述べる文を記事に増やすなどの対策を検討する。"
        )
    wiped = summary.differences.get(f"{name}-cpt", {}).get(ONLY_READ) if name != "cpt" else None
    if wiped and wiped.ci95 and wiped.ci95[1] < 0:
        tasks.append(
            "SFTにより、CPTで獲得した知識の一部が失われた。SFTにおける記事のリプレイの割合を見直す。"
        )
    return tasks


def escape(text: object) -> str:
    """The text on one line, so that Markdown shows it as it is."""
    return _SPECIAL.sub(r"\\\1", " ".join(str(text).split()))


def _table(table: PageTable) -> str:
    """A table in Markdown's pipe form."""
    head = [escape(cell) or " " for cell in table.head]
    lines = [head, ["---"] * len(head), *([escape(cell) for cell in row] for row in table.rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _picture(exhibit: Exhibit, folder: str) -> str:
    return f"![{escape(exhibit.title)}]({folder}/{exhibit.name}.svg)"


@cache
def _template() -> Template:
    # Autoescape would write HTML's references; every text goes through Markdown's own escape.
    environment = Environment(
        autoescape=False,
        loader=PackageLoader("animelm.report", "page"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"md": escape, "table": _table, "picture": _picture}
    return environment.get_template("weekly.md.j2")
