import csv
import io
import json
import re
from dataclasses import replace
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from animelm.data.sources import qa
from animelm.data.sources.qa import Columns, QuestionFile, read_qa
from animelm.errors import UserError

TEXT = """\
質問:ぽにぽにだっしゅ!の主人公は誰ですか?
出力:ぽにぽにだっしゅ!の主人公はレベッカ宮本です。
出力: 主人公は、
レベッカ宮本です。

質問: 「ぽにぽにだっしゅ!」で主人公は誰ですか?
出力: ぽにぽにだっしゅ!の主人公はレベッカ宮本です。

質問: レベッカ宮本が主人公を務める作品は何ですか?
出力: 「ぽにぽにだっしゅ!」です。
"""


def write(folder, name, text):
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def message(path):
    with pytest.raises(UserError) as error:
        read_qa(path)
    return str(error.value)


def test_full_records_come_back_as_written(tmp_path, make_records, write_records):
    records = make_records(3, 2)
    assert read_qa(write_records(tmp_path / "qa.jsonl", records)) == records


def test_text_pairs_become_records_of_one_fact_in_both_directions(tmp_path):
    first, second, third = read_qa(write(tmp_path, "qa.txt", TEXT))
    assert first.answers == (
        "ぽにぽにだっしゅ!の主人公はレベッカ宮本です。",
        "主人公は、\nレベッカ宮本です。",
    )
    assert first.keys == second.keys == ("レベッカ宮本",)
    assert third.keys == ("ぽにぽにだっしゅ!",)
    assert {record.work for record in (first, second, third)} == {"ぽにぽにだっしゅ!"}
    assert first.fact == second.fact == third.fact
    assert [r.direction for r in (first, second, third)] == ["forward", "forward", "reverse"]
    assert second.domain == "anime"
    assert len({first.id, second.id, third.id}) == 3


def test_csv_and_json_pairs_read_the_same_as_text(tmp_path):
    pairs = [("問1", "答1,続き"), ("問1", "答2"), ("問2", "答2")]
    lines = "".join(f'{q},"{a}"\n' for q, a in pairs)
    from_csv = read_qa(write(tmp_path, "qa.csv", "\ufeff質問,出力\n" + lines))
    lines = "".join(json.dumps({"質問": q, "出力": a}) + "\n" for q, a in pairs)
    assert read_qa(write(tmp_path, "qa.jsonl", lines)) == from_csv
    lines = "".join(json.dumps({"question": q, "answer": a}) + "\n\n" for q, a in pairs)
    assert read_qa(write(tmp_path, "en.jsonl", lines)) == from_csv
    lines = "".join(f"質問: {q}\r\n出力: {a}\r\n" for q, a in pairs)
    assert read_qa(write(tmp_path, "qa.txt", lines)) == from_csv


def test_the_domain_of_pairs_can_be_named(tmp_path):
    (record,) = read_qa(write(tmp_path, "qa.csv", "question,answer\n1?,2\n"), domain="general")
    assert record.domain == "general"


WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=5) | st.sampled_from(
    ["問", "答"]
)
PAIR_ROWS = st.lists(
    st.fixed_dictionaries({"質問": WORDS, "出力": WORDS | st.none() | st.just(1)}), max_size=8
) | st.lists(st.fixed_dictionaries({"question": WORDS, "answer": WORDS}), max_size=8)
RECORD_ROWS = st.lists(
    st.fixed_dictionaries(
        {name: WORDS for name in ("work", "fact", "wording", "domain", "question")}
        | {"id": WORDS, "direction": st.sampled_from(["forward", "reverse", "back"])}
        | {name: st.lists(WORDS | st.none(), max_size=3) for name in ("answers", "keys")}
    ),
    max_size=5,
)


def read_or_problem(path):
    """The records, or what is wrong with them, without the place."""
    try:
        return read_qa(path)
    except UserError as error:
        found = re.fullmatch(r".*?(?::| row )(\d+): (.*)", str(error), re.DOTALL)
        return found and (found[1], re.sub(" stands .*", "", found[2]))


