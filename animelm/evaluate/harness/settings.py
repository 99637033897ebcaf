"""The settings of ``harness``."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from animelm.errors import UserError
from animelm.evaluate.settings import AnswerFromSetting
from animelm.model.precision import ComputeType
from animelm.model.quantization.linear4bit import Quantization


@dataclass
class HarnessSettings:
    """Which models answer which tasks.

    Args:
        base: Checkpoint folder or hub id of the model that the adapters belong to.
        tasks: Names of the tasks: those of lm-evaluation-harness, and those in task_folder.
        models: The models by names of your choice, as in compare: an adapter's folder, an export or
            another whole model, nothing (the base), or a mapping with adapter, checkpoint,
            quantization and answer_from. By default the base alone.
        task_folder: Folder of your own tasks (YAML, with their data in local files). Their
            templates run in a sandbox, and a task that would run other code is refused.
        limit: Largest number of examples of each task. By default all are asked.
        num_fewshot: Number of examples before each question. By default what the task says.
        chat: Ask in the base's chat format.
        answer_from: Where a prompt in the chat format ends; final, start or auto, as in compare.
        batch_size: Prompts in one pass.
        quantization: Storage of the frozen weights, as in training.
        compute_type: float32, bfloat16, or auto to measure which is faster on this machine.
        output: Folder for harness.json and for the answers, samples_TASK.jsonl of each model.

    Raises:
        UserError: a number is out of range, or no task is named.
    """

    base: str
    tasks: list[str]
    models: dict[str, Any] | None = None
    task_folder: Path | None = None
    limit: int | None = None
    num_fewshot: int | None = None
    chat: bool = True
    answer_from: AnswerFromSetting = "auto"
    batch_size: int = 8
    quantization: Quantization = "nf4"
    compute_type: ComputeType = "auto"
    output: Path = Path("runs/harness")

    def __post_init__(self) -> None:
        if not self.tasks:
            raise UserError("tasks: expected the name of a task or more")
        for name, least in (("limit", 1), ("num_fewshot", 0), ("batch_size", 1)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise UserError(f"{name} is {value}; expected {least} or more")
