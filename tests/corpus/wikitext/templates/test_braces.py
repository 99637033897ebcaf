from collections import Counter

import mwparserfromhell
import pytest
from hypothesis import given
from hypothesis import strategies as st

from animelm.corpus.wikitext.context import Context, TooDeepError
from animelm.corpus.wikitext.extension_tags import remove_extension_tags
from animelm.corpus.wikitext.templates.braces import expand


def calls(text):
    """The templates of a text as (name, number of arguments), in the order of their ends."""
    found = []

    def note(arguments, begins_line, alone):
        found.append((arguments[0].strip(), len(arguments) - 1))
        return ""

    expand(text, note, lambda arguments: "")
    return found


def test_templates_of_real_pages_are_those_that_mwparserfromhell_finds(dump_pages):
    for title, wikitext in dump_pages[::10]:
        text = remove_extension_tags(wikitext, Context(title))
        tree = mwparserfromhell.parse(text, skip_style_tags=True)
        expected = Counter(
            (str(template.name).partition("{{")[0].strip(), len(template.params))
            for template in tree.filter_templates()
        )
        assert Counter(calls(text)) == expected, title


def shown(text):
    return expand(
        text,
        lambda arguments, begins, alone: f"<{','.join(arguments)}>",
        lambda arguments: f"({','.join(arguments)})",
    )


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("a{{b|c}}d", "a<b,c>d"),
        ("{{a|{{b|c}}|d}}", "<a,<b,c>,d>"),
        ("{{a|[[b|c]]|d}}", "<a,(b,c),d>"),
        ("{{{a|b}}}", "b"),
        ("{{{{a}}}}", "{}"),
        ("{{{{{a}}}}}", "<>"),
        ("{{{!}} x", "{<!> x"),
        ("{{a|b", "a|b"),
        ("a}}b", "ab"),
        ("{{a|[[b}}c", "<a,b>c"),
        ("[[a|{{b|c]]d}}", "a|<b,cd>"),
        ("{{a|{b}}}", "<a,{b>}"),
    ],
)
def test_braces_match_as_in_mediawiki(text, result):
    assert shown(text) == result


def test_an_expansion_s_pipe_separates_no_argument():
    text = expand("{{a|{{!}}|b}}", lambda arguments, begins, alone: "|" if arguments[0] == "!" else
                  str(len(arguments)), str)  # fmt: skip
    assert text == "3"


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("{{x}}", (True, True)),
        ("a\n {{x}} \nb", (True, True)),
        ("{{y}}{{x}}\n", (True, True)),
        ("{{x}}は", (True, False)),
        ("は{{x}}", (False, False)),
        ("|a = {{x}}", (False, False)),
    ],
)
def test_a_template_knows_its_place_in_the_line(text, place):
    places = {}
    expand(text, lambda a, begins, alone: places.update({a[0]: (begins, alone)}) or "", str)
    assert places["x"] == place


def test_open_brackets_are_bounded():
    with pytest.raises(TooDeepError, match="never closed"):
        shown("[[x" * 100_001)


@given(st.lists(st.sampled_from(["{{", "}}", "[[", "]]", "|", "a", "{", "}"]), max_size=30))
def test_no_letter_is_lost_whatever_the_brackets(parts):
    text = "".join(parts)
    # A parameter's name goes: there are none in articles.
    if "{{{" not in text:
        assert shown(text).count("a") == text.count("a")
