"""What the base has read: above all, that no anime fact is in it."""

import bz2
import json
import re
from dataclasses import fields

import frontmatter
import pytest
import yaml

from animelm.errors import UserError
from animelm.sample import base_corpus
from animelm.sample.articles import write_articles
from animelm.sample.base_corpus import (
    COUNTRY_PAGES,
    JSQUAD,
    plain_passages,
    real_texts,
    write_base_corpus,
)
from animelm.sample.facts import by_subject
from animelm.sample.writer import GENERATED

# Names of the anime table that mean something else in the general facts, with the one subject that
# they stand under: the novelist whose name the hero of a work bears, and the painter ジェリコー.
NAMESAKES = {"中島敦": "山月記", "リコ": "メデューズ号の筏"}
# What can turn up inside an invented name by chance (チト in リショチト); nothing longer can.
SHORT_KANA = re.compile("[ぁ-ゖ]{1,3}|[ァ-ヺー]{1,3}")


@pytest.fixture(scope="module")
def names_in(anime_names):
    """``names_in(text)``: titles and protagonists of the anime table that stand in the text."""
    pattern = re.compile("|".join(map(re.escape, sorted(anime_names, key=len, reverse=True))))

    def search(text):
        names, found = set(), pattern.search(text)
        while found:
            names |= {name for name in anime_names if text.startswith(name, found.start())}
            # One step on, so that a name inside another one is found too.
            found = pattern.search(text, found.start() + 1)
        return names

    return search


@pytest.fixture(scope="module")
def wikitext_parser():
    """Only who rebuilds the base needs it."""
    pytest.importorskip("mwparserfromhell")


@pytest.fixture
def plain_text(tmp_path, wikitext_parser, anime, general, monkeypatch):
    """``plain_text(paragraphs, pages)``: a folder as ``../shared/data``, with these texts.

    Beside it there are few general facts and drills, to write in no time.
    """
    tables = {"anime": anime, "general": general[:20]}
    monkeypatch.setattr(base_corpus, "load_facts", tables.__getitem__)
    monkeypatch.setattr(base_corpus, "copying_drills", lambda count, seed: ["甲、乙\n甲、乙\n"])

    def write(paragraphs, pages):
        folder = tmp_path / "plain_text"
        contexts = [{"context": f"題名 [SEP] {text}", "qas": []} for text in paragraphs]
        xml = "".join(f"<page><revision><text>{page}</text></revision></page>" for page in pages)
        for path, content in [
            (JSQUAD, json.dumps({"data": [{"paragraphs": contexts}]}).encode()),
            (COUNTRY_PAGES, bz2.compress(f"<mediawiki>{xml}</mediawiki>".encode())),
        ]:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(content)
        return folder

    return write


