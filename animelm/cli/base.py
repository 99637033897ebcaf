"""base: trains the embedded base from scratch, from tables of facts and plain text."""

import shutil
from pathlib import Path

from jsonargparse import auto_cli

from animelm.cli.configs import find_configs
from animelm.cli.trainer import run as run_trainer
from animelm.errors import UserError
from animelm.sample.base_corpus import real_texts, write_base_corpus
from animelm.sample.base_tokenizer import train_tokenizer

_VOCABULARY_SIZE = 4608
_WORK = Path("runs/base")  # the same as in base.yaml


def run(command: str, arguments: list[str]) -> None:
    """Parses the options of ``base`` and trains the embedded base."""
    auto_cli(
        make_base,
        args=find_configs(arguments),
        prog="python -m animelm base",
        exit_on_error=False,
    )


def make_base(
    plain_text: Path = Path("../shared/data"),
    checkpoint: Path = Path("checkpoints/nano-gpt-oss-ja"),
    train: bool = True,
) -> None:
    """Writes the corpus of the embedded base, trains its tokenizer, then all its weights.

    Args:
        plain_text: Folder that holds qa/jsquad-v1.3-valid.json (JGLUE) and
            dumps/jawiki-countries.xml.bz2.
        checkpoint: Folder of the base. Its config.json gives the shape of the model and is kept.
        train: Whether to train the weights after the corpus and the tokenizer are made.

    Raises:
        UserError: the folder has no config.json.
    """
    if not (checkpoint / "config.json").is_file():
        raise UserError(
            f"{checkpoint}: no config.json, which gives the shape of the model to train"
        )
    corpus = write_base_corpus(_WORK / "corpus", plain_text)
    train_tokenizer(real_texts(corpus), _VOCABULARY_SIZE, checkpoint)
    if not train:
        return
    config = find_configs(["--config=base.yaml"])
    options = [f"--model.base={checkpoint}", "--overwrite"]
    run_trainer("fit", [*config, *options], shows_next=False)
    shutil.copy2(_WORK / "adapter" / "model.safetensors", checkpoint / "model.safetensors")
