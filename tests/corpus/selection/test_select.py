from collections.abc import Callable

import pytest
from exports import Spec, article, category, export

from animelm.corpus.selection.select import Selection, Selector
from animelm.errors import UserError

PAGES = [
    category("アニメ"),
    category("アニメ作品", "アニメ"),
    category("少年漫画", "アニメ作品"),
    category("銀魂", "少年漫画", "円環"),
    category("円環", "銀魂"),
    category("声優", "アニメ"),
    article("アニメ", "アニメ"),
    article("銀魂", "銀魂", "日本の漫画作品"),
    article("銀魂の登場人物", "銀魂"),
    article("坂田銀時", "円環"),
    article("声優の人", "声優", "アニメ作品"),
    article("島国", "国"),
    Spec("ぎんたま", "#転送", redirect="銀魂"),
    Spec("入口", "[[ぎんたま]] [[島国#地理|島]] [[Category:国]] [[無い頁]]"),
    Spec("入口への転送", "#転送", redirect="入口"),
    Spec("Template:銀魂", "[[Category:アニメ]]", 10),
]


@pytest.fixture
def titles(index: Callable) -> Callable[..., set[str]]:
    made = index(export(PAGES))

    def choose(**selection: object) -> set[str]:
        selector = Selector(Selection(**selection), [made])
        return {page.title for page in made.pages() if selector.check(page).selected}

    return choose


def test_without_a_selection_every_article_is_wanted_and_nothing_else(titles):
    articles = {spec.title for spec in PAGES if spec.namespace == 0 and not spec.redirect}
    assert titles() == articles


@pytest.mark.parametrize(
    ("depth", "found"),
    [
        (0, {"アニメ"}),
        (1, {"アニメ", "声優の人"}),
        (2, {"アニメ", "声優の人"}),
        (3, {"アニメ", "声優の人", "銀魂", "銀魂の登場人物"}),
        (4, {"アニメ", "声優の人", "銀魂", "銀魂の登場人物", "坂田銀時"}),
        (None, {"アニメ", "声優の人", "銀魂", "銀魂の登場人物", "坂田銀時"}),
    ],
)
def test_each_level_of_the_tree_adds_its_articles(titles, depth: int | None, found: set[str]):
    assert titles(category="アニメ", depth=depth) == found


def test_a_loop_of_categories_ends(titles):
    assert titles(category="円環", depth=None) == {"銀魂", "銀魂の登場人物", "坂田銀時"}


def test_a_category_may_be_named_as_its_page_is(titles):
    assert titles(category="Category:銀魂", depth=0) == {"銀魂", "銀魂の登場人物"}


def test_of_several_categories_any_counts(titles):
    assert titles(category=["国", "声優"], depth=0) == {"島国", "入口", "声優の人"}


def test_titles_are_found_by_a_pattern(titles):
    assert titles(title_pattern="^銀魂") == {"銀魂", "銀魂の登場人物"}


def test_links_from_a_page_are_followed_through_redirects(titles):
    assert titles(linked_from="入口") == {"銀魂", "島国"}
    assert titles(linked_from="入口への転送") == {"銀魂", "島国"}


def test_conditions_of_different_kinds_narrow_or_widen(titles):
    both = {"category": "銀魂", "depth": 0, "title_pattern": "人物$|^島"}
    assert titles(**both) == {"銀魂の登場人物"}
    assert titles(**both, match="any") == {"銀魂", "銀魂の登場人物", "島国"}


def test_exceptions_outweigh_every_condition(titles):
    assert "声優の人" not in titles(category="アニメ", except_category="声優")
    assert titles(title_pattern="銀魂", except_title="人物") == {"銀魂"}


@pytest.mark.parametrize(
    ("title", "expected"),
    [
        (
            "銀魂",
            [
                "銀魂: selected",
                "category アニメ > アニメ作品 > 少年漫画 > 銀魂",
                "page 8, dump.xml",
            ],
        ),
        (
            "坂田銀時",
            ["坂田銀時: not selected", "in the tree of アニメ (5 categories on 3 levels)", "円環"],
        ),
        ("声優の人", ["not selected", "left out by category 声優"]),
        ("ぎんたま", ["not selected", "it redirects to 銀魂"]),
        ("Template:銀魂", ["not selected", "namespace 10"]),
        ("登場人物", ["no page of the dump has this title; similar titles: 銀魂の登場人物"]),
    ],
)
def test_a_page_is_explained(index: Callable, title: str, expected: list[str]):
    selection = Selection(category="アニメ", depth=3, except_category="声優")
    explained = Selector(selection, [index(export(PAGES))]).explain(title)
    for each in expected:
        assert each in explained


def test_a_tree_reaches_from_one_dump_file_into_another(index: Callable):
    first = index(export(PAGES[:6]), "first.xml")
    second = index(export(PAGES[6:]), "second.xml")
    selector = Selector(Selection(category="アニメ", depth=3), [first, second])
    selected = {page.title for page in second.pages() if selector.check(page).selected}
    assert "銀魂" in selected


def test_a_page_to_follow_that_is_not_there_is_reported(index: Callable):
    with pytest.raises(UserError, match="--linked_from 無い頁: no page of the dump"):
        Selector(Selection(linked_from="無い頁"), [index(export(PAGES))])


@pytest.mark.parametrize(
    ("selection", "expected"),
    [
        ({"title_pattern": "("}, r"--title_pattern '\(': not a regular expression"),
        ({"except_title": "*"}, r"--except_title '\*': not a regular expression"),
        ({"depth": -1}, "--depth must be 0 or more"),
    ],
)
def test_a_selection_without_meaning_is_reported(selection: dict, expected: str):
    with pytest.raises(UserError, match=expected):
        Selection(**selection)