def read_lines(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def text_of(record):
    return "\n".join([record["question"], *record["answers"], *record["keys"]])


def test_the_search_finds_every_name_of_the_anime_table(anime, anime_names, names_in):
    articles = [write_articles(1, rows, 1)[0].text for rows in by_subject(anime).values()]
    assert set().union(*map(names_in, articles)) == anime_names


def test_the_general_articles_and_questions_name_no_anime_work_and_no_protagonist(corpus, names_in):
    found = set()
    articles = [path.read_text(encoding="utf-8") for path in sorted(corpus.articles.iterdir())]
    assert len(articles) >= 200
    for text in articles:
        title = frontmatter.loads(text)["title"]
        found |= {(name, title) for name in names_in(text)}
    questions = read_lines(corpus.questions)
    assert len(questions) > 10_000
    for record in questions:
        found |= {(name, record["work"]) for name in names_in(text_of(record))}
    assert found == set(NAMESAKES.items())


def test_the_exercises_and_drills_name_no_anime_work_and_no_protagonist(
    exercises, drills, names_in
):
    texts = [*map(text_of, exercises.records), *drills]
    assert sum(map(len, texts)) > 1_000_000
    found = set().union(*map(names_in, texts))
    assert not [name for name in found if not SHORT_KANA.fullmatch(name)]
    # test_invented.py: none of these is the name of an invented work or person.


def test_the_plain_passages_name_no_anime_work_and_no_protagonist(
    shared_data, wikitext_parser, names_in
):
    passages = list(plain_passages(shared_data))
    assert len(passages) > 1_000
    assert sum(map(len, passages)) > 500_000
    assert not set().union(*map(names_in, passages))


def test_the_base_is_trained_on_these_texts_and_no_others(project_root, tmp_path, plain_text):
    settings = yaml.safe_load((project_root / "configs" / "base.yaml").read_text(encoding="utf-8"))
    data = settings["data"]["init_args"]
    corpus = write_base_corpus(tmp_path / "corpus", plain_text([], []), reading=1)
    written = sorted(getattr(corpus, field.name).name for field in fields(corpus))
    assert sorted(path.name for path in (tmp_path / "corpus").iterdir()) == written
    trained = sorted(source["path"] for source in data["sources"])
    assert trained == [f"runs/base/corpus/{name}" for name in written]
    assert data["asked"] == f"runs/base/corpus/{corpus.questions.name}"


def test_the_articles_are_those_of_the_general_table_alone(corpus, general):
    titles = {path.read_text("utf-8").split("\n")[1] for path in corpus.articles.iterdir()}
    assert len(titles) == len(by_subject(general))
    assert {record["domain"] for record in read_lines(corpus.questions)} == {"general"}
    assert {record["domain"] for record in read_lines(corpus.reading)} == {"general"}


def test_no_general_article_of_the_sample_is_among_them(corpus):
    shipped = (GENERATED / "general" / "articles").iterdir()
    texts = {frontmatter.load(path).content for path in shipped}
    read = {frontmatter.load(path).content for path in corpus.articles.iterdir()}
    assert len(read) > 1_000
    assert not read & texts


def test_a_passage_that_names_an_anime_work_or_a_protagonist_is_left_out(plain_text):
    paragraphs = [
        "静かな海の話です。",
        "新世紀エヴァンゲリオンの話です。",
        "碇シンジという人です。",
    ]
    page = "広い砂漠がある国で、" * 9 + "人々はらくだと暮らす。"
    named = page + "うずまきナルトも暮らす。"
    # Of the pages' passages every fourth is taken: here the first and the last.
    assert list(plain_passages(plain_text(paragraphs, [named, page, page, page, page]))) == [
        paragraphs[0],
        page,
    ]
    assert list(plain_passages(plain_text(paragraphs, [page, named, named]))) == [
        paragraphs[0],
        page,
    ]


def test_a_passage_comes_once(plain_text):
    folder = plain_text(["同じ話です。", "別の話です。", "同じ話です。"], [])
    assert list(plain_passages(folder)) == ["同じ話です。", "別の話です。"]


def test_of_a_page_prose_alone_is_kept_cut_at_sentences(plain_text):
    prose = [f"これは{n}番目の文で、国の歴史について述べたものである。" for n in range(60)]
    note = "&lt;ref&gt;注釈である。&lt;/ref&gt;"
    page = "{{Infobox|首都=東京}}\n== 歴史 ==\n" + note.join(prose) + "\n{|\n| 表である。\n|}"
    passages = list(plain_passages(plain_text([], [page])))
    assert len(passages) > 1
    for passage in passages:
        assert passage in "".join(prose)
        assert 60 <= len(passage) <= 400 and passage.endswith("。")


@pytest.mark.parametrize("missing", [JSQUAD, COUNTRY_PAGES])
def test_plain_text_that_lacks_a_file_is_told(plain_text, tmp_path, missing):
    folder = plain_text([], [])
    (folder / missing).unlink()
    with pytest.raises(UserError, match=f"{missing.name}: not found"):
        write_base_corpus(tmp_path / "corpus", folder, reading=1)


def test_without_plain_text_there_is_none(corpus):
    assert corpus.plain is None
    assert not (corpus.articles.parent / "plain").exists()


def test_a_second_corpus_leaves_nothing_of_the_first(plain_text, tmp_path):
    folder = plain_text(["一つ目です。", "二つ目です。", "三つ目です。"], [])
    write_base_corpus(tmp_path / "corpus", folder, reading=5)
    folder = plain_text(["四つ目です。"], [])
    corpus = write_base_corpus(tmp_path / "corpus", folder, reading=2)
    assert [path.read_text("utf-8") for path in corpus.plain.iterdir()] == ["四つ目です。\n"]
    assert len(read_lines(corpus.reading)) == 2


def test_the_tokenizer_is_shown_every_article_passage_and_question_that_is_not_invented(
    plain_text, tmp_path
):
    folder = plain_text(["一つ目です。", "二つ目です。"], [])
    corpus = write_base_corpus(tmp_path / "corpus", folder, reading=3)
    texts = list(real_texts(corpus))
    articles = len(list(corpus.articles.iterdir()))
    assert all(text.startswith("---\ntitle: ") for text in texts[:articles])
    assert texts[articles : articles + 2] == ["一つ目です。\n", "二つ目です。\n"]
    questions = read_lines(corpus.questions)
    assert texts[articles + 2 :] == [record["question"] for record in questions]
