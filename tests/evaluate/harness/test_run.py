from pathlib import Path
from typing import Any

import pytest

from animelm.errors import UserError
from animelm.evaluate.harness.run import run_harness
from animelm.evaluate.harness.settings import HarnessSettings


@pytest.mark.parametrize(
    ("models", "message"),
    [
        ({"a": [None, None], "a 2": None}, "two are called 'a 2'"),
        ({"a": {"retrieval": True}}, r"models\.a: tasks have no articles"),
        ({"..": None}, r"'\.\.' is not a name"),
    ],
)
def test_models_that_no_task_can_be_asked_of_are_refused(
    models: dict[str, Any], message: str, nano: Path, tmp_path: Path
) -> None:
    settings = HarnessSettings(str(nano), ["any"], models, output=tmp_path / "out")
    with pytest.raises(UserError, match=message):
        run_harness(settings)
    assert not (tmp_path / "out").exists()
