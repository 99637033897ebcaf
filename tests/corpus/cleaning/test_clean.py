import unicodedata
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from animelm.corpus.cleaning.clean import Cleaner, CleaningResult, CleaningSettings
from animelm.corpus.cleaning.decontaminate import Question
from animelm.errors import UserError

QUESTION = Question("q1", "「星の海」の主人公は誰ですか?")
PROSE = "宇宙を旅する少女ソラが、なくした星の地図を探して港から港へとめぐる物語である。"
OTHER = "料理人をめざす双子が山あいの温泉宿で客をもてなし、季節ごとの献立を考えていく話だ。"
SHORT = CleaningSettings(minimum_characters=10)


def test_an_article_that_is_kept_is_normalized_to_nfc_and_else_unchanged():
    article = f"# 題\n\n{unicodedata.normalize('NFD', PROSE)}  \n\n| a | b |\n"
    result = Cleaner(SHORT).clean("題", article)
    assert result == CleaningResult(True, "", unicodedata.normalize("NFC", article))


def test_characters_are_counted_without_white_space():
    settings = CleaningSettings(minimum_characters=10, language="any")
    cleaner = Cleaner(settings)
    assert cleaner.clean("a", "あいうえお かきく\n\n けこ").kept
    result = cleaner.clean("b", "あいうえお かきく\n\n け")
    assert not result.kept
    assert result.reason == "9 characters, fewer than 10"


def test_another_language_is_dropped_with_its_share():
    result = Cleaner(SHORT).clean("a", "This page is in English and in nothing else.")
    assert not result.kept
    assert result.reason == "0% of its letters are of the script of ja, fewer than 30%"
    english = CleaningSettings(minimum_characters=10, language="en")
    assert Cleaner(english).clean("a", "This page is in English and in nothing else.").kept
    anything = CleaningSettings(minimum_characters=10, language_share=0)
    assert Cleaner(anything).clean("a", "This page is in English and in nothing else.").kept


def test_duplicates_name_the_article_that_came_first():
    cleaner = Cleaner(SHORT)
    assert cleaner.clean("甲", PROSE * 3).kept
    same = cleaner.clean("乙", (PROSE * 3).replace("、", " , "))
    assert same.reason == "the same text as '甲'"
    near = cleaner.clean("丙", PROSE * 3 + "なお、")
    assert near.reason == "nearly the same text as '甲'"
    assert cleaner.clean("丁", OTHER * 3).kept


def test_passages_with_questions_are_listed_and_stay_unless_asked():
    article = f"{PROSE}\n\n{QUESTION.text}\n\n{OTHER}"
    settings = CleaningSettings(minimum_characters=10, questions=(Path("qa.jsonl"),))
    cleaner = Cleaner(settings, [QUESTION])
    assert cleaner.clean("題", article) == CleaningResult(True, "", article)
    assert [(c.article, c.line, c.question) for c in cleaner.contaminations] == [("題", 3, "q1")]


def test_passages_with_questions_are_dropped_on_request():
    article = f"{PROSE}\n\n{QUESTION.text}\n\n{OTHER}"
    settings = CleaningSettings(minimum_characters=10, drop_contaminated=True)
    cleaner = Cleaner(settings, [QUESTION])
    assert cleaner.clean("題", article) == CleaningResult(True, "", f"{PROSE}\n\n\n{OTHER}")
    result = cleaner.clean("問", f"{QUESTION.text}\n")
    assert result.reason == (
        "without the passages that contain questions: 0 characters, fewer than 10"
    )
    assert [c.article for c in cleaner.contaminations] == ["題", "問"]


def test_passages_of_an_article_that_is_dropped_anyway_are_not_listed():
    cleaner = Cleaner(SHORT, [QUESTION])
    article = f"{PROSE}\n{QUESTION.text}"
    assert cleaner.clean("甲", article).kept
    assert not cleaner.clean("乙", article).kept
    assert [c.article for c in cleaner.contaminations] == ["甲"]


ARTICLES = st.lists(
    st.lists(
        st.sampled_from([PROSE, OTHER, QUESTION.text, "| 表 | 値 |", "か\u3099", "", "English"]),
        max_size=6,
    ).map("\n".join),
    max_size=8,
)


@given(ARTICLES, st.booleans())
@example([QUESTION.text + "\n| 表 | 値 |" * 2], True)
def test_what_was_kept_is_kept_unchanged_when_cleaned_again(articles, drop):
    settings = CleaningSettings(minimum_characters=10, drop_contaminated=drop)
    first, again = Cleaner(settings, [QUESTION]), Cleaner(settings, [QUESTION])
    for number, article in enumerate(articles):
        result = first.clean(str(number), article)
        if result.kept:
            assert again.clean(str(number), result.markdown) == result


def test_questions_that_were_named_must_be_given():
    with pytest.raises(ValueError, match="read and given"):
        Cleaner(CleaningSettings(questions=(Path("qa.jsonl"),)))


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("minimum_characters", -1),
        ("language_share", 1.5),
        ("language", "klingon"),
        ("near_duplicate_threshold", 0),
        ("near_duplicate_threshold", float("nan")),
    ],
)
def test_settings_that_make_no_sense_are_refused_by_name(setting, value):
    with pytest.raises(UserError, match=setting):
        CleaningSettings(**{setting: value})
