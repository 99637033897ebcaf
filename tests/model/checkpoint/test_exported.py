from pathlib import Path

import pytest

from animelm.errors import UserError
from animelm.model.checkpoint.exported import whole_export


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        ('{"format": "merged"}', "none"),
        ('{"format": "mxfp4"}', "mxfp4"),
        ('{"format": "peft"}', None),
    ],
)
def test_an_export_of_a_whole_model_says_how_it_is_loaded(
    tmp_path: Path, record: str, expected: str | None
) -> None:
    (tmp_path / "export.json").write_text(record, encoding="utf-8")
    assert whole_export(tmp_path) == expected


def test_a_folder_of_another_kind_is_no_export(tmp_path: Path) -> None:
    assert whole_export(tmp_path) is None


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ('{"format": "gguf"}', "a GGUF file is read by llama.cpp"),
        ("[]", "expected the record of an export"),
        ("{", "expected the record of an export"),
    ],
)
def test_what_cannot_be_loaded_is_one_message(tmp_path: Path, record: str, message: str) -> None:
    (tmp_path / "export.json").write_text(record, encoding="utf-8")
    with pytest.raises(UserError, match=message):
        whole_export(tmp_path)
