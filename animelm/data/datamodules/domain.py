"""Articles and questions on one domain, and general text, as a LightningDataModule."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, get_args

import lightning as L
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities import rank_zero_info, rank_zero_warn

from animelm.data.batches.loaders import PackedLoader, QuestionLoader
from animelm.data.batches.mixing import (
    TrainingSource,
    cap_repeats,
    repeats_per_epoch,
    training_loader,
)
from animelm.data.batches.sampler import BlockSampler
from animelm.data.domain import DataPaths, DomainData, Shares, SourceName
from animelm.data.doubtful import about_answers, about_suspects
from animelm.data.held_out import DEFAULT_SPLIT, DOMAIN_SETS, TRAINED, SplitSettings
from animelm.data.held_out_list import held_out_lines
from animelm.data.small_data import (
    batches_shown,
    few_questions,
    few_steps,
    much_padding,
    without_short_keys,
)
from animelm.data.sources.folder_files import FolderSetting, weighted_folders
from animelm.data.sources.qa import Columns, QARecord, QuestionFile, question_files
from animelm.data.split import subsample
from animelm.data.tokenization.chat import AnswerFrom
from animelm.data.tokenization.tokenizer import load_tokenizer
from animelm.data.world import rank_and_world_size
from animelm.errors import UserError
from animelm.sample.writer import GENERATED

SAMPLE = GENERATED / "anime"
# What a run goes without where a source is missing.
_WITHOUT: dict[SourceName, str] = {
    "articles": "questions alone wipe out what was read; name articles with data.folder",
    "questions": "what is read is hard to ask for; name questions with data.records",
    "general_articles": "more is forgotten; name general text with data.general_folders",
    "general_questions": "more is forgotten; name general questions with data.general_records",
}


class DomainDataModule(L.LightningDataModule):
    """Articles and questions on one domain, mixed with general text to rehearse.

    An epoch shows one of the sources whole, and of each other one the share that is asked for.
    Articles end with the end-of-document token and are trained on every token; questions are
    trained in the base's chat format, on the answer and its end token. All are packed: documents
    share a block without seeing each other.

    Held out are some articles (for the perplexity), some wordings of every fact, some works that
    are never asked about in any source, and some general subjects that no general source names.
    Validation asks the dev part of these sets, test the test part.

    Args:
        base: Checkpoint folder or Hugging Face hub name of the base model, for its tokenizer and
            chat template.
        folder: Folder of articles on the domain: text files (.md, .markdown or .txt, UTF-8), also
            in folders below it, whose YAML front matter is not trained on; or Parquet files with a
            column text, a row for each article (a column title or id names it); or a dataset on the
            Hugging Face hub as hf://datasets/owner/name. Several as a list, and each as {path: …,
            weight: 2} to show its articles twice as often. By default the project's own sample is
            used for folder and records; whoever names one of the two has no other data than that.
        records: Questions and answers on the domain, in UTF-8: .jsonl or .json of records, of pairs
            (質問/出力, 質問/回答, question/answer, instruction/input/output, prompt/completion), of
            messages or of conversations; .csv or .tsv with such columns; .txt with 質問: and 出力:
            lines; .parquet; or a folder of such files. Several as a list, and each as {path: …,
            weight: 2} to show its questions twice as often.
        general_folders: Folders of general articles, in the forms of folder.
        general_records: General questions and answers, in the forms of records.
        columns: Names of the columns of records, where they have other names than the usual ones.
        domain: Name of the domain, which begins the names of its held-out sets.
        epoch: Which source an epoch shows whole, articles (continual pre-training) or questions
            (fine-tuning).
        shares: How much of an epoch the other sources are.
        most_repeats: How often one epoch shows such a source at most. Where its share would need
            more, the share is lowered.
        block_size: Tokens of a block. Longer articles are cut into pieces of it; a question must
            fit with its answer.
        blocks_per_batch: Blocks of a batch on each device.
        held_out_wordings: Share of each fact's wordings, 0 to 1, that are never trained on. By
            default this and the next five settings are those of the adapter that the run starts
            from or evaluates; without one 0.25, 0.25, 0.25, 0.25, 0.05 and 0.
        held_out_works: Share of the works, 0 to 1, that are never asked about in training.
        held_out_subjects: Share of the general subjects, 0 to 1, that no general text and no
            question in training names. They show what is forgotten where nothing is rehearsed.
        dev_share: Share of each held-out set's works, 0 to 1, that validation asks about; test and
            comparisons ask about the others.
        validation_share: Share of the articles, 0 to 1, that are held out.
        seed: Decides what is held out, and the order of training.
        questions_per_batch: Questions that are answered together.
        questions_per_set: Questions of each held-out set that validation and test ask. Default:
            all.
        trained_questions: Questions of training, at most, that validate and test ask as well. What
            they recall of them is shown beside the held-out sets.
        answer_from: Where a question's prompt ends. final: where the answer begins, as it is
            trained here. start: where the assistant's turn begins, so that gpt-oss may think first;
            to measure a base that was not fine-tuned here. Ignored by models without channels.
        workers: Processes that tokenize.
        cache: Folder for tokenized articles. Default: ~/.cache/animelm.

    Raises:
        UserError: a setting has no meaning, or the source that an epoch shows is not given.
    """

    def __init__(
        self,
        base: str,
        folder: FolderSetting = None,
        records: Path | QuestionFile | list[Path | QuestionFile] | None = None,
        general_folders: FolderSetting = None,
        general_records: Path | QuestionFile | list[Path | QuestionFile] | None = None,
        columns: Columns = Columns(),  # noqa: B008 (frozen)
        domain: str = "anime",
        epoch: Literal["articles", "questions"] = "articles",
        shares: Shares = Shares(),  # noqa: B008 (frozen)
        most_repeats: float = 4.0,
        block_size: int = 512,
        blocks_per_batch: int = 8,
        held_out_wordings: float | None = None,
        held_out_works: float | None = None,
        held_out_subjects: float | None = None,
        dev_share: float | None = None,
        validation_share: float | None = None,
        seed: int | None = None,
        questions_per_batch: int = 32,
        questions_per_set: int | None = None,
        trained_questions: int = 64,
        answer_from: AnswerFrom = "final",
        workers: int = 2,
        cache: Path | None = None,
    ) -> None:
        super().__init__()
        if folder is None and records is None:
            folder, records = SAMPLE / "articles", SAMPLE / "qa.jsonl"
        if not (folder if epoch == "articles" else records):
            missing = "folder" if epoch == "articles" else "records"
            raise UserError(f"data.epoch is {epoch}, but data.{missing} is not set")
        self.base = base
        if not re.fullmatch(r"\w[\w-]*", domain) or domain == "general":
            raise UserError(
                f"data.domain is {domain!r}; expected a name of letters and digits, other than "
                "general"
            )
        self.domain = domain
        self.paths = DataPaths(
            weighted_folders(folder),
            question_files(records),
            weighted_folders(general_folders),
            question_files(general_records),
            columns,
        )
        self.epoch, self.shares, self.most_repeats = epoch, shares, most_repeats
        if most_repeats <= 0:
            raise UserError(f"data.most_repeats must be above 0, not {most_repeats}")
        given: dict[str, Any] = {
            "seed": seed,
            "held_out_wordings": held_out_wordings,
            "held_out_works": held_out_works,
            "held_out_subjects": held_out_subjects,
            "dev_share": dev_share,
            "validation_share": validation_share,
        }
        self._given = {name: value for name, value in given.items() if value is not None}
        SplitSettings(**self._given)  # an error in them is found now
        self._recorded: Mapping[str, Any] = {}
        self.block_size, self.blocks_per_batch = block_size, blocks_per_batch
        self.questions_per_batch, self.questions_per_set = questions_per_batch, questions_per_set
        self.trained_questions = trained_questions
        self.answer_from: AnswerFrom = answer_from
        self.workers, self.cache = workers, cache

    def adopt_split(self, recorded: Mapping[str, Any]) -> None:
        """Takes the split of an earlier adapter for every setting that was not given.

        Args:
            recorded: fields of ``SplitSettings`` by name.
        """
        self._recorded = recorded

    @property
    def split_settings(self) -> SplitSettings:
        """The split: as given, else as adopted, else the default; None for what has no meaning.

        Raises:
            UserError: general subjects are to be held out, and nothing names them.
        """
        known = {**self._recorded, **self._given}
        values = {**asdict(DEFAULT_SPLIT), **known}
        paths, shares = self.paths, self.shares
        articles = shares.general_articles > 0 and paths.general_articles
        # A step without questions must not decide which ones a later step holds out.
        has_meaning = {
            "held_out_wordings": paths.questions or paths.general_questions,
            "held_out_works": paths.questions,
            "held_out_subjects": articles
            or (shares.general_questions > 0 and paths.general_questions),
            "validation_share": paths.articles or paths.general_articles,
        }
        for name, meaning in has_meaning.items():
            if not meaning and name not in self._recorded:
                values[name] = None
        if articles and not paths.general_questions:
            if asked := known.get("held_out_subjects"):
                raise UserError(
                    f"held_out_subjects is {asked}, but without data.general_records nothing names "
                    "the subjects that replay must leave out; name the file"
                )
            values["held_out_subjects"] = 0.0
        return SplitSettings(**values)

    @property
    def seed(self) -> int:
        """Decides what is held out, and the order of training."""
        return self.split_settings.seed

    @cached_property
    def data(self) -> DomainData:
        """The articles and questions, split."""
        return DomainData(
            self.paths,
            load_tokenizer(self.base),
            self.split_settings,
            self.workers,
            self.cache,
            self.domain,
        )

    @property
    def held_out_list(self) -> str:
        """Every held-out fact and article by name, as the lines of ``held_out.jsonl``."""
        articles = {
            self._shown(name): corpus.validation_titles
            for name, corpus in self.data.held_out_articles.items()
        }
        return "".join(held_out_lines(self.data.questions, articles, self._shown))

    @property
    def records_for_scoring(self) -> list[QARecord]:
        """Every record, trained on or held out: distractors are found among them."""
        return [*self.data.records, *self.data.general_records]

    @property
    def validation_names(self) -> list[str]:
        """Names of the validation sets, in the order of the loaders."""
        return list(map(self._shown, [*self.data.held_out_articles, *self.data.questions.dev]))

    def prepare_data(self) -> None:
        """Tokenizes, on one process of each machine."""
        _ = self.data.articles, self.data.general_articles

    def setup(self, stage: str | None = None) -> None:
        """Reads all data, so that an error in them is found before the model is loaded.

        Raises:
            UserError: there is nothing for ``stage`` to ask.
        """
        _ = self.data.articles, self.data.general_articles
        questions = self.data.questions
        held_out = questions.dev if stage in ("fit", "validate") else questions.test
        asked = self._predicted if stage == "predict" else held_out
        articles = {} if stage == "predict" else self.data.held_out_articles
        if stage in ("validate", "test", "predict") and not (asked or articles):
            raise UserError(
                f"nothing is held out, so {TrainerFn(stage).value} has nothing to ask: raise "
                "data.held_out_wordings or data.held_out_works (wordings are held out of facts "
                "that are asked in two wordings or more), or give more questions. `python -m "
                "animelm questions check` shows what is held out of a file"
            )
        for about in (
            without_short_keys(self.data.records),
            about_answers(self.data.records),
            about_suspects(questions),
        ):
            if about:
                rank_zero_warn(about)
        for name, records in asked.items():
            if text := few_questions(self._shown(name), records):
                rank_zero_warn(text)

    def train_dataloader(self) -> PackedLoader:
        """Packed blocks of all sources; resumes at the next batch.

        Raises:
            UserError: of the source that an epoch shows, nothing is left to train on.
        """
        shares = asdict(self.shares)
        wanted = [name for name in get_args(SourceName) if name == self.epoch or shares[name] > 0]
        sources = self.data.training_sources(wanted, self.block_size)
        main = sources[self.epoch]
        if not main.lengths[main.chosen].any():
            raise UserError(f"nothing is left of the {self.epoch} to train on; hold out less")
        rank, world_size = rank_and_world_size(self)
        loader = training_loader(
            self._capped({name: self._weighted(name, each) for name, each in sources.items()}),
            block_size=self.block_size,
            blocks_per_batch=self.blocks_per_batch,
            pad_token_id=self.data.chat.pad_token_id,
            seed=self.seed,
            rank=rank,
            world_size=world_size,
        )
        rank_zero_info(f"{_counts(sources)}: {loader.sampler}")
        if text := self._about_padding(loader.sampler, sources):
            rank_zero_info(text)
        if (run := self.trainer) is not None:
            batches, text = batches_shown(len(loader), run.limit_train_batches)
            if text:
                rank_zero_info(text)
            limits = (run.accumulate_grad_batches, run.max_epochs, run.max_steps)
            if text := few_steps(batches, *limits):
                rank_zero_warn(text)
        if "articles" in wanted:
            for text in filter(None, (self.data.about_unrehearsed(), self.data.about_unread())):
                rank_zero_warn(text)
        for name, source in sources.items():
            if not len(source.chosen):
                rank_zero_warn(
                    f"data.shares.{name} is {shares[name]}, but there is nothing to draw from: "
                    f"{_WITHOUT[name]}"
                )
        return loader

    def _about_padding(
        self, sampler: BlockSampler, sources: Mapping[SourceName, TrainingSource]
    ) -> str:
        lengths = [source.lengths[source.chosen] for source in sources.values()]
        longest = max(int(each.max(initial=0)) for each in lengths)
        return much_padding(
            sampler.blocks,
            self.block_size,
            sampler.tokens,
            _counts({self.epoch: sources[self.epoch]}),
            min(longest, self.block_size),
        )

    def _capped(self, sources: Mapping[SourceName, TrainingSource]) -> list[TrainingSource]:
        """The sources, none of which an epoch draws too often; a warning says what was lowered."""
        given = list(sources.values())
        capped = cap_repeats(given, self.most_repeats)
        for name, before, after, repeats in zip(
            sources, given, capped, repeats_per_epoch(given), strict=True
        ):
            if before.share != after.share:
                rank_zero_warn(
                    f"data.shares.{name} is {before.share:g}, for which an epoch would show all of "
                    f"it {repeats:.1f} times: it is shown {self.most_repeats:g} times, "
                    f"{after.share:.1%} of the tokens. Name more of it, or raise data.most_repeats"
                )
        return capped

    def _weighted(self, name: str, source: TrainingSource) -> TrainingSource:
        if name == self.epoch:
            return replace(source, passes=1)
        return replace(source, share=getattr(self.shares, name))

    def val_dataloader(self) -> list[PackedLoader | QuestionLoader]:
        """Blocks of held-out articles, and the dev questions, ``questions_per_set`` at most."""
        return self._loaders(self.data.questions.dev)

    def test_dataloader(self) -> list[PackedLoader | QuestionLoader]:
        """Blocks of held-out articles, and the test questions, ``questions_per_set`` at most."""
        return self._loaders(self.data.questions.test)

    def predict_dataloader(self) -> list[PackedLoader | QuestionLoader]:
        """Every held-out question on the domain, to be answered without scores.

        Without questions on the domain, the test questions on other subjects.
        """
        return self._question_loaders(self._predicted, None)

    @property
    def _predicted(self) -> dict[str, list[QARecord]]:
        questions = self.data.questions
        if not self.paths.questions:
            return questions.test
        return {
            name: [*questions.dev.get(name, []), *questions.test.get(name, [])]
            for name in DOMAIN_SETS
            if name in questions.dev or name in questions.test
        }

    def _loaders(
        self, sets: Mapping[str, Sequence[QARecord]]
    ) -> list[PackedLoader | QuestionLoader]:
        """Held-out articles and questions; after training, some trained questions as well."""
        loaders = self._article_loaders() + self._question_loaders(sets, self.questions_per_set)
        fitting = self.trainer is not None and self.trainer.state.fn == TrainerFn.FITTING
        trains_questions = self.epoch == "questions" or self.shares.questions > 0
        trained = self.data.questions.train
        world_size = rank_and_world_size(self)[1]
        if min(len(trained), self.trained_questions) < world_size:
            return loaders
        if loaders and trains_questions and not fitting:
            loaders += self._question_loaders({TRAINED: trained}, self.trained_questions)
        return loaders

    def _article_loaders(self) -> list[PackedLoader | QuestionLoader]:
        rank, world_size = rank_and_world_size(self)
        return [
            corpus.held_out_blocks(
                self._shown(name), self.block_size, self.blocks_per_batch, rank, world_size
            )
            for name, corpus in self.data.held_out_articles.items()
        ]

    def _question_loaders(
        self, sets: Mapping[str, Sequence[QARecord]], count: int | None
    ) -> list[PackedLoader | QuestionLoader]:
        rank, world_size = rank_and_world_size(self)
        return [
            QuestionLoader(
                subsample(records, count, self.seed),
                self.data.chat,
                self._shown(name),
                self.questions_per_batch,
                rank,
                world_size,
                self.answer_from,
            )
            for name, records in sets.items()
        ]

    def _shown(self, name: str) -> str:
        """The name of a held-out set, with the user's name of the domain."""
        first, _, rest = name.partition("_")
        return f"{self.domain}_{rest}" if first == "anime" else name


def _counts(sources: Mapping[SourceName, TrainingSource]) -> str:
    return ", ".join(
        f"{len(source.chosen):,} {name.replace('_', ' ')}"
        for name, source in sources.items()
        if len(source.chosen)
    )
