import json

import pytest

from animelm.data.sources.qa import read_qa

CSV = """\
質問,出力,作品名
「月の庭」の主人公は誰ですか？,「月の庭」の主人公は花子です。,
月の庭の主役は誰?,「月の庭」の主人公は花子です。,
[bold]どんな話?,庭に住む人々が、月を見上げながら昔のことを一つずつ思い出していく、静かで長い物語です。,
日本の首都は?,東京です。,
その監督は?,山田です。,星の道
"""


@pytest.fixture
def questions(tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    path = tmp_path / "qa.csv"
    path.write_text(CSV, encoding="utf-8")
    return path


def test_groups_keys_split_and_sizes_are_shown(call, questions):
    called = call("questions", "check", str(questions), "--columns.work=作品名")
    assert called.status == 0, called.err
    rows = [[cell.strip() for cell in line.split("│")] for line in called.out.splitlines()]
    numbers = {row[1]: row[2] for row in rows if len(row) > 3}
    assert numbers["questions"] == "5" and numbers["facts"] == "4"
    assert numbers["works"] == "2" and numbers["questions whose work is not known"] == "2"
    assert numbers["questions with a short key"] == "4"
    assert "花子" in called.out and "[bold]どんな話?" in called.out
    assert "Without a short key: the whole answer must be given (1)" in called.out
    assert int(numbers["trained"]) < 5
    assert "below 30 an accuracy says little" in called.out.replace("\n", " ")


def test_records_that_are_written_are_read_back_the_same(call, questions, tmp_path):
    output = tmp_path / "records.jsonl"
    called = call(
        "questions", "check", str(questions), "--columns.work=作品名", f"--output={output}"
    )
    assert called.status == 0, called.err
    lines = [json.loads(line) for line in output.read_text(encoding="utf-8").splitlines()]
    assert [("keys" in line) for line in lines] == [True, True, False, True, True]
    [corrected] = [line for line in lines if "keys" not in line]
    corrected["keys"] = ["静かで長い物語"]
    again = tmp_path / "corrected.jsonl"
    again.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    first, second = read_qa(output), read_qa(again)
    assert [(r.work, r.fact, r.wording, r.id) for r in first] == [
        (r.work, r.fact, r.wording, r.id) for r in second
    ]
    assert first[2].whole_answers and not any(record.whole_answers for record in second)


def test_what_to_look_at_is_shown_with_its_rows(call, tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    pairs = [
        ("花は?", "桜"),
        ("花は？", "梅"),
        ("首都は?", "東京"),
        ("首都は？", "東京"),
        ("どんな話?", "月を見る話です。庭で。"),
        *((f"第{n}の庭の木は?", f"木{n}") for n in range(8)),
        ("徳川家最後の将軍の名は?", "慶喜"),
        ("徳川幕府最後の将軍の名前は?", "徳川慶喜"),
    ]
    path = tmp_path / "qa.csv"
    rows = "".join(f"{question},{answer}\n" for question, answer in pairs)
    path.write_text(f"質問,出力\n{rows}", encoding="utf-8")
    # With this seed one of the two questions on 慶喜 is held out.
    called = call("questions", "check", str(path), "--seed=1", "--list")
    assert called.status == 0, called.err
    rows = [[cell.strip() for cell in line.split("│")] for line in called.out.splitlines()]
    numbers = {row[1]: row[2:4] for row in rows if len(row) > 3}
    assert numbers["questions that several rows ask"] == ["2", "from 4 rows"]
    assert numbers["of these answered differently"][0] == "1"
    text = " ".join(called.out.split())
    assert "(1); 1 of several sentences, where none is guessed" in text
    assert "│ no    │ qa.csv:2 │" in called.out and "│ yes   │ qa.csv:4 │" in called.out
    assert "Held out as another fact than a trained question, but much alike (1)" in text
    assert "1 question of 13 is answered differently in different rows" in text
    assert "徳川" in text[text.index("Held out (3 facts)") :]


def test_works_are_found_among_titles_of_articles(call, tmp_path):
    path = tmp_path / "qa.csv"
    path.write_text("質問,出力\n月の庭の主人公は?,花子\n", encoding="utf-8")
    articles = tmp_path / "articles"
    articles.mkdir()
    (articles / "a.md").write_text("---\ntitle: 月の庭\n---\n本文", encoding="utf-8")
    alone = call("questions", "check", str(path))
    unknown = "The work of 1 of 1 questions is not known"
    assert unknown in " ".join(alone.out.split())
    beside = call("questions", "check", str(path), f"--articles={articles}")
    assert unknown not in " ".join(beside.out.split()) and "月の庭" in beside.out


def test_keys_are_found_among_the_values_of_the_works_infobox(call, tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    path = tmp_path / "qa.csv"
    path.write_text("質問,出力\n月の庭の監督は?,川口です。町の生まれです。\n", encoding="utf-8")
    articles = tmp_path / "articles"
    articles.mkdir()
    box = "| 項目 | 内容 |\n| --- | --- |\n| 監督 | 川口（第1話） |\n| 話数 | 12 |"
    (articles / "a.md").write_text(f"---\ntitle: 月の庭\n---\n{box}\n\n本文", encoding="utf-8")
    told = "1 of 1 questions have no short key"
    assert told in " ".join(call("questions", "check", str(path)).out.split())
    beside = call("questions", "check", str(path), f"--articles={articles}")
    assert told not in " ".join(beside.out.split()) and "│ 川口" in beside.out


@pytest.mark.parametrize("options", [[], ["--shown=-1", "x.csv"], ["absent.csv"]])
def test_wrong_options_are_reported(call, options):
    called = call("questions", "check", *options)
    assert called.status == 2 and called.err.startswith("error: ")


def test_an_unknown_subcommand_is_reported(call):
    assert call("questions", "chekc").err == "error: no questions 'chekc'; expected check\n"
    assert "check" in call("questions").out
