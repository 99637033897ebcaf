from animelm.data.grouping.derive import derive
from animelm.data.sources.formats.asked import Asked, Turn


def rows(*pairs):
    return [
        Asked(f"f:{number}", f"on line {number}", question, (answer,), given=given)
        for number, (question, answer, given) in enumerate(
            ((*pair, {})[:3] for pair in pairs), start=1
        )
    ]


def derived(*pairs, titles=()):
    return derive(rows(*pairs), lambda: titles)


def test_spellings_of_one_question_are_one_record():
    [record] = derived(("首都は どこですか？", "東京です。"), ("首都はどこですか?", "東京都です。"))
    assert record.question == "首都は どこですか？"
    assert record.answers == ("東京です。", "東京都です。")
    assert record.rows == (0, 1)


def test_one_question_after_other_messages_is_another_one():
    plain, *_ = rows(("監督は?", "山田"))
    after = Asked("f:2", "on line 2", "監督は?", ("鈴木",), history=(Turn("user", "月の庭の話"),))
    assert len(derive([plain, after], tuple)) == 2


def test_the_turns_of_a_conversation_are_held_out_together():
    history = (Turn("user", "「月の庭」の主人公は?"), Turn("assistant", "花子"))
    first = Asked("f:1", "on line 1", "「月の庭」の主人公は?", ("花子",), conversation="1")
    second = Asked("f:1", "on line 1", "監督は?", ("山田",), history=history, conversation="1")
    one, other = derive([first, second], tuple)
    assert one.fact == other.fact
    assert one.wording == other.wording == "{}の主人公は"


def test_where_no_work_is_known_the_fact_stands_for_it():
    [record] = derived(("日本の首都は?", "東京"))
    assert record.work == record.fact == "日本の首都は?"


def test_wordings_of_all_works_have_one_template():
    one, other = derived(("「月の庭」の主人公は誰?", "花子"), ("「星の道」の主人公は誰？", "太郎"))
    assert one.wording == other.wording == "{}の主人公は誰"
    assert one.fact != other.fact


def test_a_fact_asked_from_both_sides_has_one_work():
    forward, reverse = derived(
        ("「月の庭」の主人公は誰ですか?", "「月の庭」の主人公は花子です。"),
        ("「花子」が主人公の作品は何ですか?", "「花子」が主人公の作品は「月の庭」です。"),
    )
    assert forward.fact == reverse.fact and forward.work == reverse.work


def test_the_name_of_a_fact_has_no_slash_of_a_relation():
    [record] = derived(("「Moon/Garden」の主人公は?", "花子"))
    assert "/" not in record.fact and record.work == "Moon/Garden"


def test_what_a_row_gives_is_kept():
    given = {"id": "x", "work": "w", "fact": "w/f", "direction": "reverse", "wording": "v"}
    [record] = derived(("主人公は?", "花子です。", {**given, "keys": ("花",)}))
    assert (record.id, record.work, record.fact) == ("x", "w", "w/f")
    assert (record.direction, record.wording, record.keys) == ("reverse", "v", ("花",))
    assert record.derived == () and not record.whole_answers


def test_titles_are_asked_for_only_where_something_is_missing():
    given = {name: "x" for name in ("id", "work", "fact", "direction", "wording")}

    def titles():
        raise AssertionError

    [record] = derive(rows(("主人公は?", "花子です。", {**given, "keys": ("花",)})), titles)
    assert record.work == "x"


def test_an_answer_without_a_short_key_is_marked():
    long = "庭に住む人々が、月を見上げながら昔のことを一つずつ思い出していく、静かで長い物語です。"
    [record] = derived(("どんな話?", long))
    assert record.keys == (long,) and record.whole_answers