@given(PAIR_ROWS | RECORD_ROWS)
@settings(deadline=None)
def test_parquet_and_json_lines_of_the_same_rows_read_the_same(
    tmp_path_factory, write_parquet, rows
):
    folder = tmp_path_factory.mktemp("same")
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    try:
        shard = write_parquet(folder / "qa.parquet", rows)
    except pyarrow.ArrowException:  # a column of texts and numbers
        assume(False)
    assert read_or_problem(shard) == read_or_problem(write(folder, "qa.jsonl", lines))


def test_full_records_come_back_from_shards(tmp_path, make_records, write_parquet):
    rows = [vars(record) for record in make_records(3, 2)]
    write_parquet(tmp_path / "data" / "0.parquet", rows[:5])
    write_parquet(tmp_path / "data" / "1.parquet", [{"score": 0.5, **row} for row in rows[5:]])
    assert read_qa(tmp_path) == make_records(3, 2)


def test_a_dataset_on_the_hub_is_read_where_it_was_fetched(tmp_path, write_parquet, monkeypatch):
    write_parquet(tmp_path / "a.parquet", [{"question": "q", "answer": "a"}])
    monkeypatch.setattr(qa, "local_copy", {Path("hf://datasets/a/b"): tmp_path}.__getitem__)
    assert [record.answers for record in read_qa("hf://datasets/a/b")] == [("a",)]


def test_a_folder_without_questions_is_reported(tmp_path):
    write(tmp_path, "notes.md", "")
    assert "is a folder without files of questions" in message(tmp_path)


def test_a_folder_is_read_file_by_file_without_hidden_ones(tmp_path):
    write(tmp_path, "b.csv", "質問,出力\n二,2です。\n")
    write(tmp_path, "a.TXT", "質問：一\n出力：1です。\n")
    write(tmp_path, "._a.TXT", b"\x00\x05")
    assert [record.question for record in read_qa(tmp_path)] == ["一", "二"]


def test_several_files_are_read_with_their_weights(tmp_path):
    files = [
        write(tmp_path, "a.csv", "質問,出力\n一,1です。\n"),
        QuestionFile(write(tmp_path, "b.csv", "質問,出力\n二,2です。\n"), weight=3),
    ]
    assert [(r.question, r.weight) for r in read_qa(files)] == [("一", 1), ("二", 3)]


def test_columns_that_are_no_questions_are_listed(tmp_path, write_parquet):
    shard = write_parquet(tmp_path / "a.parquet", [{"title": "q", "text": "a"}])
    assert message(shard).startswith(f"{shard}: expected 質問 and 出力")
    assert message(shard).endswith("the columns are 'title', 'text'")


def test_a_wrong_row_is_reported_with_shard_number_and_key(tmp_path, make_records, write_parquet):
    rows = [vars(record) for record in make_records(1, 2)]
    write_parquet(tmp_path / "0.parquet", rows)
    shard = write_parquet(tmp_path / "1.parquet", [{**rows[0], "id": "new"}, rows[1]])
    said = message(tmp_path)
    assert said.startswith(f"{shard}: row 2: duplicate id ")
    assert "first used in row 2 of 0.parquet" in said
    shard = write_parquet(tmp_path / "1.parquet", [{**rows[0], "id": "new", "keys": []}])
    assert message(tmp_path).startswith(f'{shard}: row 1: "keys" must be a list')


@given(st.text(), st.sampled_from([".txt", ".csv", ".jsonl", ".parquet"]))
def test_any_text_gives_records_or_a_clear_error(tmp_path_factory, text, suffix):
    path = tmp_path_factory.getbasetemp() / f"any{suffix}"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    try:
        assert read_qa(path)
    except UserError as error:
        assert path.name in str(error)


def test_parquet_without_rows_is_reported(tmp_path):
    empty = pyarrow.table({name: pyarrow.array([], pyarrow.string()) for name in ("質問", "出力")})
    pyarrow.parquet.write_table(empty, tmp_path / "qa.parquet")
    assert "no question" in message(tmp_path / "qa.parquet")


@pytest.mark.parametrize("name", ["qa.jsonl", "qa.csv", "qa.txt"])
@pytest.mark.parametrize("content", ["", "\n\n"])
def test_an_empty_file_is_reported(tmp_path, name, content):
    assert "no question" in message(write(tmp_path, name, content))


