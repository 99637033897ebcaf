from argparse import ArgumentError

import pytest

from animelm.cli.parsing import errors_in_one_message, shorten
from animelm.errors import UserError

UNION = """\
Parser key "data":
  Does not validate against any of the Union subtypes
  Subtypes: [<class 'lightning.LightningDataModule'>, <class 'NoneType'>]
  Errors:
    - Problem with given class_path 'a.B':
        Option 'nope' is not accepted
    - Expected a <class 'NoneType'>
  Given value type: <class 'jsonargparse._util.NestedArg'>
  Given value: NestedArg(key='nope', val='1')"""


@pytest.mark.parametrize(
    ("message", "short"),
    [
        (UNION, "--data: Problem with given class_path 'a.B': Option 'nope' is not accepted"),
        (
            "Parser key \"model.lora.rank\":\n  Expected a <class 'int'>. Got value: abc",
            "--model.lora.rank: Expected int. Got value: abc",
        ),
        ("unrecognized arguments: --nope=1", "unrecognized arguments: --nope=1"),
    ],
)
def test_a_parsers_message_keeps_the_mistake_and_loses_the_types_tried(
    message: str, short: str
) -> None:
    assert shorten(message) == short


def test_a_parsers_error_names_the_page_that_helps() -> None:
    with (
        pytest.raises(
            UserError, match="unrecognized arguments: --x\n`python -m animelm fit --help`"
        ),
        errors_in_one_message("fit"),
    ):
        raise ArgumentError(None, "unrecognized arguments: --x")


def test_a_users_mistake_is_found_inside_what_the_parser_wrapped_around_it() -> None:
    with pytest.raises(UserError, match=r"^share must be below 1$"), errors_in_one_message("fit"):
        try:
            raise UserError("share must be below 1")
        except UserError as mistake:
            raise ValueError("pages of text") from mistake


def test_an_error_of_ours_keeps_its_traceback() -> None:
    with pytest.raises(ValueError, match="a bug"), errors_in_one_message("fit"):
        raise ValueError("a bug")


def test_a_class_that_may_not_be_named_is_one_sentence() -> None:
    message = (
        'Parser key "trainer.callbacks":\n  Does not validate\n  Problem with given class_path '
        "'own.X': Importing 'own.X' is not allowed, denied by the '*' entry of the denylist."
    )
    assert shorten(message).startswith("--trainer.callbacks: own.X lies outside of the packages")
    assert shorten(message).endswith("add --allow_classes_from=own to the command")
