"""Old names of settings end with one error that gives the new name."""

from argparse import ArgumentError
from pathlib import Path

import pytest
import yaml

from animelm.cli.given_settings import check_given_settings
from animelm.errors import UserError

KEYS = {
    "model.rank": "model.lora.rank",
    "model.alpha": "model.lora.alpha",
    "model.dropout": "model.lora.dropout",
    "model.target_modules": "model.lora.target_modules",
    "model.init_adapter": "model.adapter.init_from",
    "model.init_mode": "model.adapter.init_mode",
    "model.evaluated_adapter": "model.adapter.evaluate",
    "model.optimiser.learning_rate": "model.optimizer.learning_rate",
    "model.activation_checkpointing": "model.memory.activation_checkpointing",
    "model.kept_activations_gib": "model.memory.stored_activations_gib",
    "model.embeddings_on_cpu": "model.memory.embeddings_on_cpu",
    "model.compute_type": "model.compute.dtype",
    "model.compile_kernels": "model.compute.compile_kernels",
    "model.max_new_tokens": "model.generation.max_new_tokens",
    "model.max_thinking_tokens": "model.generation.max_thinking_tokens",
    "model.whole": "model.from_scratch",
    "data.replay_folders": "data.general_folders",
    "data.init_args.replay_folders": "data.general_folders",
    "data.replay_records": "data.general_records",
    "data.replay_share": "data.shares.general_articles, or general_questions",
}
CLASSES = {
    "animelm.data.corpus_module.MarkdownDataModule": "DomainDataModule",
    "animelm.data.qa_module.QADataModule": "DomainDataModule",
    "MarkdownDataModule": "DomainDataModule",
    "animelm.data.datamodules.MarkdownDataModule": "DomainDataModule",
    "QADataModule": "DomainDataModule",
    "animelm.data.mixture_module.MixtureDataModule": "MixtureDataModule",
}


def nested(key: str, value: object) -> dict:
    for part in reversed(key.split(".")):
        value = {part: value}
    assert isinstance(value, dict)
    return value


def refusal(arguments: list[str]) -> str:
    with pytest.raises(UserError) as refused:
        check_given_settings(arguments)
    return str(refused.value)


@pytest.mark.parametrize(("old", "new"), KEYS.items())
def test_an_old_key_on_the_command_line(old: str, new: str) -> None:
    message = f"--{old} is now called {new}"
    assert refusal([f"--{old}=8"]) == message
    assert refusal(["--data.folder=x", f"--{old}", "8"]) == message
    group, _, rest = old.partition(".")
    assert refusal([f"--{group}={yaml.safe_dump(nested(rest, 8))}"]) == message


@pytest.mark.parametrize(("old", "new"), KEYS.items())
@pytest.mark.parametrize("flat", [True, False])
def test_an_old_key_in_a_config(old: str, new: str, flat: bool, tmp_path: Path) -> None:
    path = tmp_path / "old.yaml"
    path.write_text(yaml.safe_dump({old: 8} if flat else nested(old, 8)), encoding="utf-8")
    for arguments in ([f"--config={path}"], ["-c", str(path)]):
        assert refusal(arguments) == f"{path}: {old} is now called {new}"


@pytest.mark.parametrize(("old", "new"), CLASSES.items())
def test_an_old_class_path(old: str, new: str, tmp_path: Path) -> None:
    path = tmp_path / "old.yaml"
    path.write_text(yaml.safe_dump({"data": {"class_path": old}}), encoding="utf-8")
    told = f"{old} is now called {new}"
    assert refusal([f"--config={path}"]) == f"{path}: data.class_path: {told}"
    assert refusal([f"--data={old}"]) == f"--data: {told}"
    assert refusal([f"--data.class_path={old}"]) == f"--data.class_path: {told}"


def test_current_names_are_accepted() -> None:
    base = "--model.base=a"
    check_given_settings([base, *(f"--{new}=8" for new in KEYS.values())])
    check_given_settings(["fit", base, "--data=DomainDataModule", "--model.lora", "{rank: 8}"])
    check_given_settings(["--trainer.fast_dev_run", base, "--data.folder=[not: yaml"])
    check_given_settings([base, "--data.folder=2024-99-99", "--config"])


@pytest.mark.parametrize("key", ["data.base", "data.init_args.base"])
def test_a_base_of_the_data_that_differs_from_the_models_is_refused(
    key: str, tmp_path: Path
) -> None:
    path = tmp_path / "own.yaml"
    path.write_text("model: {base: a}\n", encoding="utf-8")
    message = rf"--{key} is b, but .*own\.yaml: model\.base is a; .* leave data\.base out"
    with pytest.raises(UserError, match=message):
        check_given_settings([f"--config={path}", f"--{key}=b"])
    check_given_settings([f"--config={path}", f"--{key}=a"])
    check_given_settings([f"--config={path}", f"--{key}=b", "--model.base=b"])


def test_a_base_is_required_unless_only_help_is_asked_for() -> None:
    with pytest.raises(ArgumentError, match=r"required: model\.base"):
        check_given_settings(["fit", "--data.folder=x"])
    for option in ("--help", "-h", "--print_config", "--data.help=DomainDataModule"):
        check_given_settings(["fit", option])


def test_include_is_no_option() -> None:
    assert "only a config file can include" in refusal(["--include=cpt.yaml"])
