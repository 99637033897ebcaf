import shutil
from pathlib import Path

import pytest
from transformers import GptOssForCausalLM

from animelm.errors import UserError
from animelm.provenance.fingerprints import record_base, record_data


def test_a_copy_of_a_base_has_the_same_hashes(checkpoint: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(checkpoint, copy)
    original, copied = record_base(str(checkpoint)), record_base(str(copy))
    assert (original.config_sha256, original.weights_sha256) == (
        copied.config_sha256,
        copied.weights_sha256,
    )
    assert copied.name == str(copy)


def test_other_weights_and_another_configuration_have_other_hashes(
    checkpoint: Path, stock_model: GptOssForCausalLM, tmp_path: Path
) -> None:
    original = record_base(str(checkpoint))
    copy = tmp_path / "copy"
    shutil.copytree(checkpoint, copy)
    weights = copy / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    changed = record_base(str(copy))
    assert changed.weights_sha256 != original.weights_sha256
    assert changed.config_sha256 == original.config_sha256
    (copy / "config.json").write_text((checkpoint / "config.json").read_text() + " ")
    assert record_base(str(copy)).config_sha256 != original.config_sha256


def test_a_change_in_the_middle_of_the_weights_and_another_chat_template_show(
    checkpoint: Path, tmp_path: Path
) -> None:
    original, copy = record_base(str(checkpoint)), tmp_path / "copy"
    shutil.copytree(checkpoint, copy)
    weights = copy / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[len(content) // 2] ^= 1
    weights.write_bytes(content)
    (copy / "chat_template.jinja").write_text("{{ messages }}")
    changed = record_base(str(copy))
    assert changed.weights_sha256 != original.weights_sha256
    assert changed.tokenizer_sha256 != original.tokenizer_sha256
    assert changed.config_sha256 == original.config_sha256


def test_of_a_large_file_parts_from_its_beginning_to_its_end_are_read(
    checkpoint: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(checkpoint, copy)
    size = 200 * 2**20
    with (copy / "large.safetensors").open("wb") as file:
        file.truncate(size)  # takes no room on the disk
    hashes = {record_base(str(copy)).weights_sha256}
    for place in (0, size * 32 // 63, size - 1):
        with (copy / "large.safetensors").open("r+b") as file:
            file.seek(place)
            file.write(b"\1")
        hashes.add(record_base(str(copy)).weights_sha256)
    assert len(hashes) == 4


def test_articles_and_questions_are_told_apart_by_content_and_not_by_place(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.md").write_text("本文", encoding="utf-8")
        (tmp_path / folder / "qa.csv").write_text("質問,出力\n問,答\n", encoding="utf-8")

    def hashes(folder: str) -> tuple[str, str]:
        articles = record_data("articles", tmp_path / folder)
        questions = record_data("questions", tmp_path / folder / "qa.csv")
        return articles.sha256, questions.sha256

    assert hashes("one") == hashes("two")
    before = hashes("one")
    (tmp_path / "one" / "a.md").write_text("別の本文", encoding="utf-8")
    (tmp_path / "one" / "qa.csv").write_text("質問,出力\n問,別\n", encoding="utf-8")
    after = hashes("one")
    assert after[0] != before[0] and after[1] != before[1]


def test_a_missing_file_of_questions_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nowhere\.jsonl: no such file"):
        record_data("questions", tmp_path / "nowhere.jsonl")