def test_a_missing_file_and_an_unknown_suffix_are_reported(tmp_path):
    assert "no such file" in message(tmp_path / "absent.jsonl")
    assert ".jsonl, .json, .csv, .tsv, .txt, .parquet" in message(write(tmp_path, "qa.xlsx", ""))


def test_a_file_that_is_not_utf8_is_reported_with_the_offset(tmp_path):
    path = write(tmp_path, "qa.txt", "質問".encode() + "答え".encode("shift_jis"))
    assert f"{path}: not UTF-8" in message(path) and "offset 6" in message(path)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('{"question": ', "not valid JSON"),
        ("[1]", "JSON object"),
        ('{"質問": "a"}', "the keys here are '質問'"),
        ('{"質問": "a", "出力": ""}', '"出力" must be a non-empty text'),
        (
            '{"質問": 1, "出力": "b"}',
            '"質問" must be a non-empty text, and is the number 1; write "1"',
        ),
        ('{"質問": "a", "出力": true}', 'is the boolean true; write "true"'),
        ("[" * 100_000, "not valid JSON"),
    ],
)
def test_a_wrong_json_line_is_reported_with_its_number(tmp_path, line, expected):
    path = write(tmp_path, "qa.jsonl", '{"質問": "a", "出力": "b"}\n' + line + "\n")
    assert message(path).startswith(f"{path}:2: ") and expected in message(path)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"answers": []}, '"answers" must be a list'),
        ({"answers": "text"}, '"answers" must be a list'),
        ({"keys": [1]}, '"keys" must be a list'),
        ({"direction": "back"}, "forward or reverse"),
        ({"work": " "}, '"work" must be a non-empty text'),
        ({"fact": 1}, '"fact" must be a non-empty text'),
        ({"id": "anime-0-forward-0"}, "first used on line 1"),
    ],
)
def test_a_wrong_record_is_reported_with_its_line_and_key(tmp_path, make_records, change, expected):
    first, second = (vars(record) for record in make_records(1, 1))
    lines = "\n".join(json.dumps(r) for r in (first, {**second, **change}))
    path = write(tmp_path, "qa.jsonl", lines)
    assert message(path).startswith(f"{path}:2: ") and expected in message(path)


def test_what_a_record_does_not_say_is_derived(tmp_path, make_records):
    given = vars(make_records(1, 1)[0])
    path = write(tmp_path, "qa.jsonl", json.dumps({k: given[k] for k in given if k != "keys"}))
    [record] = read_qa(path)
    assert record.derived == ("keys",) and record.keys == ("人物0",)
    assert record.fact == given["fact"] and record.id == given["id"]


@pytest.mark.parametrize(
    ("text", "line", "expected"),
    [
        ("問1,答1\n", 1, "the columns are '問1', '答1'"),
        ("質問,出力,出力\nq,a,b\n", 1, "two columns are named '出力'"),
        ("質問,出力\nq,鈴木, 田中です。\n", 2, "holds '田中です。' beyond the 2 columns"),
        ("質問,出力,\nq,a,b\n", 2, "holds 'b' beyond the 2 columns"),
        ('質問,出力\n"q\nq",a\n\nq,a,b\n', 5, "holds 'b' beyond"),
        ("質問,出力\nq\n", 2, '"出力" must be a non-empty text'),
        ("質問,出力\nq,a\n ,b\n", 3, '"質問" must be a non-empty text'),
        ('質問,出力\nq,"a" b\n', 2, "not valid CSV"),
    ],
)
def test_a_wrong_csv_line_is_reported_with_its_number(tmp_path, text, line, expected):
    path = write(tmp_path, "qa.csv", text)
    assert message(path).startswith(f"{path}:{line}: ") and expected in message(path)


@pytest.mark.parametrize(
    ("text", "line", "expected"),
    [
        ("質問: a\n\n質問: b\n出力: c\n", 1, "質問: without an 出力:"),
        ("質問: a\n出力: b\n質問: c\n", 3, "質問: without an 出力:"),
        ("\n出力: b\n", 2, "出力: without a 質問:"),
        ("見出し\n質問: a\n", 1, "begins with 質問:"),
        ("質問: a\n出力:\n", 2, "expected a text after 出力:"),
    ],
)
def test_a_wrong_text_line_is_reported_with_its_number(tmp_path, text, line, expected):
    path = write(tmp_path, "qa.txt", text)
    assert message(path).startswith(f"{path}:{line}: ") and expected in message(path)


