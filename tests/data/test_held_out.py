import json
from dataclasses import asdict, replace

import pytest

from animelm.data.held_out import QUESTION_SETS, SplitSettings, split_general, split_questions
from animelm.data.split import split_qa
from animelm.errors import UserError

SETTINGS = SplitSettings(seed=1, held_out_wordings=0.25, held_out_works=0.25)


def test_each_set_is_what_the_split_by_wording_and_work_holds_out(make_records):
    anime, general = make_records(8, 4), make_records(5, 4, "general")
    questions = split_questions(anime, general, general, SETTINGS)
    split = split_qa(anime, 0.25, 0.25, seed=1)
    assert tuple(questions.held_out) == QUESTION_SETS
    assert questions.held_out["anime_unseen_wording"] == split.unseen_wording
    assert questions.held_out["anime_only_read"] == split.only_read
    assert questions.train == split.train


def test_of_general_questions_wordings_are_held_out_and_no_subject(make_records):
    general = make_records(5, 4, "general")
    questions = split_questions([], general, general, SETTINGS)
    assert {record.work for record in questions.held_out["general"]} == {r.work for r in general}
    assert {record.work for record in questions.replay} == {r.work for r in general}
    assert questions.replay == split_general(general, SETTINGS).train


def test_a_question_that_is_trained_elsewhere_is_not_asked(make_records):
    anime = make_records(8, 4)
    held_out = split_qa(anime, 0.25, 0.25, seed=1).unseen_wording[0]
    copy = replace(held_out, id="copy", work="other", fact="other/x", domain="general")
    alone = split_questions(anime, [], [], SETTINGS).held_out
    assert held_out in alone["anime_unseen_wording"]
    replayed = split_questions(anime, [], [copy], SETTINGS).held_out
    assert held_out not in replayed["anime_unseen_wording"]


def test_empty_sets_are_left_out(make_records):
    settings = SplitSettings(seed=1, held_out_wordings=0.25, held_out_works=0.0)
    assert list(split_questions(make_records(8, 4), [], [], settings).held_out) == [
        "anime_unseen_wording"
    ]
    assert split_questions(make_records(8, 4), [], [], SplitSettings()).held_out == {}


def test_the_settings_survive_json():
    assert SplitSettings(**json.loads(json.dumps(asdict(SETTINGS)))) == SETTINGS


@pytest.mark.parametrize("name", ["held_out_wordings", "held_out_works", "validation_share"])
def test_a_share_outside_0_to_1_is_refused(name):
    with pytest.raises(UserError, match=name):
        SplitSettings(**{name: 1.0})
