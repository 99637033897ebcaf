"""Which setting names the folder of a run."""

import pytest

from animelm.cli.given_settings import GivenSetting
from animelm.cli.runs.output import GivenOutput, given_output
from animelm.errors import UserError


def given(*settings: tuple[str, str, object]) -> GivenOutput:
    """Of (layer, key, value); the command line's layer is empty."""
    return given_output(GivenSetting(key, value, key, layer) for layer, key, value in settings)


OUTPUT, ROOT, EVALUATED = "output", "trainer.default_root_dir", "model.adapter.evaluate"


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ([], None),
        ([("a.yaml", "model.base", "b")], None),
        ([("a.yaml", OUTPUT, "x")], OUTPUT),
        ([("a.yaml", OUTPUT, "x"), ("", ROOT, "y")], ROOT),
        ([("a.yaml", ROOT, "x"), ("b.yaml", OUTPUT, "y")], OUTPUT),
    ],
)
def test_the_name_that_is_given_last_counts(settings, key: str | None) -> None:
    assert given(*settings).key == key


@pytest.mark.parametrize("layer", ["a.yaml", ""])
def test_two_names_at_once_are_refused(layer: str) -> None:
    with pytest.raises(UserError, match="is y, but output is x; both name the folder"):
        given((layer, OUTPUT, "x"), (layer, ROOT, "y"))
    assert given((layer, OUTPUT, "x"), (layer, ROOT, "x/")).key == ROOT


@pytest.mark.parametrize(
    ("settings", "own"),
    [
        ([("a.yaml", OUTPUT, "x")], True),
        ([("a.yaml", OUTPUT, "x"), ("", EVALUATED, "z/adapter")], False),
        ([("a.yaml", OUTPUT, "x"), ("", EVALUATED, None)], False),
        # As saved by a run, or written before output was a setting.
        ([("a.yaml", ROOT, "x"), ("a.yaml", EVALUATED, "x/adapter"), ("", OUTPUT, "y")], True),
        ([("a.yaml", OUTPUT, "x"), ("a.yaml", EVALUATED, "x"), ("", OUTPUT, "y")], True),
        ([("a.yaml", OUTPUT, "x"), ("a.yaml", EVALUATED, "z"), ("", OUTPUT, "y")], False),
    ],
)
def test_an_evaluated_adapter_follows_the_folder_unless_it_lies_elsewhere(
    settings, own: bool
) -> None:
    assert given(*settings).own_adapter is own
