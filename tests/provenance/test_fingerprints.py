import hashlib
import json
import shutil
from pathlib import Path

import pytest
from transformers import GptOssForCausalLM

from animelm.data.domain import DataPaths
from animelm.data.sources.folder_files import weighted_folders
from animelm.data.sources.qa import Columns, QuestionFile
from animelm.errors import UserError
from animelm.provenance.fingerprints import record_base, record_data, record_paths


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


def test_the_hash_of_pairs_covers_how_they_were_grouped(tmp_path: Path) -> None:
    path = tmp_path / "qa.csv"
    path.write_text("質問,出力,作品\n月の庭の主人公は?,花子,庭\n", encoding="utf-8")

    def hash_of(title: str | None, columns: Columns = Columns(), weight: int = 1) -> str:  # noqa: B008
        folder = None
        if title is not None:
            folder = tmp_path / title
            folder.mkdir(exist_ok=True)
            (folder / "a.md").write_text(f"---\ntitle: {title}\n---\n本文", encoding="utf-8")
        files = (QuestionFile(path, weight),)
        [*_, record] = record_paths(DataPaths(weighted_folders(folder), files, columns=columns))
        return record.sha256

    assert hash_of(None) == hash_of("星の道") == hash_of(None, weight=3)
    assert len({hash_of(None), hash_of("月の庭"), hash_of(None, Columns(work="作品"))}) == 3


def test_the_hash_of_whole_records_is_that_of_their_file(tmp_path: Path) -> None:
    path = tmp_path / "qa.jsonl"
    texts = ("id", "work", "fact", "wording", "domain", "question")
    row = {**dict.fromkeys(texts, "花"), "direction": "forward", "answers": ["花"], "keys": ["花"]}
    path.write_text(json.dumps(row), encoding="utf-8")
    assert record_data("questions", path).sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_several_files_of_questions_are_one_source(tmp_path: Path) -> None:
    files = []
    for name in ("a", "b"):
        path = tmp_path / f"{name}.csv"
        path.write_text(f"質問,出力\n{name}?,答\n", encoding="utf-8")
        files.append(QuestionFile(path))
    [both] = record_paths(DataPaths(questions=tuple(files)))
    [folder] = record_paths(DataPaths(questions=(QuestionFile(tmp_path),)))
    assert both.path == f"{files[0].path}, {files[1].path}"
    [alone] = record_paths(DataPaths(questions=(files[0],)))
    assert len({both.sha256, folder.sha256, alone.sha256}) == 3
