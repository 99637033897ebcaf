import json
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from animelm.report.page.content import read_content
from animelm.report.page.weekly import escape, write_weekly_report

HEADINGS = [
    "今週の進捗",
    "訓練データ",
    "モデル",
    "学習手法と対象パラメータ",
    "実験設定と結果",
    "今後の課題",
]


@pytest.fixture(scope="module")
def week(comparison: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weekly") / "week.md"
    write_weekly_report(path, read_content(comparison))
    return path


def test_the_weekly_report_has_the_groups_form(week: Path) -> None:
    text = week.read_text(encoding="utf-8")
    assert re.findall(r"^## (.*)$", text, flags=re.M) == HEADINGS
    assert "(6作品、24問)における正答率は75.0%であり、ベースを66.7ポイント上回った" in text
    assert "| LoRAのランク | 8 |" in text and "cdcdcdcdcdcd" in text
    # 6 works are few, the loss is beyond its interval, and there is one seed.
    tasks = text.partition("## 今後の課題")[2]
    assert "66.7ポイント低下した" in tasks and "6作品に基づく" in tasks and "シードが1つ" in tasks


def test_the_first_table_has_the_figures_of_the_summary(week: Path, comparison: Path) -> None:
    text = week.read_text(encoding="utf-8").replace("\\", "")
    models = json.loads((comparison / "summary.json").read_text(encoding="utf-8"))["models"]
    for name, title in (
        ("anime_only_read", "アニメ(記事のみ学習) | 24問、6作品"),
        ("general_unrehearsed", "一般知識(リプレイ対象外) | 24問、6主題"),
    ):
        scores = [models[model][name] for model in ("base", "sft")]
        cells = [
            f"{100 * each['accuracy']:.1f}% [{100 * low:.1f}, {100 * high:.1f}]"
            for each in scores
            for low, high in [each["ci95"]]
        ]
        control = f"{100 * scores[0]['control_accuracy']:.1f}%"
        assert f"| {title} | {' | '.join(cells)} | {control} |" in text
    counts = json.loads((comparison / "summary.json").read_text(encoding="utf-8"))
    gained = counts["differences"]["sft-base"]["anime_only_read"]["outcomes"]
    row = f"| CPT + SFT − ベース | アニメ(記事のみ学習) | {' | '.join(map(str, gained.values()))} |"
    assert row in text


def test_a_fit_alone_is_reported_without_a_word_on_a_comparison(
    comparison: Path, tmp_path: Path
) -> None:
    write_weekly_report(tmp_path / "fit.md", read_content(comparison / "cpt"))
    text = (tmp_path / "fit.md").read_text(encoding="utf-8")
    assert re.findall(r"^## (.*)$", text, flags=re.M) == HEADINGS
    assert "検証には開発用の質問を用いた。" in text
    assert "比較の評価には含まれない" not in text and "上記" not in text


def test_pictures_lie_beside_the_report_and_are_whole(week: Path) -> None:
    text = week.read_text(encoding="utf-8")
    named = re.findall(r"!\[.*?\]\((.*?)\)", text)
    assert len(named) >= 6
    assert {week.parent / name for name in named} == set((week.parent / "week-files").iterdir())
    for name in named:
        root = ElementTree.parse(week.parent / name).getroot()
        assert root.tag.endswith("svg")
        assert "var(--" not in (week.parent / name).read_text(encoding="utf-8")


def test_every_table_row_has_as_many_cells_as_its_head(week: Path) -> None:
    tables: list[list[str]] = [[]]
    for line in week.read_text(encoding="utf-8").splitlines():
        if line.startswith("|"):
            tables[-1].append(line)
        elif tables[-1]:
            tables.append([])
    for rows in filter(None, tables):
        assert len({len(re.findall(r"(?<!\\)\|", row)) for row in rows}) == 1, rows[0]


def test_text_is_never_markdown() -> None:
    assert escape("<b>*a*</b>|[x](y)\n$z$") == r"\<b\>\*a\*\</b\>\|\[x\](y) \$z\$"