def test_empty_fields_beyond_the_header_are_accepted(tmp_path):
    path = write(tmp_path, "qa.csv", "質問,出力\nq,a,, \n")
    assert [record.answers for record in read_qa(path)] == [("a",)]


@pytest.mark.parametrize(
    "text",
    [
        "質問;出力\nq,r?;a\n",
        "質問\t出力\nq,r?\ta\n",
        'sep=;\n質問;出力\n"q,r?";a\n',
        ',質問,出力\n0,"q,r?",a\n',
        '問題,解答\n"q,r?",a\n',
        'Q,A\n"q,r?",a\n',
        '問い,答え\n"q,r?",a\n',
        'input,output\n"q,r?",a\n',
    ],
)
def test_tables_as_spreadsheets_write_them_are_read(tmp_path, text):
    [record] = read_qa(write(tmp_path, "qa.csv", text))
    assert (record.question, record.answers) == ("q,r?", ("a",))


def test_a_first_column_without_a_name_that_holds_text_is_no_number_of_rows(tmp_path):
    path = write(tmp_path, "qa.csv", ",質問,出力\n0,q,a\nx,r,b\n")
    assert message(path).startswith(f"{path}:3: holds 'x' beyond the 2 columns")


@pytest.mark.parametrize(
    ("answer", "answers"),
    [("12", ("12",)), ("1.5", ("1.5",)), ('["花子", "太郎"]', ("花子", "太郎"))],
)
def test_an_answer_in_json_may_be_a_number_or_a_list(tmp_path, answer, answers):
    path = write(tmp_path, "qa.jsonl", f'{{"question": "誰?", "answer": {answer}}}\n')
    assert read_qa(path)[0].answers == answers


def test_what_an_office_program_leaves_beside_a_file_is_not_read(tmp_path):
    write(tmp_path, "qa.csv", "質問,出力\nq,a\n")
    write(tmp_path, "~$qa.csv", "\x15")
    assert len(read_qa(tmp_path)) == 1
    assert "save the sheet as CSV UTF-8" in message(write(tmp_path, "qa.xlsx", ""))


def test_a_field_of_any_length_is_read(tmp_path):
    path = write(tmp_path, "qa.csv", f"質問,出力\nq,{'あ' * 200_000}\n")
    assert len(read_qa(path)[0].answers[0]) == 200_000


@pytest.mark.parametrize("colon", [":", "：", "﹕", "︓", "︰", "∶", "꞉", " ： "])
def test_whatever_looks_like_a_colon_is_one(tmp_path, colon):
    path = write(tmp_path, "qa.txt", f"質問{colon}首都は?\n出力{colon}東京です。\n")
    [record] = read_qa(path)
    assert (record.question, record.answers) == ("首都は?", ("東京です。",))


@pytest.mark.parametrize(
    "lines",
    [
        "質問：首都は?\n回答：東京です。\n\n質問：花は?\n回答：桜です。",
        "Q: 首都は?\nA: 東京です。\nQ: 花は?\nA: 桜です。",
        "Q1. 首都は?\nA1. 東京です。\n\nＱ２．花は?\nＡ２．桜です。",
        "question: 首都は?\nANSWER: 東京です。\n\nquestion: 花は?\nanswer: 桜です。",
        "問１：首都は?\n答１：東京です。\n問２：花は?\n答２：桜です。",
        "問い：首都は?\n答え：東京です。\n問い：花は?\n答え：桜です。",
        # Another kind of label after an empty line begins another question.
        "質問: 首都は?\n出力: 東京です。\n\nQ: 花は?\nA: 桜です。",
        "Q: 首都は?\nA: 東京です。\n\n質問：花は?\n回答：桜です。",
    ],
)
def test_labels_of_several_kinds_are_read(tmp_path, lines):
    records = read_qa(write(tmp_path, "qa.txt", lines))
    assert [(r.question, r.answers) for r in records] == [
        ("首都は?", ("東京です。",)),
        ("花は?", ("桜です。",)),
    ]


