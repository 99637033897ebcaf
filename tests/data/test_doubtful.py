from dataclasses import replace

from animelm.data.doubtful import about_answers, about_suspects, answered_differently, asked_again
from animelm.data.held_out import UNSEEN_FACT, SplitSettings, split_questions
from animelm.data.sources.qa import read_qa

SPLIT = SplitSettings(held_out_wordings=0.25, held_out_works=0.5)


def read(tmp_path, *pairs):
    path = tmp_path / "qa.csv"
    rows = "".join(f"{question},{answer}\n" for question, answer in pairs)
    path.write_text(f"質問,出力\n{rows}", encoding="utf-8")
    return read_qa(path)


def test_a_rewording_across_the_split_is_told_with_an_example(tmp_path):
    others = [(f"第{n}の庭の花は?", f"花{n}") for n in range(8)]
    one, other = ("徳川家最後の将軍の名は?", "慶喜"), ("徳川幕府最後の将軍の名前は?", "徳川慶喜")
    records = read(tmp_path, *others, one, other)
    for seed in range(20):
        split = split_questions(records, [], SplitSettings(seed, 0.25, 0.5))
        about = about_suspects(split)
        parts = (*split.dev.values(), *split.test.values())
        held_out = {record.question for records in parts for record in records}
        across = len(held_out & {one[0], other[0]}) == 1
        assert bool(about) == across
        if across:
            assert about.startswith("1 of ") and one[0] in about and other[0] in about
            assert "data.columns.work" in about


def test_shared_answers_of_two_things_and_named_facts_are_no_suspects(tmp_path):
    countries = ("日本", "中国", "インド", "タイ", "モンゴル", "ネパール", "ラオス", "カンボジア")
    records = read(tmp_path, *((f"{c}がある大陸はどこですか?", "アジア") for c in countries))
    assert about_suspects(split_questions(records, [], SPLIT)) == ""


def test_a_choice_between_the_same_two_in_other_words_is_told(tmp_path):
    asked = (
        "花子と太郎、先に生まれたのはどちら?",
        "花子と太郎、先に生まれたのはどっちですか?",
        "川はどれ?",
    )
    records = read(tmp_path, *((question, "花子") for question in asked))
    split = split_questions(records, [], SplitSettings())
    one, other, _ = records
    moved = replace(split, train=[one], test={UNSEEN_FACT: [replace(other, fact="別")]})
    assert about_suspects(moved).startswith("1 of 1 questions")


def test_rows_that_answer_a_question_differently_are_named(tmp_path):
    records = read(
        tmp_path,
        ("首都は?", "東京です。"),
        ("花は?", "桜"),
        ("首都は？", "首都は東京です。"),
        ("花は?", "梅"),
        ("花は?", "梅"),
        ("月は?", "9月"),
    )
    assert [r.question for r in asked_again(records)] == ["首都は?", "花は?"]
    assert [r.question for r in answered_differently(records)] == ["花は?"]
    about = about_answers(records)
    assert about.startswith("1 question of 3 is answered differently")
    assert "qa.csv:3, " in about and "qa.csv:5" in about and "'桜' and '梅'" in about
    assert about_answers(records[:1]) == ""


def test_several_answers_of_one_row_are_no_contradiction(tmp_path):
    path = tmp_path / "qa.txt"
    path.write_text("質問: 花は?\n出力: 桜\n出力: 梅\n", encoding="utf-8")
    assert about_answers(read_qa(path)) == ""
