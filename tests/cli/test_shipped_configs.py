"""Every YAML in configs/ is parsed and runs one step, on a tiny base and a few works.

Those in configs/corpus/ train nothing; test_corpus.py parses them.
"""

from pathlib import Path

import pytest
import yaml

FOLDER = Path(__file__).parent.parent.parent / "configs"
CONFIGS = sorted(path for path in FOLDER.rglob("*.yaml") if path.parent.name != "corpus")


def name_of(path: Path) -> str:
    return path.relative_to(CONFIGS[0].parent).as_posix()


def test_the_folder_of_configs_is_not_empty() -> None:
    assert {"cpt.yaml", "sft.yaml", "compare.yaml", "base.yaml"} <= {path.name for path in CONFIGS}


@pytest.mark.parametrize("config", CONFIGS, ids=name_of)
def test_a_shipped_config_runs_one_step(
    config: Path, call, small, sample, articles_of, questions_of, tiny_base: Path, tmp_path: Path
) -> None:
    settings = yaml.safe_load(config.read_text(encoding="utf-8"))
    if "trainer" not in settings:
        called = call("compare", f"--config={config}", *comparison(sample, tiny_base, tmp_path))
        assert called.status == 0, called.err
        assert (tmp_path / "summary.json").is_file()
        return
    data = {
        "MarkdownDataModule": articles_of,
        "QADataModule": questions_of,
        "MixtureDataModule": [
            f"--data.sources=[{{path: {sample.records}}}, {{path: {sample.articles}, repeats: 2}}]",
            f"--data.asked={sample.general_records}",
            "--data.questions_per_set=4",
        ],
    }[settings["data"]["class_path"].rsplit(".", 1)[-1]]
    folder = tmp_path / "run"
    own = ["--model.init_adapter=null", "--trainer.max_steps=1", "--trainer.val_check_interval=1.0"]
    called = call("fit", f"--config={config}", *small(folder, 1), *data, *own)
    assert called.status == 0, called.err
    written = {path.name for path in (folder / "adapter").iterdir()}
    assert {"adapter_model.safetensors", "model.safetensors"} & written


def comparison(sample, tiny_base: Path, folder: Path) -> list[str]:
    return [
        f"--base={tiny_base}",
        "--cpt_adapter=null",
        "--sft_adapter=null",
        f"--records={sample.records}",
        f"--general_records={sample.general_records}",
        f"--articles={sample.articles}",
        f"--general_articles={sample.general_articles}",
        "--validation_share=0.25",
        "--questions_per_set=4",
        "--max_new_tokens=4",
        f"--output={folder}",
    ]
