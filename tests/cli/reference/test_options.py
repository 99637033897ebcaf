"""What is read off the parsers of the commands."""

from pathlib import Path
from typing import Literal

import pytest

from animelm.cli import COMMANDS
from animelm.cli.reference.options import command_options, kind_of, subcommands


@pytest.mark.parametrize(
    ("hint", "kind"),
    [
        (int, "int"),
        (float | None, "float or null"),
        (Literal["a", "b"], "a, b"),
        (list[Path | str] | None, "list of path or text or null"),
        (tuple[str, ...], "list of text"),
        (dict[str, int], "mapping"),
    ],
)
def test_what_an_option_takes_is_said_in_plain_words(hint, kind: str) -> None:
    assert kind_of(hint) == kind


def test_settings_of_model_data_and_trainer_are_options_of_fit() -> None:
    found = {option.key: option for option in command_options("fit")}
    assert found["model.lora.rank"].default == "16"
    assert found["data.epoch"].choices == ("articles", "questions")
    assert found["model.base"].default == ""  # required
    assert found["trainer.max_epochs"].kind == "int or null"
    assert not {"model.lora", "data.base", "help"} & set(found)


@pytest.mark.parametrize("command", [c for c in COMMANDS if c != "fit"])
def test_every_command_lists_options_that_say_what_they_do(command: str) -> None:
    for words in [f"{command} {word}" for word in subcommands(command)] or [command]:
        options = command_options(words)
        assert options
        assert all(option.text for option in options)
