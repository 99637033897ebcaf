from pathlib import Path

import pytest

from animelm.cli import main


def test_what_cannot_be_reported_ends_with_one_message(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", str(tmp_path)]) == 2
    assert "holds neither summary.json nor the log of a fit" in capsys.readouterr().err
    assert main(["report", str(tmp_path), "--format=markdown", "--language=en"]) == 2
    assert "--format markdown is in Japanese" in capsys.readouterr().err
    assert main(["report", str(tmp_path), "--questions=0"]) == 2
    assert "--questions is 0; expected 1 or more" in capsys.readouterr().err
    assert main(["report", str(tmp_path), "--watts=-1"]) == 2
    assert "--watts is -1.0; expected a power above 0" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
