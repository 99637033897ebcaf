"""Speed of answering questions, beside stock ``generate`` one by one and in its best batches.

    python benchmarks/answering_speed.py --questions 384

Prints JSON: ``ratio_one_by_one`` and ``ratio_best_batch`` say how many times as fast as stock
transformers on the same weights in fp32 the questions are answered, ``same_answers`` the share of
questions that both answer alike, ``peak_rss_gib`` the largest memory of the process. Stock takes
the questions in their order, as a loop around ``generate`` does.
"""

import argparse
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from measuring.memory import peak_rss_gib
from transformers import GenerationConfig, GptOssForCausalLM, PreTrainedModel

from animelm.data.batches.loaders import QuestionLoader
from animelm.data.sources.qa import QARecord, read_qa
from animelm.data.tokenization.chat import ChatFormat
from animelm.data.tokenization.tokenizer import load_tokenizer
from animelm.evaluate.generate import answer_questions, load_for_inference
from animelm.evaluate.harmony import read_reply, stop_tokens
from animelm.shipped import find_shipped

_BASE = "checkpoints/nano-gpt-oss-ja"
_LONGEST = 48
_BATCHES = (32, 96, 192)
_ALONE = 24  # questions that stock answers one by one


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--questions", type=int, default=384)
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    folder = str(find_shipped(Path(_BASE)))
    chat = ChatFormat(load_tokenizer(folder))
    everything = read_qa(find_shipped(Path("animelm/sample/generated/general/qa.jsonl")))
    records = everything[:: max(1, len(everything) // given.questions)][: given.questions]

    # The same values in both: the ratio is of the way, not of the format.
    ours = load_for_inference(folder, "none", "float32")
    stock = GptOssForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    batches = list(QuestionLoader(records, chat, "questions", len(records)))

    def own() -> list[str]:
        answers = {
            answer.record.id: answer.output
            for answer in answer_questions(ours, chat.tokenizer, batches, _LONGEST)
        }
        return [answers[record.id] for record in records]

    contenders: dict[str, Callable[[], list[str]]] = {"ours": own}
    for size in _BATCHES:
        contenders[f"stock {size}"] = lambda size=size: _stock_answers(stock, chat, records, size)
    contenders["alone"] = lambda: _stock_answers(stock, chat, records[:_ALONE], 1)
    measured = _best_in_turn(contenders, given.repeats)
    ours_seconds, ours_answers = measured.pop("ours")
    alone, _ = measured.pop("alone")
    best_seconds, stock_answers = min(measured.values(), key=lambda each: each[0])
    each = ours_seconds / len(records)
    same = sum(map(str.__eq__, ours_answers, stock_answers)) / len(records)
    figures = {
        "ratio_one_by_one": round(alone / _ALONE / each, 2),
        "ratio_best_batch": round(best_seconds / ours_seconds, 2),
        "same_answers": round(same, 4),
        "peak_rss_gib": round(peak_rss_gib(), 3),
        "seconds_per_question": round(each, 5),
    }
    print(json.dumps(figures))


def _best_in_turn(
    contenders: dict[str, Callable[[], list[str]]], repeats: int
) -> dict[str, tuple[float, list[str]]]:
    """The shortest of several runs of each, and its answers; they take turns."""
    found: dict[str, list[tuple[float, list[str]]]] = {name: [] for name in contenders}
    for _ in range(repeats):
        for name, run in contenders.items():
            begin = time.perf_counter()
            answers = run()
            found[name].append((time.perf_counter() - begin, answers))
    return {name: min(runs, key=lambda each: each[0]) for name, runs in found.items()}


@torch.inference_mode()
def _stock_answers(
    model: PreTrainedModel, chat: ChatFormat, records: Sequence[QARecord], size: int
) -> list[str]:
    prompts = chat.encode_prompts([record.question for record in records])
    settings = GenerationConfig(
        max_new_tokens=_LONGEST,
        do_sample=False,
        eos_token_id=stop_tokens(chat, in_answer=True),
        pad_token_id=chat.pad_token_id,
    )
    answers = []
    for start in range(0, len(prompts), size):
        members = prompts[start : start + size]
        longest = max(map(len, members))
        padded = [[chat.pad_token_id] * (longest - len(each)) + each for each in members]
        mask = [[0] * (longest - len(each)) + [1] * len(each) for each in members]
        generated = model.generate(
            input_ids=torch.tensor(padded),
            attention_mask=torch.tensor(mask),
            generation_config=settings,
        )[:, longest:].tolist()
        answers += [
            read_reply(chat, prompt, tokens, _LONGEST).output
            for prompt, tokens in zip(members, generated, strict=True)
        ]
    return answers


if __name__ == "__main__":
    main()
