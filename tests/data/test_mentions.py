import pytest

from animelm.data.mentions import Mentions


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("日本の首都は東京です。", True),
        ("南日本新聞", True),
        ("金曜日", False),
        ("「金」の元素記号はAuです。", True),
        ("『金』は元素です。", True),
        ("｢金｣は元素です。", True),
        ("ＤＮＡの形", True),
        ("dna", True),
        ("", False),
    ],
)
def test_long_names_are_found_anywhere_and_single_characters_in_quotes(
    text: str, found: bool
) -> None:
    assert Mentions(["日本", "金", "DNA"]).any_in(text) == found


def test_without_names_nothing_is_found() -> None:
    assert not Mentions([]).any_in("日本")
