"""What is measured: the run that all competitors share, and the competitors."""

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

RANK, ALPHA = 16, 32
ATTENTION = ("q_proj", "k_proj", "v_proj", "o_proj")


@dataclass(frozen=True)
class Run:
    """The same for every competitor.

    Attributes:
        checkpoint: folder of the base, as stock transformers writes it.
        documents: file of the tokenized documents (see ``documents.py``).
        documents_per_step: documents of one optimizer step.
        warm_up: optimizer steps before the clock starts.
        steps: optimizer steps that are timed.
        learning_rate: of AdamW, constant.
        threads: threads of the matrix products.
        memory_gib: data segment that a competitor may fill, in GiB.
        cpu_time: count the process's CPU seconds instead of the wall clock's. With one thread the
            two agree on a quiet machine, and on a busy one only the first mean anything.
    """

    checkpoint: Path
    documents: Path
    documents_per_step: int = 16
    warm_up: int = 2
    steps: int = 6
    learning_rate: float = 1e-3
    threads: int = 1
    memory_gib: float = 16.0
    cpu_time: bool = False


@dataclass(frozen=True)
class Ours:
    """animelm's own path: ``AdaptedLM`` under Lightning's Trainer.

    Attributes:
        quantization: nf4 or none.
        compute_type: auto, float32 or bfloat16.
        bare_steps: steps after the timed ones, each followed by its bare matrix products.
    """

    quantization: str = "nf4"
    compute_type: str = "auto"
    bare_steps: int = 0

    @property
    def name(self) -> str:
        return f"animelm-{self.quantization}-{self.compute_type}"


@dataclass(frozen=True)
class Peer:
    """A stock setting.

    Attributes:
        trainer: trl is TRL's SFTTrainer; loop is a bare PyTorch loop.
        targets: attention alone, or attention and (by ``target_parameters``) experts.
        layout: padded batches of documents of similar length; flattened into one sequence without
            padding; or packed into sequences of 1,024 tokens (other documents in each step).
            Flattened and packed documents see each other: stock gpt-oss builds its masks without
            the positions (huggingface/transformers#39997), so their losses are others.
        dtype: of the base's weights.
        experts: transformers' implementation of the experts.
        micro_batch: documents of one pass; packed: sequences. A step accumulates several.
    """

    trainer: Literal["trl", "loop"] = "trl"
    targets: Literal["attention", "experts"] = "experts"
    layout: Literal["padded", "flattened", "packed"] = "padded"
    dtype: str = "bfloat16"
    experts: str = "grouped_mm"
    micro_batch: int = 8

    @property
    def name(self) -> str:
        return (
            f"{self.trainer}-{self.targets}-{self.layout}-{self.dtype}-{self.experts}"
            f"-{self.micro_batch}"
        )

    @staticmethod
    def from_name(name: str) -> "Peer":
        """The peer of a ``name`` as printed.

        Raises:
            ValueError: it is no such name.
        """
        parts = name.split("-")
        if len(parts) != 6 or parts[0] not in ("trl", "loop") or not parts[5].isdigit():
            raise ValueError(
                f"peer {name!r}: expected trainer-targets-layout-dtype-experts-micro_batch, "
                f"such as {Peer().name}"
            )
        return Peer(*parts[:5], int(parts[5]))  # type: ignore[arg-type]


Competitor = Ours | Peer


@dataclass(frozen=True)
class Measured:
    """What one process of a competitor measured.

    Attributes:
        tokens_per_s: useful tokens (no padding) a second over the timed steps.
        peak_rss_gib: highest resident memory of the process up to the last timed step.
        import_rss_gib: resident memory before anything was loaded.
        losses: mean token loss in nats of every step, warm-up included.
        step_s: seconds of a timed step, on average.
        gemm_share: bare matrix products over a step's time; None where not measured.
    """

    tokens_per_s: float
    peak_rss_gib: float
    import_rss_gib: float
    losses: list[float]
    step_s: float
    gemm_share: float | None = None


def write_order(path: Path, run: Run, competitor: Competitor, profile: bool) -> None:
    """Writes what a worker process is to do."""
    order: dict[str, Any] = {
        "run": dataclasses.asdict(run),
        "ours": isinstance(competitor, Ours),
        "competitor": dataclasses.asdict(competitor),
        "profile": profile,
    }
    path.write_text(json.dumps(order, default=str), encoding="utf-8")


def read_order(path: Path) -> tuple[Run, Competitor, bool]:
    """Reads what ``write_order`` wrote."""
    order = json.loads(path.read_text(encoding="utf-8"))
    run = order["run"]
    for name in ("checkpoint", "documents"):
        run[name] = Path(run[name])
    kind = Ours if order["ours"] else Peer
    return Run(**run), kind(**order["competitor"]), order["profile"]
