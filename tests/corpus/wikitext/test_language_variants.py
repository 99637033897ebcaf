import pytest
from hypothesis import given
from hypothesis import strategies as st

from animelm.corpus.wikitext.language_variants import choose_variants


@pytest.mark.parametrize(
    ("text", "chosen"),
    [
        ("-{zh-hans:-{甲}-;zh-hant:乙}-", "甲"),
        # The semicolons and colons of an address or a style begin no variant.
        ("-{http://a.b;c:d}-", "http://a.b;c:d"),
        ('-{zh:<span style="a:b;top:0">x</span>}-', '<span style="a:b;top:0">x</span>'),
        ("-{{{1}}}-", "-{{{1}}}-"),
        ("-{never closed", "-{never closed"),
        ("-{a|b}-", "b"),
    ],
)
def test_one_variant_is_chosen_and_other_text_stays(text, chosen):
    assert choose_variants(text) == chosen


@given(st.lists(st.sampled_from(["-{", "}-", "{{", "}}", "zh:", "a", ";", "|", "H"])).map("".join))
def test_any_text_comes_to_an_end(text):
    assert "a" in choose_variants(f"{text}}}-a")


@pytest.mark.parametrize("fragment", ["-{", "-{a", "-{ {{a}} ", "-{zh:a;", "-{a}-", "-{-{a"])
def test_a_long_text_of_broken_markup_takes_no_long_time(fragment):
    choose_variants(fragment * (1_000_000 // len(fragment)))