def test_a_label_of_another_kind_inside_an_answer_is_text(tmp_path):
    lines = "質問: 選ぶなら?\n出力: 次のどちらか。\nA: 東京\nQ: これは何?\n"
    [record] = read_qa(write(tmp_path, "qa.txt", lines))
    assert record.answers == ("次のどちらか。\nA: 東京\nQ: これは何?",)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("qa.csv", "問い,答え,作品\n誰?,花です。,月の庭\n"),
        ("qa.tsv", "問い\t答え\t作品\n誰?\t花です。\t月の庭\n"),
        ("qa.json", '[{"問い": "誰?", "答え": "花です。", "作品": "月の庭"}]'),
        ("qa.txt", "問い：誰?\n作品：月の庭\n答え：花です。\n"),
    ],
)
def test_columns_of_any_name_can_be_named(tmp_path, name, content):
    columns = Columns(question="問い", answer="答え", work="作品")
    [record] = read_qa(write(tmp_path, name, content), columns=columns)
    assert (record.question, record.answers, record.work) == ("誰?", ("花です。",), "月の庭")
    assert "work" not in record.derived


def test_a_named_column_that_is_missing_is_reported(tmp_path):
    path = write(tmp_path, "qa.csv", "質問,出力\nq,a\n")
    with pytest.raises(UserError, match=r"qa\.csv:1: there is no column '作品'.*columns\.work"):
        read_qa(path, columns=Columns(work="作品"))


# Forty pairs: ten works, of each two facts in two wordings, with two answers to the first.
FORTY = [
    (question.format(work=f"月の庭{number}"), answer.format(work=f"月の庭{number}", n=number))
    for number in range(10)
    for question, answer in [
        ("「{work}」の主人公は誰ですか?", "「{work}」の主人公は花子{n}です。"),
        ("「{work}」の主人公は誰ですか？", "花子{n}です。"),
        ("{work}の主人公の名前は?", "「{work}」の主人公は花子{n}です。"),
        ("「{work}」の監督は誰ですか?", "「{work}」の監督は山田{n}、\n田中{n}です。"),
    ]
]


def lines(rows):
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def table(delimiter):
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter).writerows([("質問", "出力"), *FORTY])
    return text.getvalue()


EIGHT_FORMS = {
    "pairs.jsonl": lines({"質問": q, "出力": a} for q, a in FORTY),
    "pairs.json": json.dumps([{"質問": q, "回答": a} for q, a in FORTY], indent=1),
    "alpaca.JSON": json.dumps([{"instruction": q, "input": "", "output": a} for q, a in FORTY]),
    "completion.jsonl": lines({"prompt": q, "completion": a} for q, a in FORTY),
    "messages.jsonl": lines(
        {"messages": [{"role": "user", "content": q}, {"role": "assistant", "content": a}]}
        for q, a in FORTY
    ),
    "sharegpt.json": json.dumps(
        [{"conversations": [{"from": "human", "value": q}, {"from": "gpt", "value": a}]}
         for q, a in FORTY]
    ),
    "pairs.csv": "\ufeff" + table(","),
    "pairs.TSV": table("\t"),
    "pairs.txt": "".join(f"質問：{q}\n出力：{a}\n\n" for q, a in FORTY),
}  # fmt: skip


@pytest.mark.parametrize("name", EIGHT_FORMS)
def test_forty_pairs_in_any_form_give_the_same_records(tmp_path, write_parquet, name):
    rows = [{"question": q, "answer": a} for q, a in FORTY]
    expected = read_qa(write_parquet(tmp_path / "pairs.parquet", rows))
    assert read_qa(write(tmp_path, name, EIGHT_FORMS[name])) == expected
    assert len(expected) == 30 and len({record.fact for record in expected}) == 20
    assert expected[0].keys == ("花子0",) and len(expected[0].answers) == 2


USER = {"role": "user", "content": "誰?"}


