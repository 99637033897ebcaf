"""Every YAML file in configs/ is parsed and runs a step, on tiny bases in the released formats."""

import itertools
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import pytest
import yaml
from tiny_base import write_tiny_base, write_tiny_llama
from transformers import GptOssForCausalLM

from animelm.cli.configs import find_configs
from animelm.cli.quiet import quiet_libraries
from animelm.cli.trainer import TrainerCLI
from animelm.data.datamodules import DomainDataModule
from animelm.data.sources.qa import question_files
from animelm.evaluate.settings import CompareSettings
from animelm.provenance.check import recorded_split, require_same_split
from animelm.provenance.record import BaseRecord, TrainingStep
from tests.layouts import write_mxfp4

FOLDER = Path(__file__).parent.parent.parent / "configs"
BASES = {
    "gpt-oss-20b": "unsloth/gpt-oss-20b",
    "llm-jp-3-7.2b": "llm-jp/llm-jp-3-7.2b-instruct3",
}
HARDWARE = sorted(path.name for path in (FOLDER / "hardware").glob("*.yaml"))
STRATEGIES = sorted(path.name for path in (FOLDER / "strategy").glob("*.yaml"))
# Files in other folders are layers on an experiment, not experiments.
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


@pytest.fixture(scope="session")
def released(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A tiny base for each folder of configs, in the format in which the real one is released."""
    folders = {name: tmp_path_factory.mktemp(name) for name in BASES}
    model = GptOssForCausalLM.from_pretrained(write_tiny_base(folders["gpt-oss-20b"]))
    (folders["gpt-oss-20b"] / "model.safetensors").unlink()
    write_mxfp4(model, folders["gpt-oss-20b"])
    write_tiny_llama(folders["llm-jp-3-7.2b"])
    return {"configs": tiny_base, **folders}


@pytest.fixture
def step(call, small, sample, released, tmp_path: Path):
    """``step(config, …layers)``: runs a step of a config, as small as a test needs it."""

    def run(config: Path, *layers: str, options: Sequence[str] = ()) -> Path:
        folder = tmp_path / "run"
        data = [
            f"--data.folder={sample.articles}",
            f"--data.records={sample.records}",
            f"--data.general_records={sample.general_records}",
            "--data.questions_per_set=4",
        ]
        if config.stem == "base":
            data = [
                f"--data.sources=[{{path: {sample.records}}}, {{path: {sample.articles}}}]",
                f"--data.asked={sample.general_records}",
                "--data.questions_per_set=4",
            ]
        called = call(
            "fit",
            *(f"--config={name}" for name in (config, *layers)),
            *small(folder, 1),
            f"--model.base={released[config.parent.name]}",
            "--model.adapter.init_from=null",
            "--trainer.max_steps=1",
            "--trainer.val_check_interval=1.0",
            *data,
            *options,
        )
        assert called.status == 0, called.err
        return folder

    return run


def test_the_folder_of_configs_is_not_empty() -> None:
    names = {name_of(path) for path in EXPERIMENTS}
    assert {"cpt.yaml", "sft.yaml", "compare.yaml", "base.yaml"} <= names
    kinds = ("cpt.yaml", "sft.yaml", "compare.yaml")
    assert {f"{base}/{kind}" for base in BASES for kind in kinds} <= names
    assert HARDWARE == ["cpu.yaml", "gpu-16gb.yaml", "gpu-24gb.yaml", "gpu-80gb.yaml"]
    assert STRATEGIES == ["ddp.yaml", "fsdp2.yaml"]


@pytest.mark.parametrize(
    "config", [path for path in EXPERIMENTS if path.stem != "compare"], ids=name_of
)
def test_an_experiment_runs_one_step(config: Path, step) -> None:
    folder = step(config)
    written = {path.name for path in (folder / "adapter").iterdir()}
    assert {"adapter_model.safetensors", "model.safetensors"} & written
    assert (folder / "version_0" / "checkpoints" / "last.ckpt").is_file()


@pytest.mark.parametrize(
    "config", [path for path in EXPERIMENTS if path.stem == "compare"], ids=name_of
)
def test_a_comparison_answers_a_few_questions(
    config: Path, call, sample, released, tmp_path: Path
) -> None:
    base = released[config.parent.name]
    called = call("compare", f"--config={config}", *comparison(sample, base, tmp_path))
    assert called.status == 0, called.err
    assert (tmp_path / "summary.json").is_file()


@pytest.mark.parametrize("layer", HARDWARE)
def test_the_layer_of_a_machine_runs_one_step_on_a_cpu(layer: str, step) -> None:
    on_cpu = ["--trainer.accelerator=cpu", "--trainer.accumulate_grad_batches=1"]
    step(FOLDER / "gpt-oss-20b" / "cpt.yaml", f"hardware/{layer}", options=on_cpu)


def test_the_strategy_ddp_runs_one_step_on_a_single_process(step) -> None:
    on_cpu = ["--trainer.accelerator=cpu", "--trainer.devices=1"]
    step(FOLDER / "cpt.yaml", "strategy/ddp.yaml", options=on_cpu)


@pytest.mark.parametrize("layer", STRATEGIES)
@pytest.mark.parametrize("base", [".", *BASES])
def test_a_strategy_can_be_layered_on_any_experiment(base: str, layer: str) -> None:
    """Two processes run both strategies in tests/train/test_strategies.py."""
    for step in ("cpt", "sft"):
        made = parsed(f"{base}/{step}.yaml", f"strategy/{layer}")
        assert type(made.trainer.strategy).__module__ == "animelm.train.strategies"


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("step", ["cpt", "sft"])
def test_an_experiment_has_the_values_of_the_group(base: str, step: str) -> None:
    made = parsed(f"{base}/{step}.yaml")
    model, data, trainer = made.model.settings, made.datamodule, made.trainer
    assert model.base == data.base == BASES[base]
    # gpt-oss as it was released; llm-jp was released in 16 bits.
    assert model.quantization == ("mxfp4" if base == "gpt-oss-20b" else "nf4")
    assert (model.lora.rank, model.lora.alpha, model.lora.dropout) == (16, 32, 0.05)
    experts = ("gate_proj", "up_proj", "down_proj")
    assert model.lora.target_modules == ("q_proj", "k_proj", "v_proj", "o_proj", *experts)
    optimizer = made.model.optimizer_settings
    assert (optimizer.kind, optimizer.learning_rate) == ("adamw_8bit", 2e-4)
    assert model.memory.activation_checkpointing
    assert (trainer.max_epochs, trainer.gradient_clip_val) == (3, 1.0)
    assert (data.blocks_per_batch, trainer.accumulate_grad_batches) == (8, 2)
    assert data.block_size == (2048 if step == "cpt" else 512)
    assert isinstance(data, DomainDataModule)
    assert data.epoch == ("articles" if step == "cpt" else "questions")
    assert trainer.default_root_dir == f"runs/{base}/{step}"
    assert trainer.checkpoint_callback._every_n_train_steps == 200


@pytest.mark.parametrize("base", BASES)
def test_fine_tuning_and_comparison_continue_from_the_steps_before(base: str) -> None:
    cpt, sft = (parsed(f"{base}/{step}.yaml") for step in ("cpt", "sft"))
    compare = CompareSettings(**settings_of(FOLDER / base / "compare.yaml"))
    folders = [Path(made.trainer.default_root_dir, "adapter") for made in (cpt, sft)]
    source = sft.model.settings.adapter
    assert source.init_from == Path(str(compare.cpt_adapter)) == folders[0].parent
    assert cpt.model.settings.adapter.evaluate == folders[0]
    assert source.evaluate == folders[1]
    assert Path(str(compare.sft_adapter)) == folders[1].parent
    paths = sft.datamodule.paths
    assert [Path(str(compare.articles))] == [folder.path for folder in paths.articles]
    assert paths.articles == cpt.datamodule.paths.articles
    assert question_files(str(compare.records)) == paths.questions
    assert question_files(str(compare.general_records)) == paths.general_questions


@pytest.mark.parametrize("base", [".", *BASES])
def test_what_fine_tuning_holds_out_agrees_with_what_pre_training_held_out(base: str) -> None:
    cpt, sft = (parsed(f"{base}/{step}.yaml").datamodule for step in ("cpt", "sft"))
    folder = Path("runs/cpt/adapter")
    trained = TrainingStep("cpt", "0", 1, BaseRecord("b", "c", "w", "t"), split=cpt.split_settings)
    sft.adopt_split(recorded_split({folder: [trained]}))
    require_same_split(folder, [trained], asdict(sft.split_settings))


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
        assert made.model.settings.base == BASES[base]


def comparison(sample, base: Path, folder: Path) -> list[str]:
    return [
        f"--base={base}",
        "--cpt_adapter=null",
        "--sft_adapter=null",
        f"--records={sample.records}",
        f"--general_records={sample.general_records}",
        f"--articles={sample.articles}",
        f"--general_articles={sample.general_articles}",
        "--validation_share=0.25",
        "--questions_per_set=4",
        "--max_new_tokens=4",
        "--max_thinking_tokens=4",
        "--block_size=128",
        f"--output={folder}",
    ]
