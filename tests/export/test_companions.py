import json
import shutil
from pathlib import Path

from animelm.export.companions import copy_record, copy_tokenizer, write_model_config


def test_a_tokenizer_is_loaded_by_other_tools_as_its_file_says(
    tiny_base: str, tmp_path: Path
) -> None:
    base, out = tmp_path / "base", tmp_path / "out"
    shutil.copytree(tiny_base, base)
    out.mkdir()
    path = base / "tokenizer_config.json"
    values = json.loads(path.read_text(encoding="utf-8"))
    values |= {"tokenizer_class": "LlamaTokenizer", "auto_map": {"AutoTokenizer": "code.Mine"}}
    path.write_text(json.dumps(values), encoding="utf-8")
    copy_tokenizer(str(base), out)
    written = json.loads((out / "tokenizer_config.json").read_text(encoding="utf-8"))
    assert written["tokenizer_class"] == "PreTrainedTokenizerFast" and "auto_map" not in written
    assert written["eos_token"] == values["eos_token"]
    for name in ("tokenizer.json", "chat_template.jinja"):
        assert (out / name).read_bytes() == (base / name).read_bytes()


def test_a_config_loses_the_form_that_the_bases_weights_had(tiny_base: str, tmp_path: Path) -> None:
    base, out = tmp_path / "base", tmp_path / "out"
    shutil.copytree(tiny_base, base)
    out.mkdir()
    values = json.loads((base / "config.json").read_text(encoding="utf-8"))
    values |= {"quantization_config": {"quant_method": "bitsandbytes"}}
    (base / "config.json").write_text(json.dumps(values), encoding="utf-8")
    write_model_config(str(base), out, {"dtype": "bfloat16"})
    written = json.loads((out / "config.json").read_text(encoding="utf-8"))
    assert "quantization_config" not in written and written["dtype"] == "bfloat16"
    assert written["architectures"] == ["GptOssForCausalLM"]


def test_without_a_record_none_is_copied(adapter: Path, tmp_path: Path) -> None:
    copy_record(adapter, tmp_path)
    assert not list(tmp_path.iterdir())