@pytest.mark.parametrize(
    ("name", "content", "line", "expected"),
    [
        ("qa.json", '[{"質問": "a", "出力": "b"},\n {"質問": "c"}]', 2, "the keys here are '質問'"),
        ("qa.json", '[{"質問": "a", "出力": "b"},\n {"質問": ]', 2, "not valid JSON"),
        ("qa.json", '[{"質問": "a", "出力": "b"}\n', 2, "the list is not closed"),
        ("qa.json", '[{"質問": "a", "出力": "b"}]\n]', 1, "text follows the list"),
        ("qa.json", '\n["a"]', 2, "expected a JSON object"),
        ("qa.json", '[\n{"質問": "\\ud800", "出力": "b"}]', 2, "half of a surrogate pair"),
        ("qa.json", f'[\n{{"質問": {"1" * 5000}}}]', 2, "not valid JSON"),
        ("qa.tsv", "質問\t出力\na\tb\tc\n", 2, "holds 'c' beyond"),
        ("qa.jsonl", '{"instruction": "a", "output": ""}', 1, '"output" must be a non-empty'),
        ("qa.jsonl", '{"prompt": "a", "completion": true}', 1, '"completion" must be a non-empty'),
        ("qa.jsonl", '{"messages": []}', 1, "expected a list of messages"),
        ("qa.jsonl", '{"messages": ["a"]}', 1, "message 1: expected an object with role"),
        ("qa.jsonl", lines([{"messages": [USER]}]), 1, "does not end with an answer"),
        ("qa.jsonl", lines([{"messages": [USER, USER]}]), 1, "message 2 is of the user after"),
        ("qa.jsonl", lines([{"messages": [{"role": "tool"}]}]), 1, "the role is 'tool'"),
        (
            "qa.json",
            '[\n{"conversations": [{"from": "human", "value": 1}]}]',
            2,
            "message 1: the content must be a text",
        ),
    ],
)
def test_a_malformed_file_of_any_form_is_reported_with_its_line(
    tmp_path, name, content, line, expected
):
    path = write(tmp_path, name, content)
    assert message(path).startswith(f"{path}:{line}: ") and expected in message(path)


def test_every_answer_of_a_conversation_is_a_record_with_what_was_said_before(tmp_path):
    messages = [
        {"role": "system", "content": "短く答えて。"},
        {"role": "user", "content": "「月の庭」の主人公は?"},
        {"role": "assistant", "content": "花子です。", "thinking": "主人公を思い出す。"},
        {"role": "user", "content": "その監督は?"},
        {"role": "assistant", "content": "<think>監督か。</think>山田です。"},
    ]
    first, second = read_qa(write(tmp_path, "qa.jsonl", lines([{"messages": messages}])))
    assert first.history == (("system", "短く答えて。"),)
    assert [turn.role for turn in second.history] == ["system", "user", "assistant"]
    assert second.history[2].text == "花子です。"
    assert first.thinking == ("主人公を思い出す。",) and second.thinking == ("監督か。",)
    assert second.answers == ("山田です。",)
    assert first.fact == second.fact and first.work == "月の庭"


def test_the_analysis_channel_holds_thoughts(tmp_path):
    messages = [
        USER,
        {"role": "assistant", "channel": "analysis", "content": "考え。"},
        {"role": "assistant", "channel": "final", "content": "花子です。"},
    ]
    [record] = read_qa(write(tmp_path, "qa.jsonl", lines([{"messages": messages}])))
    assert (record.thinking, record.answers) == (("考え。",), ("花子です。",))


def test_records_come_back_as_they_were_derived(tmp_path):
    path = write(tmp_path, "qa.csv", EIGHT_FORMS["pairs.csv"])
    derived = read_qa(path)
    again = read_qa(write(tmp_path, "again.jsonl", lines(map(vars, derived))))
    assert again == [replace(record, derived=()) for record in derived]


def test_turns_of_a_conversation_with_an_id_have_ids_of_their_own(tmp_path):
    turn = [USER, {"role": "assistant", "content": "花子です。"}]
    rows = [{"id": 7, "messages": [*turn, *turn]}, {"id": 8, "messages": turn}]
    ids = [record.id for record in read_qa(write(tmp_path, "qa.jsonl", lines(rows)))]
    assert ids == ["7/1", "7/2", "8"]


@pytest.mark.parametrize(
    ("name", "content"),
    [("qa.jsonl", '{"質問": "q", "出力": "a"}'), ("qa.txt", "質問: q\n出力: a\n")],
)
def test_a_named_column_that_no_question_has_is_reported(tmp_path, name, content):
    path = write(tmp_path, name, content)
    with pytest.raises(UserError, match=r"no question has '作品', which columns\.work names"):
        read_qa(path, columns=Columns(work="作品"))
