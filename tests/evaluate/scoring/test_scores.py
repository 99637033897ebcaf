from collections.abc import Callable

import pytest

from animelm.data.sources.qa import QARecord
from animelm.evaluate.scoring import Distractors, character_f1, exact_match, key_accuracy

Make = Callable[..., QARecord]


def test_exact_match_ignores_width_brackets_and_spaces() -> None:
    answers = ["「K-ON!」の主人公は平沢唯です。", "主人公は平沢 唯です。"]
    assert exact_match("『K-ON!』の主人公は平沢唯です", answers) == 1.0
    assert exact_match("主人公は平沢唯です。", answers) == 1.0
    assert exact_match("主人公は平沢憂です。", answers) == 0.0
    assert exact_match("", answers) == 0.0


def test_texts_of_symbols_are_no_empty_texts() -> None:
    assert exact_match("◎", ["「◎」"]) == 1.0
    assert exact_match("○", ["◎"]) == exact_match("", ["◎"]) == 0.0
    assert character_f1("", ["◎"]) == 0.0
    assert key_accuracy("答えは◎です。", ["◎"], ["○"]) == 1.0
    assert key_accuracy("答えは◎か○です。", ["◎"], ["○"]) == 0.0


def test_character_f1_is_the_best_over_the_answers() -> None:
    assert character_f1("平沢唯", ["秋山澪", "平沢憂"]) == pytest.approx(2 / 3)
    assert character_f1("「平沢唯」。", ["平沢唯"]) == 1.0
    assert character_f1("ああ", ["あ"]) == pytest.approx(2 / 3)  # counted, not as a set
    assert character_f1("", ["平沢唯"]) == 0.0
    assert character_f1("平沢唯", []) == 0.0


@pytest.mark.parametrize(
    "output",
    [
        "主人公はモンキー・D・ルフィです。",
        "ルフィ",
        "ルフィ",
        "「ルフィ」こと モンキー D ルフィ",
    ],
)
def test_any_key_is_enough(output: str) -> None:
    assert key_accuracy(output, ["ルフィ", "モンキー・D・ルフィ"], ["キラ・ヤマト"]) == 1.0


@pytest.mark.parametrize(
    ("output", "accuracy"),
    [
        ("主人公はキラです。", 1.0),
        ("主人公はキラ・ヤマトです。", 0.0),  # the distractor's longer name
        ("主人公はキラヤマトです。", 0.0),
        ("主人公はキラとキラ・ヤマトです。", 0.0),
        ("主人公はキラキラです。", 0.0),
        ("", 0.0),
    ],
)
def test_a_key_inside_a_longer_distractor_is_not_found(output: str, accuracy: float) -> None:
    assert key_accuracy(output, ["キラ"], ["キラ・ヤマト", "ルフィ"]) == accuracy


@pytest.mark.parametrize(
    ("output", "accuracy"),
    [
        ("主人公はキラ・ヤマトです。", 1.0),
        ("主人公はキラ・ヤマト、キラと呼ばれます。", 1.0),
        ("主人公はキラ・ヤマトかルフィです。", 0.0),
        ("ルフィ、キラ・ヤマト、ナルト", 0.0),
        ("主人公はキラです。", 0.0),
    ],
)
def test_a_distractor_that_is_part_of_the_key_is_ignored(output: str, accuracy: float) -> None:
    assert key_accuracy(output, ["キラ・ヤマト"], ["キラ", "ルフィ", "ナルト"]) == accuracy


@pytest.mark.parametrize(
    ("output", "accuracy"),
    [
        ("2011年1月に放送が始まりました。", 1.0),
        ("2011年1月です。", 1.0),
        ("2011年11月です。", 0.0),
        ("12011年1月です。", 0.0),
        ("2011年1月か2012年1月です。", 0.0),
    ],
)
def test_dates_match_as_whole_numbers(output: str, accuracy: float) -> None:
    assert key_accuracy(output, ["2011年1月"], ["2011年11月", "2012年1月"]) == accuracy


def test_of_overlapping_names_the_first_takes_the_characters() -> None:
    assert key_accuracy("首都は東京都です。", ["東京"], ["京都"]) == 1.0
    assert key_accuracy("首都は東京都です。", ["京都"], ["東京"]) == 0.0


def test_what_the_question_or_an_accepted_answer_names_is_no_distractor() -> None:
    question = "ナルトのライバル、サスケが出る作品の主人公は誰ですか?"
    output = "サスケの出る作品の主人公はナルトです。"
    assert key_accuracy(output, ["ナルト"], ["サスケ"]) == 0.0
    assert key_accuracy(output, ["ナルト"], ["サスケ"], [question]) == 1.0


def test_distractors_are_of_the_same_relation_direction_and_domain(make_record: Make) -> None:
    asked = make_record()
    records = [
        asked,
        make_record(work="ONE PIECE", fact="ONE PIECE/protagonist", keys=("ルフィ",)),
        make_record(work="ONE PIECE", fact="ONE PIECE/studio", keys=("東映アニメーション",)),
        make_record(direction="reverse", keys=("鋼の錬金術師",)),
        make_record(work="小説", fact="小説/protagonist", domain="books", keys=("メロス",)),
    ]
    distractors = Distractors(records)
    assert distractors.of(asked) == ("エドワード・エルリック", "エドワード", "ルフィ")
    assert distractors.score("エドワードです。", asked).accuracy == 1.0
    assert distractors.score("エドワードとルフィです。", asked).accuracy == 0.0
    assert distractors.score("エドワードとメロスです。", asked).accuracy == 1.0


def test_distractors_know_titles_that_hold_a_slash(make_record: Make) -> None:
    fate = make_record(work="Fate/Zero", fact="Fate/Zero/protagonist", keys=("衛宮切嗣",))
    assert Distractors([make_record(), fate]).of(make_record())[-1] == "衛宮切嗣"


def test_an_answer_of_another_wording_of_the_fact_is_accepted_context(make_record: Make) -> None:
    other = make_record(id="1", answers=("ルフィではなく、エドワードが主人公です。",))
    distractor = make_record(work="ONE PIECE", fact="ONE PIECE/protagonist", keys=("ルフィ",))
    output = "ルフィではなくエドワードです。"
    assert Distractors([make_record(), distractor]).score(output, make_record()).accuracy == 0.0
    assert (
        Distractors([make_record(), distractor, other]).score(output, make_record()).accuracy == 1.0
    )


def test_facts_of_raw_pairs_have_no_distractors(make_record: Make) -> None:
    questions = ["Fate/Zeroの主人公は?", "Fate/Zeroの主人公は誰?"]
    pairs = [make_record(work=q, fact=q, question=q, keys=(q[:3],)) for q in questions]
    assert [Distractors(pairs).of(pair) for pair in pairs] == [(), ()]
