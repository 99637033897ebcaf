"""Documents of the lengths of real Japanese paragraphs, distributed over optimizer steps."""

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

VOCABULARY = 32_000
_SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
_PARAGRAPHS = _SHARED / "qa" / "jsquad-v1.3-valid.json"
_TOKENIZER = _SHARED / "tokenizers" / "gpt-oss" / "tokenizer.json"
# JSQuAD's paragraphs under gpt-oss's tokenizer: log-normal to a good approximation.
_COUNT, _LOG_MEAN, _LOG_DEVIATION, _SHORTEST, _LONGEST = 1145, 4.867, 0.505, 23, 712

Documents = list[NDArray[np.int64]]


def load_documents() -> tuple[Documents, str]:
    """Token ids of each document, below ``VOCABULARY``, and where they are from."""
    if _PARAGRAPHS.is_file() and _TOKENIZER.is_file():
        data = json.loads(_PARAGRAPHS.read_text(encoding="utf-8"))["data"]
        contexts = [part["context"] for article in data for part in article["paragraphs"]]
        encoded = Tokenizer.from_file(str(_TOKENIZER)).encode_batch(contexts)
        documents = [np.array(text.ids, dtype=np.int64) % VOCABULARY for text in encoded]
        return documents, "JSQuAD's paragraphs, real tokens folded into the vocabulary"
    rng = np.random.default_rng(0)
    lengths = np.exp(rng.normal(_LOG_MEAN, _LOG_DEVIATION, _COUNT)).round()
    lengths = lengths.clip(_SHORTEST, _LONGEST).astype(int)
    # Words follow a power law (Zipf), which leaves something to learn.
    documents = [rng.zipf(1.2, length).astype(np.int64) % VOCABULARY for length in lengths]
    return documents, "no ../shared/data here: random tokens, log-normal lengths like JSQuAD's"


def deal_out(documents: Documents, per_step: int, seed: int = 0) -> list[Documents]:
    """Steps of ``per_step`` documents and nearly the same number of tokens, each document once.

    Every step holds long and short documents, longest first; what does not fill a step is left out.
    """
    rng = np.random.default_rng(seed)
    kept = rng.permutation(len(documents))[: len(documents) // per_step * per_step]
    longest_first = sorted(kept, key=lambda index: -len(documents[index]))
    steps: list[Documents] = [[] for _ in range(len(kept) // per_step)]
    tokens = np.zeros(len(steps))
    for index in longest_first:
        lightest = int(tokens.argmin())
        steps[lightest].append(documents[index])
        tokens[lightest] += len(documents[index])
        if len(steps[lightest]) == per_step:
            tokens[lightest] = np.inf
    return [steps[index] for index in rng.permutation(len(steps))]


def save_steps(path: Path, steps: list[Documents]) -> None:
    """Writes the documents of the steps into one .npz file."""
    flat = [document for step in steps for document in step]
    np.savez(
        path,
        tokens=np.concatenate(flat),
        ends=np.cumsum([len(document) for document in flat]),
        per_step=len(steps[0]),
    )


def load_steps(path: Path, count: int) -> list[Documents]:
    """The first ``count`` steps; where there are fewer, they are repeated."""
    with np.load(path, allow_pickle=False) as file:
        flat = np.split(file["tokens"], file["ends"][:-1])
        per_step = int(file["per_step"])
    steps = [flat[begin : begin + per_step] for begin in range(0, len(flat), per_step)]
    return [steps[index % len(steps)] for index in range(count)]


def token_count(step: Documents) -> int:
    """Useful tokens of a step."""
    return sum(len(document) for document in step)
