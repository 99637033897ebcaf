import pytest

from animelm.data.grouping.facts import Question, find_facts
from animelm.data.grouping.rewordings import ALIKE, Wordings


def groups(*pairs):
    """For each question the first one on its fact; works are not known."""
    return find_facts([Question(question, (key,), None, (key,)) for question, key in pairs])


@pytest.mark.parametrize(
    "questions",
    [
        ("月の庭の主人公は誰ですか?", "月の庭で主役を務めるのは誰?", "月の庭の主役の名前は?"),
        ("日本の首都はどこですか?", "日本の国の首都の名前は?", "質問です。日本の首都は?"),
        ("豆腐の原料は?", "豆腐は何が原料で出来ているの?"),
        ("ウォークマンを開発したのは?", "「ウォークマン」を発明した会社は?"),
        ("What is the capital of Japan?", "Which city is Japan's capital?"),
        ("Moon Gardenの主人公は誰ですか?", "MOON GARDENの主役は?"),
    ],
)
def test_other_words_for_one_thing_join_questions_with_one_key(questions):
    others = [("山田の職業は?", "医者"), ("川の長さが一番なのは?", "信濃川")]
    asked = [*((question, "花子") for question in questions), *others]
    count = len(questions)
    assert groups(*asked) == [0] * count + [count, count + 1]


@pytest.mark.parametrize(
    "questions",
    [
        ("オーストリアの通貨は何ですか?", "ドイツの通貨は何ですか?"),
        ("中国の属する地域はどこですか?", "韓国の属する地域はどこですか?"),
        ("月の庭を制作した会社は?", "星の道を制作した会社は?"),
        ("京都府は何地方ですか?", "大阪府は何地方ですか?"),
        ("岸優太の所属事務所の社長は誰?", "重岡大毅の所属事務所の社長は誰?"),
        ("What is the currency of Austria?", "What is the currency of Germany?"),
    ],
)
def test_one_key_asked_of_two_things_joins_nothing(questions):
    assert groups(*((question, "花子") for question in questions)) == [0, 1]


def test_other_words_with_another_key_join_nothing():
    assert groups(("月の庭の主人公は?", "花子"), ("月の庭の主役は?", "太郎")) == [0, 1]


def test_a_number_joins_questions_in_words_of_one_relation_alone():
    others = [("星の道の巻数は?", "8"), ("星の道の話数は?", "9"), ("川の歌の話数は?", "7")]
    assert groups(("月の庭の話数は?", "12"), ("月の庭の巻数は?", "12"), *others)[:2] == [0, 1]
    joined = groups(("月の庭の話数は?", "12"), ("月の庭について、話数は?", "12"), *others)
    assert joined[:2] == [0, 0]


def test_a_date_joins_questions_that_ask_for_the_same_of_one_work():
    date = "2004年4月8日"
    asked = ("「月の庭」の放送開始日はいつですか?", "「月の庭」はいつ放送が始まりましたか?")
    questions = [Question(question, (date,), "月の庭", (date,)) for question in asked]
    others = [
        Question("「月の庭」の主人公の誕生日は?", (date,), "月の庭", (date,)),
        Question("「星の道」の放送開始日はいつですか?", (date,), "星の道", (date,)),
    ]
    assert find_facts([*questions, *others]) == [0, 0, 2, 3]


def test_yes_and_no_join_nothing_whatever_the_words():
    assert groups(("月の庭は映画ですか?", "はい"), ("月の庭という作品は映画?", "はい")) == [0, 1]


def test_two_directions_join_where_each_names_the_key_of_the_other():
    asked = ("日本の首都は?", "東京"), ("東京を首都とする国は?", "日本"), ("東京の人口は?", "多い")
    assert groups(*asked) == [0, 0, 2]


def test_what_a_question_offers_is_no_key_of_another_direction():
    one, other = ("花子と太郎、年上はどちら?", "花子"), ("花子と太郎、年下はどちら?", "太郎")
    assert groups(one, other) == [0, 1]


def test_questions_on_two_works_stay_apart():
    questions = [
        Question("主人公の花子の声優は?", ("山田",), work, ("山田",))
        for work in ("月の庭", "星の道")
    ]
    assert find_facts(questions) == [0, 1]


def test_what_begins_questions_weighs_more_than_what_ends_them():
    wordings = Wordings(
        ["月の庭の通貨は?", "月の庭の硬貨は?", "星の道の通貨は?"], ["円", "円", "円"]
    )
    assert wordings.similarity(0, 1) > ALIKE > wordings.similarity(0, 2)
    assert wordings.similarity(0, 0) == pytest.approx(1)
