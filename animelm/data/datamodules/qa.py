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
    """Question-answer records, for supervised fine-tuning and for asking.

    Every right answer of every training question is trained, in the base's chat format, with the
    loss on the answer and its end token only. Records are split by fact and by work, never by line.
    Validation asks wordings never trained on of facts that are (anime_unseen_wording), works that
    training never asks about (anime_only_read), and general questions (general) to see what was
    forgotten.

    Args:
        base: Checkpoint folder or Hugging Face hub name of the base model, for its tokenizer and
            chat template.
        records: Questions and answers: JSON Lines of records or of 質問/出力 or question/answer
            pairs, CSV with the columns 質問,出力, or text with 質問: and 出力: lines (UTF-8); or
            Parquet with such columns: a file, a folder of them, or a dataset on the Hugging Face
            hub as hf://datasets/owner/name.
        replay_records: General questions and answers to mix in, in the same formats.
        replay_share: Share of the training tokens of an epoch, 0 to 1, that are replay. Every epoch
            draws other replay pairs.
        block_size: Tokens of a block. Questions share it without seeing each other; none may be
            longer with its answer.
        blocks_per_batch: Blocks of a batch on each device.
        held_out_wordings: Share of each fact's wordings, 0 to 1, that are never trained.
        held_out_works: Share of the works, 0 to 1, that are never asked about in training.
        seed: Decides what is held out, and the order of training.
        questions_per_batch: Questions that are answered together in validation.
        questions_per_set: Questions of each held-out set that validation asks. Default: all.
        general_records: General questions for validation, of which the held-out wordings are asked.
            Default: those of replay_records, whose held-out wordings are not trained either.
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
        """The records, split."""
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
        """Reads the records, so that what is wrong with them is told before the model is loaded."""
        _ = self.chat, self.questions

    def train_dataloader(self) -> PackedLoader:
        """Packed question-answer pairs and replay; resumes at the next batch."""
        own = self._pairs(self.questions.train)
        if not own:
            raise UserError(f"{self.records}: nothing is left to train; hold out a smaller share")
        replay = self._pairs(self.questions.replay)
        lengths = np.array([len(pair) for pair in own + replay], dtype=np.int64)
        numbers = np.arange(len(lengths))
        rank, world_size = rank_and_world_size(self)
        loader = training_loader(
            own + replay,
            lengths,
            own=numbers[: len(own)],
            rehearsed=numbers[len(own) :],
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
                f"the question {longest.name!r} takes {len(longest)} tokens with its answer, more "
                f"than a block holds; set block_size to {len(longest)} or more, or shorten it"
            )
        return documents


def _read_general(path: Path | None) -> list[QARecord]:
    return read_qa(path, domain="general") if path else []
