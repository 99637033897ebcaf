"""Options of the run are read as they are written."""

import lightning as L
import pytest
from lightning.pytorch.cli import LightningArgumentParser

from animelm.cli.runs.arguments import keep_whole_numbers


@pytest.fixture
def parser() -> LightningArgumentParser:
    """Lightning's options after a library has written the same kinds in another order."""
    parser = LightningArgumentParser(exit_on_error=False)
    parser.add_lightning_class_args(L.Trainer, "trainer")
    for action in parser._actions:
        if action.dest.startswith("trainer.limit_"):
            action._typehint = float | int | None
    keep_whole_numbers(parser)
    return parser


@pytest.mark.parametrize("name", ["train", "val", "test", "predict"])
def test_a_whole_number_of_batches_stays_whole_and_a_share_stays_a_share(parser, name):
    key = f"trainer.limit_{name}_batches"
    for text, expected in (("1", 1), ("1.0", 1.0), ("0.5", 0.5), ("null", None)):
        read = parser.parse_args([f"--{key}={text}"])[key]
        assert (read, type(read)) == (expected, type(expected))


def test_a_whole_number_overrides_the_share_of_a_config(parser, tmp_path):
    config = tmp_path / "half.yaml"
    config.write_text("trainer: {limit_train_batches: 0.5}", encoding="utf-8")
    parser.add_argument("--config", action="config")
    read = parser.parse_args([f"--config={config}", "--trainer.limit_train_batches=1"])
    assert type(read["trainer.limit_train_batches"]) is int
