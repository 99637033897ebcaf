import csv
from collections import Counter, defaultdict

import pytest

from animelm.errors import UserError
from animelm.sample import facts as facts_module
from animelm.sample.facts import Fact, by_subject, load_facts, names_one_subject

HEADER = "subject\tkind\trelation\tvalue\tsource\n"
BROADCAST_TYPES = {"テレビアニメ": "tv", "アニメ映画": "movie", "OVA": "ova"}


@pytest.fixture
def load_text(tmp_path, monkeypatch):
    """``load_text(text)``: loads the text as if it were the anime table."""
    (tmp_path / "tables").mkdir()
    monkeypatch.setattr(facts_module, "files", lambda package: tmp_path)

    def load(text):
        (tmp_path / "tables" / "anime.tsv").write_text(text, encoding="utf-8")
        return load_facts("anime")

    return load


def test_a_row_becomes_a_fact_with_all_spellings_the_usual_one_first(load_text):
    facts = load_text(HEADER + 'A "B"\tアニメ\tauthor\tあ|い\tbook, page 3\n')
    assert facts == [Fact('A "B"', "アニメ", "author", ("あ", "い"), "book, page 3")]
    assert facts[0].value == "あ"


@pytest.mark.parametrize(
    "row",
    [
        "A\tアニメ\tauthor\tB",
        "A\tアニメ\tauthor\tB\tC\tD",
        "A\tアニメ\tauthor\t\tC",
        "A\tB\tC\tD\t",
        "",
    ],
    ids=["too few", "too many", "no value", "no source", "empty"],
)
def test_a_row_that_is_not_five_filled_columns_is_told_with_file_and_line(load_text, row):
    with pytest.raises(UserError, match=r"anime\.tsv, line 3: expected 5 filled columns"):
        load_text(f"{HEADER}A\tアニメ\tauthor\tB\tC\n{row}\n")


@pytest.mark.parametrize("text", ["", "title\tvalue\n", "A\tアニメ\tauthor\tB\tC\n"])
def test_a_table_with_other_columns_is_told(load_text, text):
    with pytest.raises(UserError, match=r"anime\.tsv, line 1: expected the columns subject, kind"):
        load_text(text)


def test_there_are_at_least_300_works_each_with_one_protagonist(anime):
    works = by_subject(anime)
    assert len(works) >= 300
    for title, rows in works.items():
        relations = Counter(row.relation for row in rows)
        assert relations["protagonist"] == 1, title
        assert len(relations) >= 4, title


def test_there_are_at_least_200_subjects_outside_anime_of_many_kinds(general):
    assert len(by_subject(general)) >= 200
    assert len({fact.kind for fact in general}) >= 8


def test_the_two_tables_share_no_subject_and_no_kind(anime, general):
    assert not by_subject(anime).keys() & by_subject(general).keys()
    assert not {fact.kind for fact in anime} & {fact.kind for fact in general}


def test_no_two_works_have_the_same_protagonist(anime):
    names = Counter(v for f in anime if f.relation == "protagonist" for v in f.values)
    assert not [name for name, count in names.items() if count > 1]


@pytest.mark.parametrize("table", ["anime", "general"])
def test_every_row_is_one_fact_with_a_source(table, request):
    facts = request.getfixturevalue(table)
    assert len({(fact.subject, fact.relation) for fact in facts}) == len(facts)
    for fact in facts:
        texts = [fact.subject, fact.kind, fact.relation, *fact.values, fact.source]
        assert all(text == text.strip() != "" for text in texts), fact
        assert len(set(fact.values)) == len(fact.values), fact


def test_a_subject_s_rows_agree_on_its_kind(anime, general):
    for subject, rows in by_subject(anime + general).items():
        assert len({row.kind for row in rows}) == 1, subject


def test_broadcast_months_are_those_of_the_broadcast_list(anime, shared_data):
    begun = defaultdict(list)
    with (shared_data / "anime" / "broadcasts.tsv").open(encoding="utf-8") as lines:
        for row in csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE):
            begun[row["title"], row["type"]].append(row["begin"])
    for title, rows in by_subject(anime).items():
        value = {row.relation: row.value for row in rows}
        # Of remakes of the same title and form, the table means the first.
        year, month, _ = min(begun[title, BROADCAST_TYPES[value["form"]]]).split("-")
        assert value["first_broadcast"] == f"{int(year)}年{int(month)}月", title


def test_broadcast_months_and_forms_credit_the_broadcast_list(anime):
    taken = [fact for fact in anime if fact.relation in ("first_broadcast", "form")]
    assert len(taken) == 2 * len(by_subject(anime))
    assert all("bangumi-data" in fact.source and "CC BY 4.0" in fact.source for fact in taken)


def test_facts_are_grouped_by_subject_in_order_of_first_appearance():
    rows = [Fact(s, "国", r, ("x",), "-") for s, r in [("B", "1"), ("A", "1"), ("B", "2")]]
    assert by_subject(rows) == {"B": [rows[0], rows[2]], "A": [rows[1]]}
    assert list(by_subject(rows)) == ["B", "A"]


def test_a_value_of_two_subjects_does_not_name_one():
    rows = [("A", "author", "p"), ("B", "author", "p"), ("B", "studio", "p"), ("C", "author", "q")]
    facts = [Fact(s, "アニメ", r, (v,), "-") for s, r, v in rows]
    assert names_one_subject(facts) == {("studio", "p"), ("author", "q")}
