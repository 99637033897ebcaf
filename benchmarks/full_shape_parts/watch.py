"""Measures one optimizer step of an ordinary fit, and one answer after it."""

import json
import time
from pathlib import Path
from typing import Any, cast

import torch
from lightning.pytorch.callbacks import Callback
from measuring.matrix_products import BareProducts
from measuring.memory import peak_rss_gib

from animelm.data.batches.batch import PackedBatch
from animelm.data.batches.loaders import QuestionLoader
from animelm.data.sources.qa import QARecord
from animelm.data.tokenization.chat import ChatFormat
from animelm.evaluate.generate import answer_questions

_QUESTION = QARecord(
    id="question",
    work="ぽにぽにだっしゅ!",
    fact="protagonist",
    direction="forward",
    wording="0",
    domain="anime",
    question="ぽにぽにだっしゅ!の主人公は誰ですか?",
    answers=("ぽにぽにだっしゅ!の主人公はレベッカ宮本です。",),
    keys=("レベッカ宮本",),
)


class FullShapeWatch(Callback):
    """Writes what it measured as JSON.

    Args:
        output: file to write.
        new_tokens: longest answer, in tokens.
    """

    def __init__(self, output: Path, new_tokens: int = 4) -> None:
        self.output, self.new_tokens = output, new_tokens
        self.found: dict[str, Any] = {}
        self.begin = time.perf_counter()
        self.products: BareProducts | None = None
        self.before: dict[str, torch.Tensor] = {}

    def setup(self, trainer: Any, pl_module: Any, stage: str) -> None:
        """The process's own part of the memory; what follows is the loading."""
        self.found["import_rss_gib"] = peak_rss_gib()
        self.begin = time.perf_counter()

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Loading is over."""
        self.found["load_s"] = time.perf_counter() - self.begin
        self.found["load_peak_rss_gib"] = peak_rss_gib()
        model = pl_module.model
        held = [*model.parameters(), *model.buffers()]
        gib = sum(t.nbytes for t in held if not t.requires_grad) / 2**30
        self.found["frozen_weights_gib"] = gib
        self.found["trainable"] = pl_module.audit.per_target
        self.found["compute_type"] = str(model.get_base_model().lm_head.weight.dtype)
        self.products = BareProducts(model, time.perf_counter)
        # A fingerprint, not a copy: 0.7 GiB more would count as the step's own.
        self.before = {n: _fingerprint(p) for n, p in _expert_adapters(model)}
        self.begin = time.perf_counter()

    def on_train_batch_end(
        self, trainer: Any, pl_module: Any, outputs: Any, batch: PackedBatch, batch_idx: int
    ) -> None:
        """The step is over."""
        self.found["step_s"] = time.perf_counter() - self.begin
        self.found["step_peak_rss_gib"] = peak_rss_gib()
        self.found["loss"] = float(outputs["loss"])
        self.found["tokens"] = batch.supervised_tokens
        self.found |= self._changed(pl_module.model, cast(BareProducts, self.products))

    def _changed(self, model: Any, products: BareProducts) -> dict[str, int]:
        if not self.before:  # a dense model
            return {}
        used = {
            (layer, expert)
            for layer, counts in enumerate(products.counts)
            for expert, count in enumerate(counts)
            if count
        }
        changed = set()
        for name, parameter in _expert_adapters(model):
            if not torch.equal(self.before[name], _fingerprint(parameter)):
                parts = name.split(".")
                changed.add((int(parts[parts.index("layers") + 1]), _expert_number(parts)))
        return {"experts_used": len(used), "experts_changed": len(changed & used)}

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        """Asks one question, times the step's bare products, and writes everything."""
        products = cast(BareProducts, self.products)
        counts = list(products.counts)  # the answer adds its own
        begin = time.perf_counter()
        [batch] = QuestionLoader([_QUESTION], ChatFormat(pl_module.tokenizer), "example", 1)
        [answer] = answer_questions(
            pl_module.model, pl_module.tokenizer, [batch], self.new_tokens, max_thinking_tokens=0
        )
        self.found["answer_s"] = time.perf_counter() - begin
        self.found["answer"] = answer.output
        self.found["peak_rss_gib"] = peak_rss_gib()
        products.counts = counts
        # They need memory of their own, and the model is no longer needed.
        trainer.optimizers.clear()
        for held in [*pl_module.parameters(), *pl_module.buffers()]:
            held.data = held.data.new_empty(0)
        self.found["bare_products_s"] = products.run(self.found["tokens"])
        self.found["gemm_share"] = self.found["bare_products_s"] / self.found["step_s"]
        self.output.write_text(json.dumps(self.found), encoding="utf-8")


def _expert_adapters(model: Any) -> list[tuple[str, torch.Tensor]]:
    return [(n, p) for n, p in model.named_parameters() if ".experts." in n and p.requires_grad]


def _expert_number(parts: list[str]) -> int:
    listed = next(i for i, part in enumerate(parts) if part.endswith("_projs"))
    return int(parts[listed + 1])


def _fingerprint(parameter: torch.Tensor) -> torch.Tensor:
    return parameter.detach().double().sum()
