import json
import re
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from animelm.data.sources import qa
from animelm.data.sources.qa import read_qa
from animelm.data.sources.qa_formats import Pair, connected_facts
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


def test_text_pairs_become_records_of_two_facts(tmp_path):
    first, second, third = read_qa(write(tmp_path, "qa.txt", TEXT))
    assert first.answers == (
        "ぽにぽにだっしゅ!の主人公はレベッカ宮本です。",
        "主人公は、\nレベッカ宮本です。",
    )
    assert first.keys == first.answers
    assert first.fact == second.fact == first.work == first.question
    assert third.fact != first.fact
    assert second.wording == second.question and second.domain == "anime"
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


PAIRS = st.lists(st.tuples(st.sampled_from("abcdef"), st.sampled_from("uvwxyz")), max_size=12)


@given(PAIRS)
def test_facts_are_the_connected_components(pairs):
    facts = connected_facts([Pair(q, a) for q, a in pairs])
    assert set(facts) == {q for q, _ in pairs}
    # An independent way: spread the smallest label until nothing changes.
    label = {q: i for i, q in enumerate(dict.fromkeys(q for q, _ in pairs))}
    for _ in pairs:
        for q, a in pairs:
            label[q] = min(label[other] for other, b in pairs if b == a)
            for other, b in pairs:
                if b == a:
                    label[other] = min(label[other], label[q])
    questions = list(dict.fromkeys(q for q, _ in pairs))
    assert facts == {q: questions[label[q]] for q in questions}


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


def test_a_folder_without_parquet_is_reported(tmp_path):
    assert "holds no .parquet file" in message(tmp_path)


def test_columns_that_are_no_questions_are_listed(tmp_path, write_parquet):
    shard = write_parquet(tmp_path / "a.parquet", [{"instruction": "q", "output": "a"}])
    assert message(shard).startswith(f"{shard}: expected the columns 質問 and 出力")
    assert message(shard).endswith("its columns are 'instruction', 'output'")


def test_a_wrong_row_is_reported_with_shard_number_and_key(tmp_path, make_records, write_parquet):
    rows = [vars(record) for record in make_records(1, 2)]
    write_parquet(tmp_path / "0.parquet", rows)
    shard = write_parquet(tmp_path / "1.parquet", [{**rows[0], "id": "new"}, rows[1]])
    said = message(tmp_path)
    assert said.startswith(f'{shard}: row 2: "id" ') and "stands in row 2 of 0.parquet" in said
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
    assert ".jsonl, .csv, .txt, .parquet" in message(write(tmp_path, "qa.xlsx", ""))


def test_a_file_that_is_not_utf8_is_reported_with_the_offset(tmp_path):
    path = write(tmp_path, "qa.txt", "質問".encode() + "答え".encode("shift_jis"))
    assert f"{path}: not UTF-8" in message(path) and "offset 6" in message(path)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('{"question": ', "not valid JSON"),
        ("[1]", "JSON object"),
        ('{"質問": "a"}', "missing 'id'"),
        ('{"質問": "a", "出力": ""}', '"出力" must be a text'),
        ('{"質問": 1, "出力": "b"}', '"質問" must be a text'),
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
        ({"work": " "}, '"work" must be a text'),
        ({"fact": None}, '"fact" must be a text'),
        ({"id": "anime-0-forward-0"}, "line 1 already"),
    ],
)
def test_a_wrong_record_is_reported_with_its_line_and_key(tmp_path, make_records, change, expected):
    first, second = (vars(record) for record in make_records(1, 1))
    lines = "\n".join(json.dumps(r) for r in (first, {**second, **change}))
    path = write(tmp_path, "qa.jsonl", lines)
    assert message(path).startswith(f"{path}:2: ") and expected in message(path)


def test_missing_keys_of_a_record_are_named(tmp_path, make_records):
    record = vars(make_records(1, 1)[0])
    path = write(tmp_path, "qa.jsonl", json.dumps({k: record[k] for k in record if k != "work"}))
    assert f"{path}:1: missing 'work'" in message(path)


def test_records_and_pairs_in_one_file_are_refused(tmp_path, make_records):
    record = json.dumps(vars(make_records(1, 1)[0]))
    path = write(tmp_path, "qa.jsonl", record + '\n{"質問": "a", "出力": "b"}\n')
    assert "keep them in two files" in message(path)


@pytest.mark.parametrize(
    ("text", "line", "expected"),
    [
        ("問1,答1\n", 1, "found 問1,答1"),
        ("質問,回答\nq,a\n", 1, "質問,出力"),
        ("質問,出力\nq\n", 2, '"出力" must be a text'),
        ("質問,出力\nq,a\n ,b\n", 3, '"質問" must be a text'),
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
        ("質問: a\n出力:\n", 2, "nothing stands after 出力:"),
    ],
)
def test_a_wrong_text_line_is_reported_with_its_number(tmp_path, text, line, expected):
    path = write(tmp_path, "qa.txt", text)
    assert message(path).startswith(f"{path}:{line}: ") and expected in message(path)
