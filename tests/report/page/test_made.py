"""What a report says of its data's authors."""

from pathlib import Path

import pytest

from animelm.report.page.made import attribution
from animelm.report.page.texts import load_texts
from animelm.report.page.training import TrainingRun

ARTICLE = """\
---
title: 川
license: CC BY-SA 4.0
source: https://example.org/川
---
# 川
"""


def _run(folder: Path, held_out: float | None = 0.05) -> TrainingRun:
    step = {
        "data": [{"role": "articles", "path": str(folder)}],
        "split": {"validation_share": held_out},
    }
    return TrainingRun("cpt", {}, 0.0, steps=(step,))


@pytest.fixture
def articles(tmp_path: Path) -> Path:
    folder = tmp_path / "articles"
    folder.mkdir()
    (folder / "1.md").write_text(ARTICLE, encoding="utf-8")
    return folder


def test_license_and_sources_are_named_and_what_was_not_trained_on(articles: Path) -> None:
    [line] = attribution([_run(articles)], load_texts("en"))
    assert "articles: CC BY-SA 4.0. Sources: example.org." in line
    assert line.endswith("Of these articles 5 % were held out, and were not trained on.")
    [japanese] = attribution([_run(articles)], load_texts("ja"))
    assert japanese.endswith("このうち5%の記事は検証用であり、学習には用いていない。")


def test_nothing_is_said_of_held_out_articles_where_there_are_none(articles: Path) -> None:
    [line] = attribution([_run(articles, held_out=None)], load_texts("en"))
    assert "held out" not in line


def test_a_folder_that_is_gone_is_not_taken_for_one_without_a_license(tmp_path: Path) -> None:
    [gone] = attribution([_run(tmp_path / "nowhere")], load_texts("en"))
    assert "nowhere: the folder is no longer there" in gone
    (tmp_path / "1.md").write_text("# 川\n", encoding="utf-8")
    [without] = attribution([_run(tmp_path)], load_texts("en"))
    assert "no article names a license" in without
