from animelm.data.grouping.names import Names
from animelm.data.grouping.works import Texts, find_works


def works(*pairs, titles=()):
    return find_works([Texts(q, tuple(answers)) for q, *answers in pairs], Names(titles))


def test_a_quoted_name_is_the_work():
    assert works(("「月の庭」の主人公は?", "花子"), ("『星の道』の監督は?", "山田")) == [
        "月の庭",
        "星の道",
    ]


def test_a_name_that_the_answer_quotes_and_the_question_holds_is_the_work():
    assert works(("月の庭の主人公は?", "「月の庭」の主人公は花子です。")) == ["月の庭"]


def test_a_name_that_is_quoted_elsewhere_is_found_without_quotes():
    found = works(("「月の庭」の監督は?", "山田"), ("月の庭の主人公は?", "花子"))
    assert found == ["月の庭", "月の庭"]


def test_what_the_answer_quotes_is_the_work_where_a_work_is_asked_for():
    assert works(("花子が主人公の作品は?", "「月の庭」です。")) == ["月の庭"]
    assert works(("主題歌は何ですか?", "「星の歌」です。")) == [None]


def test_titles_of_articles_are_found_without_quotes_the_longest_first():
    titles = ["月の庭", "月の庭の夜", "山田"]
    found = works(("月の庭の夜の監督は?", "山田"), ("町の名は?", "川町"), titles=titles)
    assert found == ["月の庭の夜", None]
    assert works(("主役が花子なのは?", "月の庭です。"), titles=titles) == ["月の庭"]


def test_a_title_inside_a_word_is_not_found():
    assert works(("モノノケの監督は?", "山田"), titles=["モノ"]) == [None]


def test_works_that_one_question_quotes_together_are_one():
    found = works(
        ("『月の庭』と『星の道』、古いのは?", "月の庭"),
        ("『星の道』の監督は?", "山田"),
        ("『月の庭』の監督は?", "田中"),
        ("『川の歌』の監督は?", "鈴木"),
    )
    assert len(set(found[:3])) == 1 and found[3] == "川の歌"


def test_works_that_one_question_names_side_by_side_are_one():
    titles = ["月の庭", "星の道", "川の歌", "山田"]
    found = works(
        ("月の庭と星の道、古いのは?", "月の庭"),
        ("星の道の監督は?", "田中"),
        ("月の庭の監督は?", "田中"),
        ("川の歌の山田の役は?", "花子"),
        ("山田の生まれた町は?", "川町"),
        titles=titles,
    )
    assert len(set(found[:3])) == 1
    assert found[3:] == ["川の歌", "山田"]


def test_several_works_in_an_answer_count_where_works_are_asked_for():
    found = works(
        ("花子が主人公の作品は?", "「月の庭」と「星の道」です。"),
        ("「月の庭」の監督は?", "山田"),
        ("「星の道」の監督は?", "山田"),
    )
    assert len(set(found)) == 1
    found = works(
        ("花子の声優は?", "「月の庭」と「星の道」の川口です。"),
        ("「月の庭」の監督は?", "山田"),
        ("「星の道」の監督は?", "山田"),
    )
    assert found == ["月の庭", "月の庭", "星の道"]


def test_what_many_works_are_quoted_with_joins_none_of_them():
    pairs = [(f"「月刊誌」に載った「作品{n}」の作者は?", "山田") for n in range(9)]
    assert works(*pairs) == [f"作品{n}" for n in range(9)]


def test_width_and_case_of_a_name_make_no_difference():
    found = works(("「Moon Garden」の監督は?", "山田"), ("「ＭＯＯＮ　ＧＡＲＤＥＮ」の町は?", ""))
    assert found == ["Moon Garden", "Moon Garden"]


def test_a_work_that_the_file_names_is_taken():
    asked = [Texts("「月の庭」の監督は?", ("山田",), "月の庭 (1999年)")]
    assert find_works(asked, Names([])) == ["月の庭 (1999年)"]
