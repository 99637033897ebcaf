from pathlib import Path

import pytest

from animelm.errors import UserError
from animelm.evaluate.scoring import Distractors
from animelm.evaluate.standard_sets import read_standard_set

FILES = {
    "jsquad": ("jsquad-v1.3-valid.json", 4442),
    "jsquad_closed": ("jsquad-v1.3-valid.json", 4442),
    "niilc": ("niilc-ecqa2015-dev.xml", 795),
    "jemhopqa": ("jemhopqa-v1.2-train.json", 1059),
    "jcommonsenseqa": ("jcommonsenseqa-v1.3-valid.jsonl", 1119),
}


@pytest.mark.parametrize("kind", FILES)
def test_a_published_file_is_read_whole(kind: str, project_root: Path) -> None:
    name, least = FILES[kind]
    path = project_root.parent / "shared" / "data" / "qa" / name
    if not path.is_file():
        pytest.skip("the published sets are not beside the project")
    found = read_standard_set(kind, path)
    assert len(found.records) >= least
    assert len({record.id for record in found.records}) == len(found.records)
    assert all(record.answers and record.question.strip() for record in found.records)
    if kind == "jcommonsenseqa":
        record = found.records[0]
        assert found.choices[record.id][0] == record.answers[0]
        assert len(found.choices[record.id]) == 5
    assert bool(found.passages) == (kind == "jsquad")


def _niilc(folder: Path) -> Path:
    path = folder / "niilc.xml"
    path.write_text(
        "<?xml version='1.0' encoding=\"UTF-8\"?><questions>"
        "<question id='1'><text>首都は?</text><answers><answer>東京</answer>"
        "<answer>東京都</answer></answers></question>"
        "<question id='2'><text>答えのない問い</text><answers></answers></question>"
        "<question id='3'><text>不明の問い</text><answers><answer>-</answer></answers></question>"
        "</questions>",
        encoding="utf-8",
    )
    return path


def test_answers_are_scored_as_the_field_does(tmp_path: Path) -> None:
    found = read_standard_set("niilc", _niilc(tmp_path))
    [record] = found.records  # those without an accepted answer cannot be scored
    assert record.answers == ("東京", "東京都")

    def score(output: str) -> tuple[float, float]:
        scores = found.score(output, record, Distractors([]))
        assert scores.accuracy == scores.exact_match
        return scores.exact_match, scores.character_f1

    assert score("東京都。\n理由は…") == (1.0, 1.0)
    # Four characters, of which two of the accepted two are named: F1 = 2 * 2 / (2 + 4).
    assert score("東京駅前") == (0.0, pytest.approx(2 / 3))
    assert score("") == (0.0, 0.0)


@pytest.mark.parametrize(
    ("kind", "content", "message"),
    [
        ("jsquad", "{", "not valid JSON"),
        ("jsquad", '{"data": [{"title": 1}]}', "not the published form of jsquad"),
        ("jsquad", '{"data": []}', "holds no question"),
        ("niilc", "<questions>", "not valid XML"),
        ("niilc", "<!DOCTYPE a [<!ENTITY b 'c'>]><questions/>", "document type or entities"),
        ("jemhopqa", '[{"qid": "1"}]', "not the published form"),
        ("jcommonsenseqa", '{"q_id": 1}', "not the published form"),
        ("unknown", "", "format 'unknown'; expected one of jsquad"),
    ],
)
def test_a_file_of_another_form_is_named(
    tmp_path: Path, kind: str, content: str, message: str
) -> None:
    path = tmp_path / "file"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(UserError, match=message):
        read_standard_set(kind, path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nowhere: no such file; expected the published file of"):
        read_standard_set("niilc", tmp_path / "nowhere")
