from pathlib import Path

import pytest

from animelm.cli import export as export_module
from animelm.export.check import CheckResult
from animelm.export.run import ExportFailed
from animelm.export.settings import ExportSettings

RESULT = CheckResult("transformers", 500, 0.0, 0.9, 0.9, 1.0, 1e-6, 1.0, 1.0)


@pytest.fixture
def export(call, tmp_path: Path):
    """Calls the command with an adapter folder that holds nothing."""
    (tmp_path / "adapter").mkdir()
    options = [f"--adapter={tmp_path / 'adapter'}", f"--output={tmp_path / 'out'}"]
    return lambda *arguments: call("export", *options, *arguments)


def test_a_good_export_is_shown_with_its_check(export, monkeypatch, tmp_path: Path) -> None:
    asked: list[ExportSettings] = []
    monkeypatch.setattr(export_module, "export", lambda given: asked.append(given) or RESULT)
    called = export("--to=merged", "--onto=original", "--shard_gib=2")
    assert called.status == 0, called.err
    assert (asked[0].to, asked[0].onto, asked[0].shard_gib) == ("merged", "original", 2.0)
    assert "500 questions" in called.out and f"Export: {tmp_path / 'out'}" in called.out


def test_an_export_that_fails_its_check_ends_with_status_1(
    export, monkeypatch, tmp_path: Path
) -> None:
    def fail(settings: ExportSettings) -> None:
        raise ExportFailed(
            tmp_path / "out.failed",
            CheckResult("transformers", 4, 0.0, 0.9, failures=("logits differ by 3",)),
        )

    monkeypatch.setattr(export_module, "export", fail)
    called = export("--to=peft")
    assert called.status == 1
    assert called.err.startswith("error: the export failed its check.")
    assert "out.failed: logits differ by 3" in called.err


def test_an_export_without_a_check_says_so(export, monkeypatch) -> None:
    monkeypatch.setattr(export_module, "export", lambda settings: None)
    called = export("--to=peft", "--check=false")
    assert called.status == 0 and "Not checked" in called.out


def test_nothing_is_sent_unless_it_is_asked_for(export, monkeypatch) -> None:
    sent = []
    monkeypatch.setattr(export_module, "export", lambda settings: RESULT)
    monkeypatch.setattr(export_module, "push", lambda *given: sent.append(given) or "address")
    assert export("--to=peft").status == 0 and not sent
    called = export("--to=peft", "--push=me/anime")
    assert called.status == 0 and "Sent: address" in called.out
    assert sent[0][1:] == ("me/anime", False)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--to=onnx"], "onnx"),
        (["--to=peft", "--questions=0"], "--questions is 0; expected more than 0"),
        (["--to=peft", "--push=anime"], "expected a repository, owner/name"),
        (["--to=peft"], "no adapter_config.json; expected an adapter folder"),
        (["--to=peft", "--adapter=nowhere"], "nowhere: no such folder"),
    ],
)
def test_a_wrong_option_is_one_message_and_nothing_is_written(
    export, tmp_path: Path, options: list[str], message: str
) -> None:
    called = export(*options)
    assert called.status == 2 and message in called.err
    assert called.err.count("error:") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["adapter"]
