import frontmatter
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from animelm.sample.articles import article_body, write_article
from animelm.sample.facts import Fact, by_subject
from animelm.sample.wordings import load_relations, telling_sentences

FRONT_MATTER = ["title", "page_id", "revision", "categories", "source", "license"]


def facts_about(title):
    rows = [("protagonist", "山田"), ("author", "鈴木"), ("studio", "B社"), ("form", "OVA")]
    return [Fact(title, "アニメ", name, (value,), f"source {value}") for name, value in rows]


@pytest.fixture(scope="module")
def sample(anime, general):
    """Every subject of both tables with its facts and its article."""
    subjects = by_subject(anime + general).values()
    return [(rows, write_article(i, rows)) for i, rows in enumerate(subjects, start=1)]


def test_the_front_matter_names_the_article_its_sources_and_its_licence():
    article = write_article(7, facts_about("ある作品"))
    parsed = frontmatter.loads(article.text)
    assert list(parsed.metadata) == FRONT_MATTER
    assert parsed.metadata == {
        "title": "ある作品",
        "page_id": 7,
        "revision": 1,
        "categories": ["アニメ"],
        "source": ["source B社", "source OVA", "source 山田", "source 鈴木"],
        "license": "Apache-2.0",
    }
    assert parsed.content.startswith("# ある作品\n\n")


def test_every_article_of_the_sample_has_front_matter_that_parses(sample):
    for rows, article in sample[::7]:
        parsed = frontmatter.loads(article.text)
        assert list(parsed.metadata) == FRONT_MATTER
        assert parsed["title"] == article.title == rows[0].subject
        assert parsed["source"] == sorted({row.source for row in rows})


@given(st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1))
@pytest.mark.parametrize("page_id", [1])
def test_the_front_matter_holds_any_title(page_id, title):
    header = write_article(page_id, facts_about(title)).text.split("---\n")[1]
    assert yaml.safe_load(header)["title"] == title


@pytest.mark.parametrize(
    "title", ["3×3 EYES", "魁!!男塾", "- x", "a: b # c", "1984", "null", "---", "'\""]
)
def test_a_title_that_means_something_in_yaml_stays_text(title):
    parsed = frontmatter.loads(write_article(1, facts_about(title)).text)
    assert parsed["title"] == title
    assert parsed.content.startswith(f"# {title}\n\n")


def test_every_fact_is_told_at_least_three_times_the_form_at_least_once(sample):
    for rows, article in sample:
        for fact in rows:
            told = [sentence for sentence in telling_sentences(fact) if sentence in article.text]
            assert len(told) >= (1 if fact.relation == "form" else 3), fact


def test_every_fact_has_a_section_and_is_told_in_the_overview_too():
    facts = facts_about("ある作品")
    overview, *sections = article_body(facts, "ある作品").split("\n\n## ")
    assert all(fact.value in overview for fact in facts)
    nouns = [load_relations()[fact.relation].noun for fact in facts]
    assert [section.partition("\n\n")[0] for section in sections] == nouns
    for fact, section in zip(facts, sections, strict=True):
        assert fact.value in section


def test_no_sentence_comes_twice_but_of_a_fact_that_has_only_few(sample):
    for rows, article in sample:
        for fact in rows:
            if fact.relation != "form":
                assert all(article.text.count(s) <= 1 for s in telling_sentences(fact)), fact


def test_the_same_facts_always_give_the_same_article():
    facts = facts_about("ある作品")
    assert write_article(1, facts) == write_article(1, list(facts))
    # Spelt out, as another run of Python must not draw another order.
    assert article_body(facts, "ある作品").splitlines()[2] == (
        "「ある作品」の制作はB社が担当しました。「ある作品」で主人公を務めるのは山田です。"
        "「ある作品」の形式はOVAです。鈴木は「ある作品」の原作者です。"
    )


def test_articles_differ_in_the_wordings_that_they_begin_with():
    overviews = {
        article_body(facts_about(f"作品{n}"), f"作品{n}").splitlines()[2].replace(f"作品{n}", "")
        for n in range(20)
    }
    assert len(overviews) > 15
