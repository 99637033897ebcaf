from dataclasses import replace
from pathlib import Path

import pytest

from animelm.errors import UserError
from animelm.evaluate import ask as ask_module
from animelm.evaluate.ask import AskedModels, AskSettings
from animelm.provenance.fingerprints import record_base
from animelm.provenance.record import TrainingStep, write_record


def test_an_adapter_of_another_base_is_refused_before_the_base_is_loaded(
    base: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ask_module, "load_for_inference", pytest.fail)
    other = replace(record_base(base), name="another/base", config_sha256="x" * 64)
    write_record(tmp_path, [TrainingStep("sft", "0.1.0", 1, other)])
    message = rf"was trained on the base another/base \(config x{{12}}\), and {base} is another one"
    with pytest.raises(UserError, match=message):
        AskedModels(AskSettings(base, adapter=tmp_path))


def test_an_adapter_that_is_missing_is_named(base: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nowhere: no such folder"):
        AskedModels(AskSettings(base, adapter=tmp_path / "nowhere"))


def test_a_comparison_needs_an_adapter() -> None:
    with pytest.raises(UserError, match="--compare needs an adapter"):
        AskSettings("base", compare=True)
