import json
from pathlib import Path

from animelm.data.held_out import SplitSettings
from animelm.export.publish.attribution import ATTRIBUTION, Credit, credits_of, write_attribution
from animelm.provenance.record import BaseRecord, DataRecord, TrainingStep

CC = "CC BY-SA 4.0"
PAGE = {"title": "銀魂", "source": "https://example.org/銀魂", "revision": 7, "license": CC}


def step(*data: DataRecord) -> TrainingStep:
    return TrainingStep("cpt", "0.1.0", 1, BaseRecord("base", "c", "w", "t"), data, SplitSettings())


def test_articles_are_credited_from_the_manifest_of_their_corpus(tmp_path: Path) -> None:
    (tmp_path / "manifest.jsonl").write_text(json.dumps(PAGE) + "\n", encoding="utf-8")
    (tmp_path / "articles").mkdir()
    assert credits_of(tmp_path / "articles") == [Credit("銀魂", PAGE["source"], "7", CC)]


def test_without_a_manifest_the_front_matter_of_each_article_is_read(tmp_path: Path) -> None:
    front = "---\ntitle: どろろ\nsource: [a, b]\nlicense: Apache-2.0\n---\n\ntext"
    (tmp_path / "1.md").write_text(front, encoding="utf-8")
    (tmp_path / "2.md").write_text("no front matter", encoding="utf-8")
    assert credits_of(tmp_path) == [
        Credit("どろろ", "a, b", "", "Apache-2.0"),
        Credit("2", "", "", "unknown"),
    ]


def test_the_file_names_every_text_once_with_revision_and_license(tmp_path: Path) -> None:
    lines = [json.dumps(PAGE), json.dumps(PAGE)]
    (tmp_path / "manifest.jsonl").write_text("\n".join(lines), encoding="utf-8")
    articles = DataRecord("articles", str(tmp_path / "articles"), "abc")
    questions = DataRecord("questions", "qa.jsonl", "def")
    found = write_attribution([step(articles), step(articles, questions)], tmp_path)
    assert [each.record for each in found] == [articles, questions]
    assert [each.licenses for each in found] == [{CC: 2}, {}]
    text = (tmp_path / ATTRIBUTION).read_text(encoding="utf-8")
    assert "some were held out" in text
    assert text.count("- 銀魂: https://example.org/銀魂, revision 7, CC BY-SA 4.0") == 1


def test_data_that_are_gone_are_named_without_a_license(tmp_path: Path) -> None:
    gone = DataRecord("articles", str(tmp_path / "gone"), "abc")
    assert write_attribution([step(gone)], tmp_path)[0].licenses == {}
    assert not (tmp_path / ATTRIBUTION).exists()
