import math
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from transformers import PreTrainedTokenizerBase

from animelm.data.sources.qa import QARecord
from animelm.data.tokenization.chat import ChatFormat
from animelm.evaluate.comparison.likelihood import (
    Choices,
    calibration_error,
    log_likelihoods,
    preferences,
    reliability,
    rival_choices,
)
from animelm.evaluate.generate import Answer
from animelm.evaluate.results import Result, make_result
from animelm.evaluate.scoring import Distractors, Scores
from animelm.model.checkpoint.load import load_base

Make = Callable[..., QARecord]


def test_likelihoods_are_those_of_each_document_alone(
    base: str, tokenizer: PreTrainedTokenizerBase
) -> None:
    model, chat = load_base(base, "nf4"), ChatFormat(tokenizer)
    pairs = [("主人公は誰ですか?", "エドワードです。"), ("舞台は?", "架空の国アメストリスです。")]
    documents = chat.encode_pairs(pairs)
    found = log_likelihoods(model, documents)
    for document, value in zip(documents, found, strict=True):
        ids = torch.tensor(document.input_ids).long()[None]
        with torch.no_grad():
            shares = model(input_ids=ids).logits[0].float().log_softmax(-1)
        by_hand = sum(
            shares[place - 1, ids[0, place]].item()
            for place in range(1, ids.shape[1])
            if document.supervised[place]
        )
        assert value == pytest.approx(by_hand, abs=1e-3)


def test_preferences_are_the_softmax_of_the_likelihoods(
    base: str, tokenizer: PreTrainedTokenizerBase
) -> None:
    model, chat = load_base(base, "nf4"), ChatFormat(tokenizer)
    question = Choices("泳ぐのは?", ("魚", "山", "雲"), ("魚", "山", "雲"))
    [found] = preferences(model, chat, [question])
    pairs = [(question.prompt, answer) for answer in question.answers]
    weights = [math.exp(value) for value in log_likelihoods(model, chat.encode_pairs(pairs))]
    assert found.key_probability == pytest.approx(weights[0] / sum(weights), rel=1e-3)
    assert found.confidence == pytest.approx(max(weights) / sum(weights), rel=1e-3)
    assert found.likeliest == question.names[weights.index(max(weights))]


def test_rivals_take_the_keys_place_in_the_answer(make_record: Make) -> None:
    own = make_record(keys=("エドワード・エルリック",))
    others = [
        make_record(
            id=name, work=name, fact=f"{name}/protagonist", keys=(name,), answers=(f"{name}。",)
        )
        for name in ("ルフィ", "キラ", "エドワード")
    ]
    distractors = Distractors([own, *others])
    found = rival_choices(own, distractors, 5, "誰?", seed=0)
    assert found is not None
    # エドワード is a part of the key, and no rival of it.
    assert set(found.names) == {"エドワード・エルリック", "ルフィ", "キラ"}
    assert found.names[0] == "エドワード・エルリック"
    assert found.answers[found.names.index("ルフィ")] == "「鋼の錬金術師」の主人公はルフィです。"
    assert rival_choices(own, Distractors([own]), 5, "誰?", seed=0) is None
    assert rival_choices(replace(own, keys=("無い",)), distractors, 5, "誰?", seed=0) is None


def _measured(make_record: Make, likeliest: str, confidence: float) -> Result:
    answer = Answer(make_record(keys=("甲",)), "own", "", reached_end=True)
    result = make_result("sft", answer, Scores(0.0, 0.0, 0.0, 0.0), 0)
    return replace(result, likeliest=likeliest, confidence=confidence, key_probability=0.5)


def test_calibration_is_the_distance_of_confidence_from_being_right(make_record: Make) -> None:
    results = [
        _measured(make_record, "甲", 0.82),
        _measured(make_record, "乙", 0.88),  # the same bin: 0.85 sure, half right
        _measured(make_record, "甲", 1.0),
        replace(_measured(make_record, "甲", 0.1), confidence=None),
    ]
    assert reliability(results) == [(pytest.approx(0.85), 0.5, 2), (1.0, 1.0, 1)]
    assert calibration_error(results) == pytest.approx((2 * 0.35 + 0.0) / 3)
    assert calibration_error(results[3:]) is None
