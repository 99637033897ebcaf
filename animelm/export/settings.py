"""The settings of ``export``."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from animelm.errors import UserError
from animelm.export.rounding import Rounding
from animelm.model.lora.files import find_adapter
from animelm.model.quantization.linear4bit import Quantization

ExportFormat = Literal["peft", "merged", "mxfp4", "gguf"]
Onto = Literal["trained", "original"]
GgufType = Literal["bf16", "f16", "mxfp4"]


@dataclass(frozen=True)
class ExportSettings:
    """What to export, as what, and how the result is checked.

    Args:
        adapter: Folder of a trained adapter, or of the run that wrote it. One that is stacked on
            another is exported with it.
        to: peft writes an adapter for stock transformers with PEFT, and for vLLM. merged writes the
            whole model in BF16, as transformers saves it. mxfp4 is the same with the experts in
            the 4-bit format in which gpt-oss is released. gguf writes one file for llama.cpp.
        output: Folder to write; it must not exist.
        base: Checkpoint folder or hub id of the base. By default the one in the adapter's record.
        onto: trained merges onto the weights that the adapter was trained against, dequantized;
            original onto those of the base's own files. An export of peft is checked on them.
        quantization: Storage of the base's weights in training. By default that of the adapter's
            record.
        verify: Questions and answers of the check (.jsonl, .csv, .txt or .parquet). By default the
            test questions that the adapter's record holds out.
        check: Whether the export is opened with stock tools, in a process of its own, and asked
            these questions.
        questions: Largest number of questions of the check.
        questions_per_batch: Questions answered at once.
        max_new_tokens: Longest answer in tokens.
        gguf_type: Type of the matrices in a gguf file; with mxfp4 only the experts have it, and
            the other matrices are bf16.
        rounding: How experts are rounded to MXFP4. nearest takes the scales that the format
            recommends; search takes, for each block, the one of three that leaves the least error;
            inputs also lets errors cancel out where the adapter reads, which keeps most of an
            update that is smaller than the format's steps.
        shard_gib: Largest size of one weight file in GiB.
        summary: summary.json of a comparison, whose figures the model card shows. By default the
            card says that none were named.
        push: Repository on the Hugging Face hub, owner/name, that the export is sent to. By default
            nothing is sent.
        public: Whether a repository that is made for it can be read by everyone.

    Raises:
        UserError: a number is out of range.
    """

    adapter: Path
    to: ExportFormat
    output: Path
    base: str | None = None
    onto: Onto = "trained"
    quantization: Quantization | None = None
    verify: Path | None = None
    check: bool = True
    questions: int = 500
    questions_per_batch: int = 64
    max_new_tokens: int = 64
    gguf_type: GgufType = "bf16"
    rounding: Rounding = "inputs"
    shard_gib: float = 4.0
    summary: Path | None = None
    push: str | None = None
    public: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "adapter", find_adapter(self.adapter))
        for name in ("questions", "questions_per_batch", "max_new_tokens", "shard_gib"):
            if getattr(self, name) <= 0:
                raise UserError(f"--{name} is {getattr(self, name)}; expected more than 0")
        if self.push is not None and self.push.count("/") != 1:
            raise UserError(f"--push {self.push}: expected a repository, owner/name")
