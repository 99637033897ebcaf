"""How likely a model finds the right key beside its rivals, and how well it knows what it knows.

The likelihood of the right key moves before the generated answer does: it shows that something was
learned while the answer is still wrong.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from peft import PeftModel
from torch import Tensor

from animelm.data.batches.batch import Document
from animelm.data.sources.qa import QARecord
from animelm.data.split import hash_order
from animelm.data.tokenization.chat import ChatFormat
from animelm.evaluate.generate import CausalModel
from animelm.evaluate.normalization import occurrences
from animelm.evaluate.results import Result
from animelm.evaluate.scoring import Distractors
from animelm.model.architecture import CausalLM
from animelm.model.attention.documents import packed_hidden_states

_TOKENS_PER_PASS = 4096
_BINS = 10


@dataclass(frozen=True)
class Choices:
    """A question with several answers, of which one is right.

    Attributes:
        prompt: the question as it is asked, with what precedes it.
        answers: the answers in full; the first one is right.
        names: the short form of each.
    """

    prompt: str
    answers: tuple[str, ...]
    names: tuple[str, ...]


@dataclass(frozen=True)
class Preference:
    """What a model finds likeliest among choices.

    Attributes:
        likeliest: short form of the likeliest answer.
        confidence: its probability among the choices.
        key_probability: probability of the right one.
    """

    likeliest: str
    confidence: float
    key_probability: float


def rival_choices(
    record: QARecord, distractors: Distractors, rivals: int, prompt: str, seed: int
) -> Choices | None:
    """The first accepted answer that names a key, and the same with rivals in the key's place.

    Args:
        record: of the question.
        distractors: the keys of other facts of the same relation.
        rivals: largest number of rivals, chosen by hash.
        prompt: the question as it is asked.
        seed: of the choice.

    Returns:
        The choices; None where no answer names its key, or there is no rival.
    """
    found = next(
        ((answer, key) for answer in record.answers for key in record.keys if key in answer), None
    )
    if found is None:
        return None
    answer, key = found
    context = (*record.keys, *distractors.context(record))
    wrong = [
        name
        for name in hash_order(distractors.of(record), seed)
        if not any(occurrences(name, text) or occurrences(text, name) for text in context)
    ][:rivals]
    if not wrong:
        return None
    names = (key, *wrong)
    return Choices(prompt, tuple(answer.replace(key, name) for name in names), names)


def preferences(
    model: CausalModel, chat: ChatFormat, questions: Sequence[Choices]
) -> Iterator[Preference]:
    """The model's preference for each question.

    A choice's likelihood is that of all its tokens and of the end token, as in the multiple-choice
    tasks of lm-evaluation-harness (arXiv 2405.14782); the probabilities are their softmax.
    """
    documents = chat.encode_pairs(
        [(question.prompt, answer) for question in questions for answer in question.answers]
    )
    likelihoods = iter(log_likelihoods(model, documents))
    for question in questions:
        values = torch.tensor([next(likelihoods) for _ in question.answers], dtype=torch.float64)
        shares = values.softmax(0)
        best = int(shares.argmax())
        yield Preference(question.names[best], float(shares[best]), float(shares[0]))


@torch.no_grad()
def log_likelihoods(model: CausalModel, documents: Sequence[Document]) -> list[float]:
    """Log-likelihood in nats of each document's supervised tokens.

    Documents run packed one behind the other, without padding and without attending to each other;
    logits are computed at supervised positions only.
    """
    was_training = model.training
    model.eval()
    try:
        return [value for pack in _packs(documents) for value in _pass(model, pack).tolist()]
    finally:
        model.train(was_training)


def _packs(documents: Sequence[Document]) -> Iterator[list[Document]]:
    pack: list[Document] = []
    for document in documents:
        if pack and sum(map(len, pack)) + len(document) > _TOKENS_PER_PASS:
            yield pack
            pack = []
        pack.append(document)
    if pack:
        yield pack


def _pass(model: CausalModel, documents: Sequence[Document]) -> Tensor:
    """Log-likelihoods of documents that fit into one pass."""
    ids = np.concatenate([document.input_ids for document in documents]).astype(np.int64)
    positions = np.concatenate([np.arange(len(document)) for document in documents])
    owners = np.repeat(np.arange(len(documents)), [len(document) for document in documents])
    supervised = np.concatenate([document.supervised for document in documents]) & (positions > 0)
    predicted = torch.from_numpy(np.flatnonzero(supervised)).to(model.device)
    input_ids = torch.from_numpy(ids).to(model.device)
    hidden = packed_hidden_states(
        model, input_ids[None], torch.from_numpy(positions).to(model.device)[None]
    )[0]
    inner = cast(CausalLM, model.get_base_model() if isinstance(model, PeftModel) else model)
    logits = hidden[predicted - 1] @ inner.lm_head.weight.T  # [supervised, V]
    chosen = logits.float().log_softmax(-1).gather(1, input_ids[predicted, None])[:, 0]
    owner = torch.from_numpy(owners).to(model.device)[predicted]
    return torch.zeros(len(documents), device=chosen.device).index_add(0, owner, chosen).cpu()


def calibration_error(results: Iterable[Result]) -> float | None:
    """Expected calibration error over ten bins of equal width (Guo et al., arXiv 1706.04599).

    The mean distance between a model's confidence in its likeliest key and how often that key is
    right, 0 to 1; None where it was not measured.
    """
    bins = reliability(results)
    total = sum(count for _, _, count in bins)
    if not total:
        return None
    return sum(count * abs(sure - right) for sure, right, count in bins) / total


def reliability(results: Iterable[Result]) -> list[tuple[float, float, int]]:
    """Mean confidence, share of right keys and number of answers of each bin that is not empty."""
    members: dict[int, list[tuple[float, float]]] = {}
    for result in results:
        if result.confidence is not None:
            number = min(int(result.confidence * _BINS), _BINS - 1)
            right = float(result.likeliest in result.keys)
            members.setdefault(number, []).append((result.confidence, right))
    found = []
    for number in sorted(members):
        sure, right = np.mean(members[number], axis=0).tolist()
        found.append((sure, right, len(members[number])))
    return found
