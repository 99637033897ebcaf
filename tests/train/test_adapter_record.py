from dataclasses import replace
from pathlib import Path

import pytest

from animelm.data.held_out import SplitSettings
from animelm.errors import UserError
from animelm.provenance.record import BaseRecord, read_record, write_record
from animelm.train import build
from animelm.train.initial_adapter import AdapterSource

SPLIT = SplitSettings(3, held_out_works=0.5, validation_share=0.1)


@pytest.fixture
def earlier(fit, batches, tmp_path: Path) -> Path:
    """An adapter whose record says that its data were split with SPLIT."""
    folder = tmp_path / "earlier"
    fit(batches(1)).save_adapter(folder)
    [step] = read_record(folder)
    write_record(folder, [replace(step, split=SPLIT)])
    return folder


def test_data_of_another_kind_keep_the_split_of_the_steps_before(
    fit, batches, earlier: Path, tmp_path: Path
) -> None:
    fit(batches(1), adapter=AdapterSource(earlier)).save_adapter(tmp_path / "later")
    first, second = read_record(tmp_path / "later")
    assert first.split == second.split == SPLIT
    assert second.data == ()


def test_an_adapter_without_a_record_can_be_trained_further(
    fit, batches, earlier: Path, tmp_path: Path
) -> None:
    (earlier / "adapter_record.json").unlink()
    fit(batches(1), adapter=AdapterSource(earlier)).save_adapter(tmp_path / "later")
    [step] = read_record(tmp_path / "later")
    assert (step.init_adapter, step.split) == (str(earlier), SplitSettings())


def test_an_adapter_of_another_base_is_refused_before_the_base_is_loaded(
    fit, batches, earlier: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    [step] = read_record(earlier)
    write_record(earlier, [replace(step, base=BaseRecord("other", "c" * 64, "w", "t"))])
    monkeypatch.setattr(build, "load_base", lambda *_: pytest.fail("the base was loaded"))
    with pytest.raises(UserError, match=r"earlier was trained on the base other \(config c{12}\)"):
        fit(batches(1), adapter=AdapterSource(earlier))
