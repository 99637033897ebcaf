"""Callbacks that report on a training run and save it, one per file."""

from animelm.train.callbacks.adapter_checkpoint import AdapterCheckpoint
from animelm.train.callbacks.answer_writer import AnswerWriter
from animelm.train.callbacks.held_out.base_figures import BaseFigures
from animelm.train.callbacks.held_out.learned_and_lost import LearnedAndLost
from animelm.train.callbacks.held_out.run_description import RunDescription
from animelm.train.callbacks.progress import TrainingProgressBar
from animelm.train.callbacks.qa_examples import QAExamples
from animelm.train.callbacks.router.statistics import RouterStatistics
from animelm.train.callbacks.throughput import Throughput

__all__ = [
    "AdapterCheckpoint",
    "AnswerWriter",
    "BaseFigures",
    "LearnedAndLost",
    "QAExamples",
    "RouterStatistics",
    "RunDescription",
    "Throughput",
    "TrainingProgressBar",
]
