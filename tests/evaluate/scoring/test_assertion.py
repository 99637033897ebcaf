import pytest

from animelm.evaluate.scoring import key_accuracy, loose_key_accuracy


@pytest.mark.parametrize(
    "output",
    [
        "西田ではありません",
        "「西田」ではありません。",
        "西田じゃない。",
        "西田さんではなく東田です。",
        "西田ではなかった。",
        "西田敏行ではありません。",
        "西田ではないかもしれません。",
        "西田という名前ではありません。",
        "西田が主人公ではありません。",
        "西田は主人公ではありません。",
        "西田とは異なります。",
        "西田とは別の人物です。",
        "西田は誤りです。",
        "西田以外です。",
    ],
)
def test_a_key_that_is_denied_is_no_answer(output: str) -> None:
    assert key_accuracy(output, ["西田"], []) == 0.0
    assert loose_key_accuracy(output, ["西田"], []) == 0.0


@pytest.mark.parametrize(
    "output",
    [
        "西田か東田です。",
        "東田か西田です。",
        "西田または東田です。",
        "東田、もしくは西田です。",
        "それは西田でしょうか、東田でしょうか。",
        "西田なのか東田なのか分かりません。",
        "西田ですか?東田ですか?",
    ],
)
def test_a_key_among_several_candidates_is_no_answer(output: str) -> None:
    assert key_accuracy(output, ["西田"], []) == 0.0
    assert loose_key_accuracy(output, ["西田"], []) == 0.0


@pytest.mark.parametrize(
    "output",
    [
        "東田ではなく西田です。",
        "主人公は西田です。東田ではありません。",
        "西田ではないでしょうか。",
        "西田ではないか。",
        "西田ではありませんか?",
        "西田だけではなく東田もいます。",
        "西田かもしれません。",
        "西田から始まります。",
        "確か西田です。",
        "誰か、西田です。",
    ],
)
def test_words_that_only_look_like_a_denial_change_nothing(output: str) -> None:
    assert key_accuracy(output, ["西田"], []) == 1.0


@pytest.mark.parametrize(
    ("output", "accuracy"),
    [
        ("It is not Nishida.", 0.0),
        ("It isn't Nishida.", 0.0),
        ("Nishida is not the hero.", 0.0),
        ("Anyone other than Nishida.", 0.0),
        ("Nishida or Higashida", 0.0),
        ("Higashida or Nishida", 0.0),
        ("The hero is Nishida, not Higashida.", 1.0),
        ("Not only Nishida.", 1.0),
        ("Nishida", 1.0),
    ],
)
def test_english_denials_and_candidates(output: str, accuracy: float) -> None:
    assert key_accuracy(output, ["Nishida"], []) == accuracy


def test_two_accepted_keys_are_no_rival_candidates() -> None:
    assert key_accuracy("エドワードかアルフォンスです。", ["エドワード", "アルフォンス"], []) == 1.0
    assert key_accuracy("エドワードかウィンリィです。", ["エドワード", "アルフォンス"], []) == 0.0


def test_an_accepted_answer_that_denies_its_own_key_makes_that_right() -> None:
    output, answer = "いいえ、人間ではありません。", "主人公は人間ではありません。"
    assert key_accuracy(output, ["人間"], [], [answer]) == 1.0
    assert key_accuracy(output, ["人間"], [], ["主人公は人間です。"]) == 0.0
