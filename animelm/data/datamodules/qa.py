"""Question-answer records as a LightningDataModule."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import lightning as L
import numpy as np
from lightning.pytorch.utilities import rank_zero_info

from animelm.data.batches.batch import Document
from animelm.data.batches.loaders import PackedLoader, QuestionLoader, training_loader
from animelm.data.held_out import QuestionSplit, SplitSettings, split_questions
from animelm.data.sources.qa import QARecord, read_qa
from animelm.data.split import check_share, subsample
from animelm.data.tokenization.chat import AnswerFrom, ChatFormat
from animelm.data.tokenization.tokenizer import load_tokenizer
from animelm.data.world import rank_and_world_size
from animelm.errors import UserError


class QADataModule(L.LightningDataModule):
    """Question-answer records, for supervised fine-tuning and for evaluation.

    Every accepted answer of every training question is trained on, in the chat format of the base,
    with the loss on the answer and its end token only. Records are split by fact and by work, not
    by line. Validation asks new wordings of trained facts (anime_unseen_wording), about works that
    training never asks about (anime_only_read), and general questions, to measure forgetting
    (general).

    Args:
        base: Checkpoint folder or Hugging Face hub name of the base model, for its tokenizer and
            chat template.
        records: Questions and answers: JSON Lines of records or of 質問/出力 or question/answer
            pairs, CSV with the columns 質問,出力, or text with 質問: and 出力: lines, all UTF-8;
            or Parquet with such columns, as a file, a folder, or a dataset on the Hugging Face
            hub, written as hf://datasets/owner/name.
        replay_records: General questions and answers to mix in, in the same formats.
        replay_share: Share of replay in the training tokens of an epoch, 0 to 1. Every epoch draws
            different replay pairs.
        block_size: Tokens per block. A block is packed with several pairs, which do not attend to
            each other; no pair may be longer.
        blocks_per_batch: Blocks per batch on each device.
        held_out_wordings: Share of each fact's wordings to hold out, 0 to 1.
        held_out_works: Share of the works to hold out, 0 to 1. Training never asks about them.
        seed: Seed of the choice of what is held out, and of the training order.
        questions_per_batch: Number of questions to answer in one batch in validation.
        questions_per_set: Number of questions of each held-out set to ask in validation. Default:
            all.
        general_records: General questions for validation; their held-out wordings are asked.
            Default: replay_records, whose held-out wordings are not trained on.
        answer_from: Where a question's prompt ends. final: where the answer begins, as it is
            trained here. start: where the assistant's turn begins, so that gpt-oss may think first;
            to measure a base that was not fine-tuned here. Other bases know no difference.
    """

    def __init__(
        self,
        base: str,
        records: Path,
        replay_records: Path | None = None,
        replay_share: float = 0.2,
        block_size: int = 512,
        blocks_per_batch: int = 8,
        held_out_wordings: float = 0.25,
        held_out_works: float = 0.25,
        seed: int = 0,
        questions_per_batch: int = 32,
        questions_per_set: int | None = None,
        general_records: Path | None = None,
        answer_from: AnswerFrom = "final",
    ) -> None:
        super().__init__()
        check_share("replay_share", replay_share)
        self.base = base
        self.records = records
        self.replay_records = replay_records
        self.replay_share = replay_share if replay_records else 0.0
        self.block_size = block_size
        self.blocks_per_batch = blocks_per_batch
        self.split_settings = SplitSettings(seed, held_out_wordings, held_out_works)
        self.seed = seed
        self.questions_per_batch = questions_per_batch
        self.questions_per_set = questions_per_set
        self.general_records = general_records or replay_records
        self.answer_from: AnswerFrom = answer_from

    @cached_property
    def chat(self) -> ChatFormat:
        """The base's chat format."""
        return ChatFormat(load_tokenizer(self.base))

    @cached_property
    def _anime(self) -> list[QARecord]:
        return read_qa(self.records)

    @cached_property
    def _general(self) -> list[QARecord]:
        return _read_general(self.general_records)

    @cached_property
    def questions(self) -> QuestionSplit:
        """The split of the records."""
        own_replay = self.replay_records != self.general_records
        replay = _read_general(self.replay_records) if own_replay else self._general
        return split_questions(self._anime, self._general, replay, self.split_settings)

    @property
    def records_for_scoring(self) -> list[QARecord]:
        """Every record, trained on or held out: distractors are found among them."""
        return [*self._anime, *self._general]

    @property
    def validation_names(self) -> list[str]:
        """Names of the validation sets, in the order of the loaders."""
        return list(self.questions.held_out)

    def setup(self, stage: str | None = None) -> None:
        """Reads the records, so that mistakes in them are reported before the model is loaded."""
        _ = self.chat, self.questions

    def train_dataloader(self) -> PackedLoader:
        """Packed question-answer pairs and replay; a resumed run gets the next batch."""
        own = self._pairs(self.questions.train)
        if not own:
            raise UserError(
                f"{self.records}: no training question is left; hold out a smaller share"
            )
        replay = self._pairs(self.questions.replay)
        lengths = np.array([len(pair) for pair in own + replay], dtype=np.int64)
        numbers = np.arange(len(lengths))
        rank, world_size = rank_and_world_size(self)
        loader = training_loader(
            own + replay,
            lengths,
            own=numbers[: len(own)],
            replayed=numbers[len(own) :],
            replay_share=self.replay_share,
            block_size=self.block_size,
            blocks_per_batch=self.blocks_per_batch,
            pad_token_id=self.chat.pad_token_id,
            seed=self.seed,
            rank=rank,
            world_size=world_size,
        )
        rank_zero_info(f"{len(own):,} question-answer pairs: {loader.sampler}")
        return loader

    def val_dataloader(self) -> list[QuestionLoader]:
        """Questions of each held-out set, ``questions_per_set`` of them at most."""
        return self._question_loaders(self.questions_per_set)

    def test_dataloader(self) -> list[QuestionLoader]:
        """All questions of each held-out set."""
        return self._question_loaders(None)

    def predict_dataloader(self) -> list[QuestionLoader]:
        """All questions of each held-out set, to be answered without scores."""
        return self._question_loaders(None)

    def _question_loaders(self, count: int | None) -> list[QuestionLoader]:
        rank, world_size = rank_and_world_size(self)
        return [
            QuestionLoader(
                subsample(records, count, self.seed),
                self.chat,
                name,
                self.questions_per_batch,
                rank,
                world_size,
                self.answer_from,
            )
            for name, records in self.questions.held_out.items()
        ]

    def _pairs(self, records: Sequence[QARecord]) -> list[Document]:
        pairs = [(record.question, answer) for record in records for answer in record.answers]
        documents = self.chat.encode_pairs(pairs)
        longest = max(documents, key=len, default=None)
        if longest is not None and len(longest) > self.block_size:
            raise UserError(
                f"the question {longest.name!r} has {len(longest)} tokens with its answer, more "
                f"than block_size; set block_size to {len(longest)} or more, or shorten it"
            )
        return documents


def _read_general(path: Path | None) -> list[QARecord]:
    return read_qa(path, domain="general") if path else []
