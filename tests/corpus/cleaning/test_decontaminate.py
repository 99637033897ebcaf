from hypothesis import given
from hypothesis import strategies as st

from animelm.corpus.cleaning.decontaminate import (
    SHORTEST,
    Contamination,
    Question,
    QuestionSearch,
    contaminated_lines,
)
from animelm.corpus.cleaning.text_key import text_key

QUESTION = Question("q1", "「星の海」の主人公は誰ですか?")


def find(questions, text):
    lines = text.split("\n")
    return QuestionSearch(questions).find("星の海", lines, [text_key(line) for line in lines])


def test_a_question_is_found_with_its_line_and_passage():
    text = "# 星の海\n\n物語。\n\n- 問: **『星の海』** の主人公は、誰ですか？ 答: ソラ\n- 別の行"
    assert find([QUESTION], text) == [
        Contamination("星の海", 5, 5, "q1", "- 問: **『星の海』** の主人公は、誰ですか？ 答: ソラ")
    ]


def test_a_question_across_lines_names_all_of_them():
    found = find([QUESTION], "前\n\n「星の海」の主人公は\n\n誰ですか\n後")
    assert [(one.line, one.last_line) for one in found] == [(3, 5)]
    assert found[0].passage == "「星の海」の主人公は\n\n誰ですか"
    assert contaminated_lines(found) == {3, 4, 5}


def test_questions_within_each_other_are_both_found():
    longer = Question("q2", "映画「星の海」の主人公は誰ですか?")
    found = find([QUESTION, longer], "映画「星の海」の主人公は誰ですか")
    assert {one.question for one in found} == {"q1", "q2"}


def test_of_questions_that_ask_the_same_the_first_is_named():
    again = Question("q9", "星の海の主人公は誰ですか")
    assert [one.question for one in find([QUESTION, again], QUESTION.text)] == ["q1"]


def test_questions_too_short_to_mean_anything_are_named_and_not_looked_for():
    search = QuestionSearch([Question("short", "誰ですか?"), QUESTION])
    assert search.ignored == ["short"]
    assert search.find("a", ["誰ですか"], ["誰ですか"]) == []
    assert QuestionSearch([]).find("a", ["誰ですか"], ["誰ですか"]) == []


LETTERS = st.text(alphabet="あいうアイウ漢字abＡ１", min_size=SHORTEST, max_size=12)
NOISE = st.text(alphabet="、。「」 　*\n", max_size=2)


@given(st.data(), LETTERS)
def test_a_question_is_found_whatever_stands_between_its_letters(data, question):
    spread = "".join(character + data.draw(NOISE) for character in question)
    before, after = data.draw(st.tuples(st.text(max_size=20), st.text(max_size=20)))
    text = f"{before}\n{spread}\n{after}"
    lines = text.split("\n")
    begins = before.count("\n") + 2
    ends = len(lines) - after.count("\n") - 1
    assert any(
        begins <= one.line <= one.last_line <= ends for one in find([Question("q", question)], text)
    )


@given(
    st.lists(LETTERS, min_size=1, max_size=5),
    st.text(alphabet="あいうアイウ漢字ab\n", max_size=200),
)
def test_what_is_found_is_what_a_plain_search_finds(questions, text):
    found = {one.question for one in find([Question(q, q) for q in questions], text)}
    plain = text_key(text)
    expected = {text_key(q) for q in questions if text_key(q) in plain}
    assert {text_key(q) for q in found} == expected
