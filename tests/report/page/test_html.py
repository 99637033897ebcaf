import json
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from animelm.evaluate.summary import Summary, paired_differences, summarize_model
from animelm.report.page.content import Content, read_content
from animelm.report.page.html import report_page
from animelm.report.page.texts import load_texts


class Tables(HTMLParser):
    """The rows of the tables under each figure's id."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: dict[str, list[list[str]]] = {}
        self._figure, self._cell = "", False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "figure":
            self._figure = str(dict(attrs)["id"])
        elif tag == "tr" and self._figure:
            self.rows.setdefault(self._figure, []).append([])
        elif tag in ("td", "th") and self._figure:
            self.rows[self._figure][-1].append("")
            self._cell = True

    def handle_endtag(self, tag: str) -> None:
        self._cell = self._cell and tag not in ("td", "th")
        if tag == "figure":
            self._figure = ""

    def handle_data(self, data: str) -> None:
        if self._cell:
            self.rows[self._figure][-1][-1] += data


def tables(page: str) -> dict[str, list[list[str]]]:
    parser = Tables()
    parser.feed(page)
    return parser.rows


@pytest.fixture(scope="module")
def content(comparison: Path) -> Content:
    return read_content(comparison)


@pytest.fixture(scope="module")
def page(content: Content) -> str:
    return report_page(content, "ja")


def test_the_numbers_are_those_of_the_summary(page: str, comparison: Path) -> None:
    summary = json.loads((comparison / "summary.json").read_text(encoding="utf-8"))
    head, *rows = tables(page)["main"]
    assert head == ["評価セット", "規模", "ベース", "CPT + SFT", "対照"]
    asked = ("anime_only_read", "general_unrehearsed")  # sets without questions are left out
    for row, name in zip(rows, asked, strict=False):
        scores = [summary["models"][model][name] for model in ("base", "sft")]
        shown = [
            f"{100 * each['accuracy']:.1f}% [{100 * low:.1f}, {100 * high:.1f}]"
            for each in scores
            for low, high in [each["ci95"]]
        ]
        assert row[2:4] == shown
        assert row[4] == f"{100 * scores[0]['control_accuracy']:.1f}%" == "4.2%"
    assert [row[1] for row in rows[:2]] == ["24問、6作品", "24問、6主題"]
    assert [row[2:] for row in rows[2:]] == [["5.00", "–", "–"], ["2.50", "2.50", "–"]]


def test_what_was_gained_and_lost_is_what_was_made_up(page: str) -> None:
    head, read, general = tables(page)["outcomes"]
    assert head[2:6] == ["獲得", "保持", "忘却", "未習得"]
    assert read[:6] == ["CPT + SFT − ベース", "アニメ(記事のみ学習)", "17", "1", "1", "5"]
    assert general[2:6] == ["0", "8", "16", "0"]
    assert general[6].startswith("−66.7 [−")


def test_counts_that_an_older_summary_lacks_are_made_from_the_answers(
    content: Content, page: str
) -> None:
    assert content.summary is not None
    older = {
        pair: {name: replace(each, outcomes={}, p_value=None) for name, each in sets.items()}
        for pair, sets in content.summary.differences.items()
    }
    old = replace(content, summary=replace(content.summary, differences=older))
    assert tables(report_page(old, "ja"))["outcomes"] == tables(page)["outcomes"]


def test_the_first_sentences_say_what_was_learned_and_lost(content: Content, page: str) -> None:
    [finding] = re.findall(r'<p class="finding">(.*?)</p>', page)
    assert "CPT + SFTの「アニメ(記事のみ学習)」(6作品、24問)における正答率は75.0%" in finding
    assert "ベースを66.7ポイント上回った(95%信頼区間 [" in finding
    assert "の正答率は33.3%であり、ベースから66.7ポイント低下した(同 [" in finding
    [english] = re.findall(r'<p class="finding">(.*?)</p>', report_page(content, "en"))
    assert "66.7 points more than base" in english and "66.7 points fewer" in english


def test_sets_on_few_works_are_warned_of(content: Content, page: str) -> None:
    [warned] = re.findall(r'<p class="caution">(.*?)</p>', page)
    assert "「アニメ(記事のみ学習)」(6作品、p値の下限 0.0312)、「一般知識" in warned
    assert "not rehearsed” (6 subjects; no p-value can be below 0.0312)" in report_page(
        content, "en"
    )


def test_one_work_is_counted_in_the_singular(content: Content) -> None:
    alone = [r for r in content.results if r.work == "作品0" and r.id.endswith("-0")]
    by_model = {name: [r for r in alone if r.model == name] for name in ("base", "sft")}
    models = {name: summarize_model(rows, 0, None, None) for name, rows in by_model.items()}
    summary = Summary(models, paired_differences(by_model, 0), 1.0)
    page = report_page(replace(content, summary=summary, results=alone), "en")
    assert "1 question, 1 work)" in page and "1 works" not in page and "1 questions" not in page


def test_energy_is_stated_only_at_a_power_that_is_given(content: Content, page: str) -> None:
    [unknown] = [row for row in tables(page)["made"] if row[0] == "消費電力量"]
    assert unknown[1] == "記録なし"
    given = tables(report_page(replace(content, watts=300.0), "en"))
    # 61 s at 300 W are 18,300 J.
    assert ["energy", "0.00508 kWh (at 300 W, as stated)"] in given["made"]
    assert [row[0] for row in given["made-0"]].count("energy") == 1


def test_confidence_is_shown_as_a_picture_where_it_was_measured(content: Content) -> None:
    measured = [
        replace(r, likeliest=r.keys[0] if n % 2 else "他", confidence=0.65, key_probability=0.5)
        for n, r in enumerate(content.results)
    ]
    by_model = {name: [r for r in measured if r.model == name] for name in ("base", "sft")}
    models = {name: summarize_model(rows, 0, None, None) for name, rows in by_model.items()}
    summary = Summary(models, paired_differences(by_model, 0), 1.0)
    page = report_page(replace(content, summary=summary, results=measured), "en")
    head, *rows = tables(page)["calibration"]
    assert head == ["model", "confidence", "share of right keys", "answers"]
    assert rows == [["base", "65.0%", "50.0%", "48"], ["CPT + SFT", "65.0%", "50.0%", "48"]]
    assert '<svg role="img" aria-label="Confidence in keys"' in page
    assert ["base", "anime, only read", "0.500", "0.150"] in tables(page)["likelihood"]


def test_the_six_sections_are_there_with_pictures_and_their_numbers(page: str) -> None:
    sections = re.findall(r'<section id="section-(\w+)">', page)
    assert sections == ["result", "accuracy", "answers", "training", "routers", "made"]
    pictures = page.count("<svg ")
    assert pictures == page.count("</details></figure>".replace("><", ">\n<"))
    assert pictures >= 7
    assert tables(page)["routers"][1][:3] == ["アニメ記事", "0", "40.0"]
    assert "+15.0" in tables(page)["routers"][5]  # anime minus general, first expert
    assert "Test CPU" in page and "cd" * 6 in page and "seed_everything: 3" in page


def test_nothing_in_the_page_refers_to_another_file(page: str) -> None:
    assert not re.findall(r'(?:src|href|xlink:href|action)="(?!#|data:)', page)
    assert not re.findall(r"url\((?!#)|@import|fetch\(|XMLHttpRequest", page)
    ids = re.findall(r' id="([^"]+)"', page)
    assert [name for name, count in Counter(ids).items() if count > 1] == []


def test_a_question_that_holds_html_is_text(page: str) -> None:
    assert "<script>alert" not in page and "<b>太字" not in page
    [data] = re.findall(r'<script type="application/json" id="answer-data">(.*?)</script>', page)
    rows = json.loads(data)["rows"]
    assert rows[0]["question"].startswith('<script>alert("x")</script>')


def test_a_wrong_answer_that_names_a_rival_says_which(page: str) -> None:
    [data] = re.findall(r'<script type="application/json" id="answer-data">(.*?)</script>', page)
    row = json.loads(data)["rows"][2]  # the base answers it with the key of question 4
    assert row["answers"][0] == ["答えは正解4です。", 0, ["正解4"]]
    assert row["answers"][1][1:] == [1, []]


def test_5000_answers_stay_under_8_megabytes(
    comparison: Path, tmp_path: Path, write_comparison: Callable
) -> None:
    results = read_content(comparison).results
    many = [
        replace(result, id=f"{result.id}/{copy}", output=result.output * 4)
        for copy in range(53)
        for result in results
    ]
    assert len(many) > 5000
    write_comparison(tmp_path, many)
    content = read_content(tmp_path)
    page = report_page(content, "ja")
    assert len(page.encode()) < 8_000_000
    few = report_page(content, "ja", questions=100)
    assert len(few.encode()) < len(page.encode()) / 2
    assert "全2,544問の回答を示す。" in page
    assert "全2,544問から、ハッシュ値により選んだ100問の回答を示す。" in few


def test_a_fit_without_a_comparison_has_a_page(comparison: Path) -> None:
    page = report_page(read_content(comparison / "cpt"), "en")
    assert "`compare` measures what was learned and lost" in page
    assert "Share of choices at the end of each run" in page
    assert 'id="answers"' not in page
    assert "Validation asks the dev questions.</p>" in page


def test_both_languages_have_the_same_texts() -> None:
    english, japanese = load_texts("en").keys(), load_texts("ja").keys()
    without_names = {key for key in japanese if not key.startswith("relations.")}
    assert english - {"relations"} == without_names
