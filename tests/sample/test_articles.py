from collections import Counter

import frontmatter
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from animelm.sample.articles import Article, article_bodies, write_articles
from animelm.sample.facts import Fact, by_subject
from animelm.sample.wordings import load_relations, telling_sentences

FRONT_MATTER = ["title", "page_id", "revision", "categories", "source", "license"]


def facts_about(title):
    rows = [("protagonist", "山田"), ("author", "鈴木"), ("studio", "B社"), ("form", "OVA")]
    return [Fact(title, "アニメ", name, (value,), f"source {value}") for name, value in rows]


@pytest.fixture(scope="module")
def sample(anime, general):
    """Every subject of both tables with its facts and eight revisions of its article."""
    subjects = by_subject(anime + general).values()
    return [(rows, write_articles(i, rows, 8)) for i, rows in enumerate(subjects, start=1)]


def test_the_front_matter_names_the_article_its_sources_and_its_licence():
    article = write_articles(7, facts_about("ある作品"), 3)[2]
    parsed = frontmatter.loads(article.text)
    assert list(parsed.metadata) == FRONT_MATTER
    assert parsed.metadata == {
        "title": "ある作品",
        "page_id": 7,
        "revision": 3,
        "categories": ["アニメ"],
        "source": ["source B社", "source OVA", "source 山田", "source 鈴木"],
        "license": "Apache-2.0",
    }
    assert parsed.content.startswith("# ある作品\n\n")


def test_every_article_of_the_sample_has_front_matter_that_parses(sample):
    for rows, articles in sample[::7]:
        for number, article in enumerate(articles[:2], start=1):
            parsed = frontmatter.loads(article.text)
            assert list(parsed.metadata) == FRONT_MATTER
            assert parsed["title"] == article.title == rows[0].subject
            assert parsed["revision"] == article.revision == number
            assert parsed["source"] == sorted({row.source for row in rows})


@given(st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1))
@pytest.mark.parametrize("page_id", [1])
def test_the_front_matter_holds_any_title(page_id, title):
    [article] = write_articles(page_id, facts_about(title), 1)
    header = article.text.split("---\n")[1]
    assert yaml.safe_load(header)["title"] == title


@pytest.mark.parametrize(
    "title", ["3×3 EYES", "魁!!男塾", "- x", "a: b # c", "1984", "null", "---", "'\""]
)
def test_a_title_that_means_something_in_yaml_stays_text(title):
    [article] = write_articles(1, facts_about(title), 1)
    parsed = frontmatter.loads(article.text)
    assert parsed["title"] == title
    assert parsed.content.startswith(f"# {title}\n\n")


def all_sentences(fact):
    return {*telling_sentences(fact, value_first=False), *telling_sentences(fact, value_first=True)}


def heading(article: Article) -> str:
    return article.body.partition("\n")[0].removeprefix("# ")


def paragraph(article: Article) -> str:
    return article.body.partition("\n\n")[2]


def test_every_revision_tells_each_fact_once(sample):
    for rows, articles in sample:
        for article in articles:
            text = paragraph(article)
            for row in rows:
                told = [s for s in all_sentences(row) if s in text]
                # A sentence may be part of another one: 「A」は「B」の主人公です。
                assert len({s for s in told if not any(s in t and s != t for t in told)}) == 1, row
            assert text.count("。") >= len(rows)


def test_every_second_revision_is_headed_by_a_value_and_names_it_before_the_subject(sample):
    for rows, articles in sample:
        for article in articles:
            top = heading(article)
            if article.revision % 2:
                assert top == rows[0].subject
                continue
            facts = [row for row in rows if row.value == top]
            assert facts
            text = paragraph(article)
            assert any(text.startswith(s) for f in facts for s in telling_sentences(f, True))


def test_a_value_that_is_asked_about_heads_a_revision(sample):
    for rows, articles in sample:
        headings = {heading(article) for article in articles}
        asked = {r.value for r in rows if load_relations()[r.relation].questions["reverse"]}
        assert asked <= headings


def test_values_are_named_first_about_as_often_as_subjects(sample):
    first = Counter()
    for rows, articles in sample:
        for text in map(paragraph, articles):
            for row in rows:
                first["value"] += any(s in text for s in telling_sentences(row, True))
                first["subject"] += any(s in text for s in telling_sentences(row, False))
    assert 0.9 < first["value"] / first["subject"] < 1.1


def test_revisions_tell_a_fact_in_all_its_wordings_before_one_comes_again():
    facts = facts_about("ある作品")
    texts = [body.partition("\n\n")[2] for body in article_bodies(facts, 40)]
    for fact in facts:
        for value_first in (False, True):
            told = Counter(
                {s: sum(s in text for text in texts) for s in telling_sentences(fact, value_first)}
            )
            assert max(told.values()) - min(told.values()) <= 1, fact


def test_no_article_holds_a_question(sample):
    for rows, articles in sample:
        names = "".join([rows[0].subject, *(row.value for row in rows)])
        for article in articles:
            assert not {"?", "？"} & (set(paragraph(article)) - set(names)), article.title


def test_the_same_facts_always_give_the_same_articles():
    facts = facts_about("ある作品")
    assert write_articles(1, facts, 5) == write_articles(1, list(facts), 5)
    assert write_articles(1, facts, 2) == write_articles(1, facts, 5)[:2]
    # Spelt out, as another run of Python must not draw another order.
    assert article_bodies(facts, 2)[1] == (
        "# 山田\n\n山田を主人公とする作品に「ある作品」があります。"
        "「ある作品」の制作はB社が担当しました。"
        "「ある作品」の形式はOVAです。鈴木による原作をもとに、「ある作品」が作られました。"
    )


def test_subjects_differ_in_the_wordings_that_their_articles_begin_with():
    bodies = {
        article_bodies(facts_about(f"作品{n}"), 1)[0].replace(f"作品{n}", "") for n in range(20)
    }
    assert len(bodies) > 15
