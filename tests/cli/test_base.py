from pathlib import Path


def test_a_checkpoint_folder_without_a_configuration_is_refused(call, tmp_path: Path) -> None:
    called = call("base", f"--checkpoint={tmp_path}", f"--plain_text={tmp_path}")
    assert called.status == 2
    assert f"{tmp_path}: no config.json, which gives the shape of the model" in called.err
