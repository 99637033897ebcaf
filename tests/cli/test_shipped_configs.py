"""Every YAML in configs/ is parsed, and the experiments run one step on a tiny base."""

import itertools
from pathlib import Path

import pytest
import yaml
from animelm.data.datamodules.articles import MarkdownDataModule
from animelm.data.datamodules.qa import QADataModule

from animelm.cli.configs import find_configs
from animelm.cli.quiet import quiet_libraries
from animelm.cli.trainer import TrainerCLI
from animelm.evaluate.settings import CompareSettings

FOLDER = Path(__file__).parent.parent.parent / "configs"
BASES = {
    "gpt-oss-20b": "unsloth/gpt-oss-20b",
    "llm-jp-3-7.2b": "llm-jp/llm-jp-3-7.2b-instruct3",
}
HARDWARE = sorted(path.name for path in (FOLDER / "hardware").glob("*.yaml"))
STRATEGIES = sorted(path.name for path in (FOLDER / "strategy").glob("*.yaml"))
# What stands in no other folder is an experiment of its own, not a layer on one.
EXPERIMENTS = sorted(
    path for path in FOLDER.rglob("*.yaml") if path.parent.name in ("configs", *BASES)
)


def name_of(path: Path) -> str:
    return path.relative_to(FOLDER).as_posix()


def settings_of(path: Path) -> dict:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def parsed(*names: str) -> TrainerCLI:
    """The objects that the configs describe; nothing is loaded or fetched."""
    with quiet_libraries():
        return TrainerCLI(find_configs([f"--config={name}" for name in names]), run=False)


def test_the_folder_of_configs_is_not_empty() -> None:
    names = {name_of(path) for path in EXPERIMENTS}
    assert {"cpt.yaml", "sft.yaml", "compare.yaml", "base.yaml"} <= names
    kinds = ("cpt.yaml", "sft.yaml", "compare.yaml")
    assert {f"{base}/{kind}" for base in BASES for kind in kinds} <= names
    assert HARDWARE == ["cpu.yaml", "gpu-16gb.yaml", "gpu-24gb.yaml", "gpu-80gb.yaml"]
    assert STRATEGIES == ["ddp.yaml", "fsdp2.yaml"]


@pytest.mark.parametrize("config", EXPERIMENTS, ids=name_of)
def test_a_shipped_config_runs_one_step(
    config: Path, call, small, sample, articles_of, questions_of, tiny_base: Path, tmp_path: Path
) -> None:
    settings = settings_of(config)
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
    if "general_records" in settings["data"]["init_args"]:
        data = [*data, f"--data.general_records={sample.general_records}"]
    folder = tmp_path / "run"
    own = ["--model.init_adapter=null", "--trainer.max_steps=1", "--trainer.val_check_interval=1.0"]
    called = call("fit", f"--config={config}", *small(folder, 1), *data, *own)
    assert called.status == 0, called.err
    written = {path.name for path in (folder / "adapter").iterdir()}
    assert {"adapter_model.safetensors", "model.safetensors"} & written


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("step", ["cpt", "sft"])
def test_an_experiment_has_the_values_of_the_group(base: str, step: str) -> None:
    made = parsed(f"{base}/{step}.yaml")
    model, data, trainer = made.model, made.datamodule, made.trainer
    assert model.base == data.base == BASES[base]
    assert model.quantization == "nf4"
    assert (model.lora.rank, model.lora.alpha, model.lora.dropout) == (16, 32, 0.05)
    experts = ("gate_proj", "up_proj", "down_proj")
    assert model.lora.target_modules == ("q_proj", "k_proj", "v_proj", "o_proj", *experts)
    optimiser = model.optimiser_settings
    assert (optimiser.kind, optimiser.learning_rate) == ("adamw_8bit", 2e-4)
    assert trainer.max_epochs == 3
    assert (data.blocks_per_batch, trainer.accumulate_grad_batches) == (8, 2)
    assert isinstance(data, MarkdownDataModule if step == "cpt" else QADataModule)


@pytest.mark.parametrize("base", BASES)
def test_fine_tuning_and_comparison_take_up_what_the_steps_before_left(base: str) -> None:
    cpt, sft = (settings_of(FOLDER / base / f"{step}.yaml") for step in ("cpt", "sft"))
    compare = CompareSettings(**settings_of(FOLDER / base / "compare.yaml"))
    folders = [f"{made['trainer']['default_root_dir']}/adapter" for made in (cpt, sft)]
    assert sft["model"]["init_adapter"] == compare.cpt_adapter == folders[0]
    assert sft["model"]["evaluated_adapter"] == compare.sft_adapter == folders[1]
    own = parsed(f"{base}/sft.yaml").datamodule
    assert compare.articles == cpt["data"]["init_args"]["folder"]
    assert compare.records == str(own.records)
    for split in ("held_out_wordings", "held_out_works", "seed"):
        assert getattr(compare, split) == getattr(own, split)


@pytest.mark.parametrize(("base", "layer"), itertools.product(BASES, HARDWARE))
def test_hardware_trades_batch_for_accumulation_and_keeps_the_product(
    base: str, layer: str
) -> None:
    for step in ("cpt", "sft"):
        made = parsed(f"{base}/{step}.yaml", f"hardware/{layer}")
        plain = parsed(f"{base}/{step}.yaml")
        blocks = made.datamodule.blocks_per_batch * made.trainer.accumulate_grad_batches
        assert blocks == 16
        assert made.datamodule.block_size == plain.datamodule.block_size
        assert made.model.base == BASES[base]


@pytest.mark.parametrize("layer", STRATEGIES)
@pytest.mark.parametrize("base", [".", *BASES])
def test_a_strategy_can_be_layered_on_any_experiment(base: str, layer: str) -> None:
    for step in ("cpt", "sft"):
        made = parsed(f"{base}/{step}.yaml", f"strategy/{layer}")
        assert type(made.trainer.strategy).__module__ == "animelm.train.strategies"


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
        "--block_size=128",
        f"--output={folder}",
    ]
