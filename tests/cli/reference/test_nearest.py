"""Which option was probably meant."""

import pytest

from animelm.cli.reference.nearest import nearest_option

DATA = "--data: Problem with given class_path 'animelm.data.datamodules.DomainDataModule': "


@pytest.mark.parametrize(
    ("message", "meant"),
    [
        ("unrecognized arguments: --model.lora.rnak=3", "model.lora.rank"),
        ("unrecognized arguments: --ouput=x --more", "output"),
        (f"{DATA}Option 'foldr' is not accepted", "data.folder"),
        ("Subcommand 'fit' does not accept option 'model.bass'", "model.base"),
        ("unrecognized arguments: --zzz=3", None),
        ("--model.lora.rank: expected an int", None),
    ],
)
def test_the_nearest_option_is_found(message: str, meant: str | None) -> None:
    assert nearest_option("fit", message) == meant
