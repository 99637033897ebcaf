import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers

from animelm.corpus.statistics import (
    LENGTH_EDGES,
    ArticleText,
    Quartiles,
    corpus_statistics,
)


@pytest.fixture(scope="module")
def words() -> Tokenizer:
    """A token for each word; unknown ones too."""
    tokenizer = Tokenizer(models.WordLevel({"?": 0}, unk_token="?"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return tokenizer


ARTICLES = [
    ArticleText("甲", "海 星 a b", ("アニメ", "映画")),
    ArticleText("乙", "海の x", ("アニメ", "アニメ")),
    ArticleText("丙", "a" * 150),
]


def test_counts_are_those_of_the_articles(words):
    statistics = corpus_statistics(ARTICLES, words)
    assert statistics.articles == 3 and statistics.characters == 7 + 4 + 150
    assert statistics.lengths == Quartiles(4, 4, 7, 7, 150)
    assert statistics.category_count == 2
    assert statistics.categories == (("アニメ", 2), ("映画", 1))
    assert {sample.title for sample in statistics.samples} == {"甲", "乙", "丙"}
    assert statistics.tokens is not None
    assert statistics.tokens.tokens == 4 + 2 + 1
    assert statistics.tokens.per_character == pytest.approx(7 / 161)
    assert statistics.tokens.lengths == Quartiles(1, 1, 2, 2, 4)


def test_a_kana_or_kanji_costs_the_tokens_that_cover_one(words):
    # 海, 星 and 海の: three tokens on four characters.
    tokens = corpus_statistics(ARTICLES, words).tokens
    assert tokens is not None and tokens.per_japanese_character == pytest.approx(3 / 4)
    assert tokens.measured_articles == 3
    latin = corpus_statistics([ArticleText("a", "no such letter")], words).tokens
    assert latin is not None and latin.per_japanese_character is None


def test_tokens_of_one_character_count_each():
    # Byte-level: three tokens a character, all with the same span.
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer.model = models.BPE({letter: i for i, letter in enumerate(alphabet)}, [])
    tokens = corpus_statistics([ArticleText("a", "海の星 abc")], tokenizer).tokens
    assert tokens is not None
    assert tokens.tokens == 3 * 3 + 4 and tokens.per_japanese_character == 3.0


def test_nothing_is_counted_in_tokens_without_a_tokenizer():
    assert corpus_statistics(ARTICLES).tokens is None


def test_lengths_at_an_edge_belong_to_the_longer_side():
    articles = [ArticleText(str(length), "a" * length) for length in (0, 99, 100, 199, 200, 10**5)]
    assert corpus_statistics(articles).histogram == (2, 2, 1, 0, 0, 0, 0, 0, 0, 0, 1)


@given(st.lists(st.integers(0, 300_000), min_size=1, max_size=20))
def test_every_article_lies_in_the_bar_of_its_length(lengths):
    articles = [ArticleText(str(i), "a" * length) for i, length in enumerate(lengths)]
    expected, _ = np.histogram(lengths, bins=[0, *LENGTH_EDGES, np.inf])
    assert corpus_statistics(articles).histogram == tuple(expected)


@given(st.permutations(range(30)), st.integers(0, 5))
def test_the_draw_does_not_depend_on_the_order_of_the_articles(order, count):
    articles = [ArticleText(f"記事{i}", str(i)) for i in range(30)]
    drawn = corpus_statistics(articles, samples=count, seed=3).samples
    assert corpus_statistics([articles[i] for i in order], samples=count, seed=3).samples == drawn
    assert len(drawn) == count


def test_another_seed_draws_other_articles():
    articles = [ArticleText(f"記事{i}", str(i)) for i in range(1000)]
    draws = {corpus_statistics(articles, seed=seed).samples for seed in range(5)}
    assert len(draws) == 5


def test_only_the_most_frequent_categories_are_named():
    articles = [ArticleText(str(i), "a", tuple(map(str, range(i)))) for i in range(8)]
    statistics = corpus_statistics(articles, categories=2)
    assert statistics.categories == (("0", 7), ("1", 6)) and statistics.category_count == 7


def test_a_corpus_without_an_article_is_refused():
    with pytest.raises(ValueError, match="needs an article"):
        corpus_statistics([])
