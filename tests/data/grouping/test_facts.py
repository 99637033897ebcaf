import pytest

from animelm.data.grouping.facts import Question, find_facts, joins_nothing


def groups(*questions):
    return find_facts(questions)


def asked(question, answer, work=None, keys=(), **given):
    return Question(question, (answer,), work, tuple(keys), **given)


def test_a_shared_answer_alone_joins_nothing():
    assert groups(
        asked("オーストリアの通貨は?", "ユーロ", keys=["ユーロ"]),
        asked("ドイツの通貨は?", "ユーロ", keys=["ユーロ"]),
    ) == [0, 1]


def test_a_list_is_the_same_key_in_any_order_and_with_any_separator():
    assert groups(
        asked("マルタの公用語は何?", "マルタ語、英語", keys=["マルタ語、英語"]),
        asked("マルタの公用語を教えて", "英語とマルタ語です", keys=["英語とマルタ語"]),
        asked("インドの公用語を教えて", "英語とヒンディー語です", keys=["英語とヒンディー語"]),
    ) == [0, 0, 2]


@pytest.mark.parametrize("answer", ["YES", "はい", "いいえ。", "1999年", "３人", "約20万", "A型"])
def test_yes_no_numbers_and_years_never_join(answer):
    questions = [asked(f"『月の庭』の{what}は?", answer, "月の庭") for what in ("一つ", "二つ")]
    assert groups(*questions) == ([0, 0] if answer == "A型" else [0, 1])
    assert joins_nothing(answer) == (answer != "A型")


def test_a_sentence_with_a_number_joins_its_wordings():
    sentence = "「月の庭」が始まったのは1999年です。"
    assert groups(
        asked("「月の庭」はいつ始まった?", sentence, "月の庭", ["1999年"]),
        asked("月の庭の公開年は?", sentence, "月の庭", ["1999年"]),
    ) == [0, 0]


def test_work_and_answer_together_join():
    assert groups(
        asked("「月の庭」の主役は?", "花子", "月の庭", ["花子"]),
        asked("「月の庭」の主人公は?", "花子です。", "月の庭", ["花子"]),
        asked("「星の道」の主人公は?", "花子", "星の道", ["花子"]),
    ) == [0, 0, 2]


def test_questions_that_differ_in_their_last_words_alone_join():
    assert groups(
        asked("日本の首都はどこですか？", "日本の首都は東京です。"),
        asked("日本の首都は？", "東京"),
        asked("日本の首都を教えてください。", "とうきょう"),
        asked("中国の首都はどこですか？", "北京"),
    ) == [0, 0, 0, 3]


def test_both_directions_of_a_fact_join():
    assert groups(
        asked("「月の庭」の主人公は?", "花子", "月の庭", ["花子"]),
        asked("「月の庭」の作者は?", "花子", "月の庭", ["花子"]),
        asked("花子を主人公とする作品は?", "月の庭", "月の庭", ["月の庭"]),
    ) == [0, 0, 0]
    assert groups(
        asked("月の庭の監督は?", "山田", "月の庭", ["山田"]),
        asked("月の庭の主人公は?", "花子", "月の庭", ["花子"]),
        asked("花子を主人公とする作品は?", "月の庭", "月の庭", ["月の庭"]),
    ) == [0, 1, 1]


def test_questions_for_one_work_are_facts_of_their_own():
    assert groups(
        asked("花子が主人公の作品は?", "月の庭", "月の庭", ["月の庭"]),
        asked("山田が監督した作品は?", "月の庭", "月の庭", ["月の庭"]),
    ) == [0, 1]


def test_what_a_question_offers_joins_nothing():
    assert groups(
        asked("『月の庭』と『星の道』、古いのは?", "月の庭", "月の庭", ["月の庭"]),
        asked("『月の庭』と『星の道』、長いのは?", "月の庭", "月の庭", ["月の庭"]),
    ) == [0, 1]


def test_the_file_decides_where_it_names_facts():
    assert groups(
        asked("「月の庭」の主役は?", "花子", "月の庭", ["花子"], fact="a"),
        asked("「月の庭」の主人公は?", "花子", "月の庭", ["花子"], fact="b"),
        asked("庭は?", "川", None, (), fact="a"),
    ) == [0, 1, 0]


def test_turns_of_a_conversation_stay_together():
    assert groups(
        asked("主役は?", "花子", conversation="1"),
        asked("監督は?", "山田", conversation="1"),
        asked("音楽は?", "鈴木"),
    ) == [0, 0, 2]
