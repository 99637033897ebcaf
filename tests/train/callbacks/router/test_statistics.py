import csv
import os
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest
import torch
from host_waits import HostWaits, TellsTheStep
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from lightning.pytorch.loggers import TensorBoardLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tiny_run import (
    CHOSEN,
    EXPERTS,
    LAYERS,
    PROBE,
    TinyModule,
    adapted_model,
    loader,
    make_batch,
    make_trainer,
    tiny_model,
)
from two_processes import free_port

from animelm.train.callbacks import RouterStatistics
from animelm.train.callbacks.router.statistics import TABLE_NAME


def read_table(folder: Path) -> dict[int, list[dict[str, str]]]:
    """Rows by step."""
    steps = defaultdict(list)
    with (folder / TABLE_NAME).open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            steps[int(row["step"])].append(row)
    return dict(steps)


def fit(folder, batches, model=None, every_n_steps=1, callbacks=(), probe=None, **settings):
    statistics = RouterStatistics(every_n_steps=every_n_steps, probe=probe or {})
    module = TinyModule(model)
    validation = settings.pop("validation", None)
    trainer = make_trainer(folder, [statistics, *callbacks], **settings)
    trainer.fit(module, loader(batches), validation and loader(validation))
    return read_table(folder)


def reference(model, batches):
    """A plain loop over every token's recorded logits: what the table should say, by layer."""
    logits: dict[int, list[torch.Tensor]] = defaultdict(list)
    handles = [
        layer.mlp.router.register_forward_hook(
            lambda _module, _args, output, number=number: logits[number].append(output[0])
        )
        for number, layer in enumerate(model.model.layers)
    ]
    padding = []
    with torch.no_grad():
        for batch in batches:
            model(input_ids=batch.input_ids, position_ids=batch.position_ids)
            padding += batch.is_padding.flatten().tolist()
    for handle in handles:
        handle.remove()
    expected = {}
    for number in range(LAYERS):
        counts, entropy, mass, tokens = [0] * EXPERTS, 0.0, 0.0, 0
        for row, padded in zip(torch.cat(logits[number]).double(), padding, strict=True):
            if padded:
                continue
            p = torch.softmax(row, -1)
            chosen = sorted(range(EXPERTS), key=lambda e: -row[e].item())[:CHOSEN]
            for expert in chosen:
                counts[expert] += 1
                mass += p[expert].item()
            entropy -= (p * p.log()).sum().item()
            tokens += 1
        shares = [count / sum(counts) for count in counts]
        expected[number] = {
            "tokens": tokens,
            "shares": shares,
            "entropy": entropy / tokens,
            "chosen_mass": mass / tokens,
            "imbalance": max(shares) / (sum(shares) / EXPERTS),
            "dead_experts": counts.count(0),
        }
    return expected


def assert_agrees(rows, expected):
    assert len(rows) == LAYERS * EXPERTS
    for row in rows:
        layer = expected[int(row["layer"])]
        assert int(row["tokens"]) == layer["tokens"]
        assert float(row["share"]) == pytest.approx(layer["shares"][int(row["expert"])], rel=1e-4)
        for name in ("entropy", "chosen_mass", "imbalance", "dead_experts"):
            assert float(row[name]) == pytest.approx(layer[name], rel=1e-4), name


BATCHES = [make_batch(seed, padding=2 * seed) for seed in range(4)]


def test_each_step_agrees_with_a_plain_loop_over_the_logits_without_padding(tmp_path):
    table = fit(tmp_path, BATCHES)
    assert list(table) == [1, 2, 3, 4]
    for step, batch in enumerate(BATCHES, start=1):
        assert_agrees(table[step], reference(tiny_model(), [batch]))


def test_accumulated_micro_batches_are_summed_up_to_the_logging_step(tmp_path):
    table = fit(tmp_path, BATCHES, accumulate_grad_batches=2)
    assert list(table) == [1, 2]
    assert_agrees(table[1], reference(tiny_model(), BATCHES[:2]))
    assert_agrees(table[2], reference(tiny_model(), BATCHES[2:]))


def test_several_optimizer_steps_make_one_window_and_the_end_logs_the_rest(tmp_path):
    table = fit(tmp_path, BATCHES, every_n_steps=3)
    assert list(table) == [3, 4]
    assert_agrees(table[3], reference(tiny_model(), BATCHES[:3]))
    assert_agrees(table[4], reference(tiny_model(), BATCHES[3:]))


@pytest.mark.parametrize("reentrant", [False, True])
def test_activation_checkpointing_does_not_count_twice(tmp_path, reentrant):
    model = tiny_model()
    model.enable_input_require_grads()
    model.gradient_checkpointing_enable({"use_reentrant": reentrant})
    forwards = []
    model.model.layers[0].mlp.router.register_forward_hook(lambda *_: forwards.append(1))
    table = fit(tmp_path / "with", BATCHES, model)
    assert len(forwards) == 2 * len(BATCHES), "recomputation did not happen"
    assert table == fit(tmp_path / "without", BATCHES)


def test_validation_sanity_checks_and_forwards_between_batches_are_not_counted(tmp_path):
    class ForwardsBetween(Callback):
        def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
            pl_module.model(input_ids=batch.input_ids)

    table = fit(
        tmp_path,
        BATCHES[:2],
        every_n_steps=2,
        callbacks=[ForwardsBetween()],
        validation=BATCHES,
        val_check_interval=1,
        num_sanity_val_steps=1,
    )
    assert_agrees(table[2], reference(tiny_model(), BATCHES[:2]))


def without_gradients(module, batch):
    with torch.no_grad():
        module.model(input_ids=batch.input_ids)


def in_evaluation_mode(module, batch):
    module.eval()
    module.model(input_ids=batch.input_ids)
    module.train()


@pytest.mark.parametrize("look", [without_gradients, in_evaluation_mode])
def test_a_look_at_the_model_inside_the_training_step_is_not_counted(tmp_path, look):
    class LooksTwice(TinyModule):
        def training_step(self, batch, batch_idx):
            look(self, batch)
            return super().training_step(batch, batch_idx)

    make_trainer(tmp_path, [RouterStatistics(1, {})]).fit(LooksTwice(), loader(BATCHES[:1]))
    assert_agrees(read_table(tmp_path)[1], reference(tiny_model(), BATCHES[:1]))


def test_a_frozen_base_that_stays_in_evaluation_mode_is_counted(tmp_path):
    table = fit(tmp_path, BATCHES[:1], tiny_model().eval())  # as from_pretrained returns it
    assert_agrees(table[1], reference(tiny_model(), BATCHES[:1]))


def test_two_processes_are_summed(tmp_path):
    script = Path(__file__).with_name("train_two_processes.py")
    environment = os.environ | {
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join(sys.path),
        "MASTER_PORT": str(free_port()),
    }
    done = subprocess.run(
        [sys.executable, script, tmp_path],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    batches = [make_batch(seed, padding=seed) for seed in range(4)]
    table = read_table(tmp_path)
    assert list(table) == [2]
    assert_agrees(table[2], reference(tiny_model(), batches))
    supervised = sum(batch.supervised_tokens for batch in batches[2:])  # throughput's last window
    assert f"supervised tokens of the last step: {supervised}" in done.stdout


def test_hooks_and_counters_leave_the_model_as_it_was(tmp_path):
    module = TinyModule()
    before = list(module.state_dict())
    make_trainer(tmp_path, [RouterStatistics(1, PROBE)]).fit(module, loader(BATCHES[:1]))
    assert list(module.state_dict()) == before
    for part in module.modules():
        assert not part._forward_hooks and not part._forward_pre_hooks


def test_an_interrupted_run_leaves_no_hook(tmp_path):
    class Fails(TinyModule):
        def training_step(self, batch, batch_idx):
            raise RuntimeError("out of memory")

    module = Fails()
    with pytest.raises(RuntimeError, match="out of memory"):
        make_trainer(tmp_path, [RouterStatistics(1, {})]).fit(module, loader(BATCHES[:1]))
    assert not any(part._forward_hooks for part in module.modules())


class ResumableLoader:
    """Goes on after the last batch taken, as the project's own sampler does."""

    def __init__(self, batches):
        self.batches, self.position = batches, 0

    def __len__(self):
        return len(self.batches)

    def __iter__(self):
        self.position %= len(self.batches)
        while self.position < len(self.batches):
            self.position += 1
            yield self.batches[self.position - 1]

    def state_dict(self):
        return {"position": self.position}

    def load_state_dict(self, state):
        self.position = state["position"]


class StopAt(Callback):
    def __init__(self, step):
        self.step = step

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if trainer.global_step == self.step:
            raise RuntimeError("killed")


def test_a_killed_and_resumed_run_writes_the_table_of_an_unbroken_one(tmp_path):
    def run(folder, *callbacks, ckpt_path=None):
        save = ModelCheckpoint(folder / "checkpoints", every_n_train_steps=4, save_top_k=-1)
        trainer = make_trainer(
            folder,
            [RouterStatistics(3, PROBE), save, *callbacks],
            enable_checkpointing=True,
            max_epochs=2,
            max_steps=8,
        )
        batches = ResumableLoader([make_batch(seed) for seed in range(5)])
        trainer.fit(TinyModule(learning_rate=0.1), batches, ckpt_path=ckpt_path)

    run(tmp_path / "unbroken")
    # Killed after the window of step 6 was logged; the checkpoint lies inside that window.
    with pytest.raises(RuntimeError, match="killed"):
        run(tmp_path / "killed", StopAt(7))
    assert list(read_table(tmp_path / "killed")) == [3, 6]
    [checkpoint] = (tmp_path / "killed" / "checkpoints").iterdir()
    run(tmp_path / "killed", ckpt_path=checkpoint)
    assert list(read_table(tmp_path / "unbroken")) == [3, 6, 8]
    assert read_table(tmp_path / "killed") == read_table(tmp_path / "unbroken")


def test_a_checkpoint_carries_the_window_and_the_base_choices(tmp_path):
    class Keep(Callback):
        def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
            if trainer.global_step == 3:
                kept.append(statistics.state_dict())

    kept = []
    statistics = RouterStatistics(2, PROBE)
    trainer = make_trainer(tmp_path, [statistics, Keep()])
    trainer.fit(TinyModule(learning_rate=0.1), loader(BATCHES))
    [state] = kept
    useful = int((~BATCHES[2].is_padding).sum())
    assert state["window"][:, -1].tolist() == [useful] * LAYERS

    # A model trained in full has lost its base: the choices come from the checkpoint.
    resumed = RouterStatistics(2, PROBE)
    resumed.load_state_dict(state)
    make_trainer(tmp_path, [resumed]).fit(TinyModule(tiny_model(seed=9)), loader(BATCHES[:1]))
    for name, chosen in statistics._base_choices.items():
        assert resumed._base_choices[name].equal(chosen)
    assert int(read_table(tmp_path)[1][0]["tokens"]) == useful + int((~BATCHES[0].is_padding).sum())


def test_scalars_heat_map_and_drift_reach_tensorboard(tmp_path):
    logger = TensorBoardLogger(tmp_path, name="")
    trainer = make_trainer(tmp_path, [RouterStatistics(2, PROBE)], logger=logger)
    trainer.fit(TinyModule(adapted_model()), loader(BATCHES))
    assert list(read_table(Path(logger.log_dir))) == [2, 4]

    events = EventAccumulator(logger.log_dir)
    events.Reload()
    names = ("entropy", "chosen_mass", "imbalance")
    expected = {f"train_router/{name}" for name in names}
    expected |= {
        f"train_router_layers/layer_0{layer}/{name}" for layer in range(2) for name in names
    }
    expected |= {"train_router_drift/anime", "train_router_drift/general"}
    found = set(events.Tags()["scalars"])
    assert expected <= found
    assert not any("dead_experts" in name for name in found), "a chart of zeros"
    assert [event.step for event in events.Scalars("train_router/entropy")] == [2, 4]
    assert [event.step for event in events.Images("train_router/heat_map")] == [2, 4]
    # The adapter starts with random weights, so the routers see other states than the base's.
    assert 0 < events.Scalars("train_router_drift/anime")[0].value <= 1


def test_dead_experts_have_a_chart_once_there_are_some(tmp_path):
    def always_the_first(module, args, output):
        logits, scores, indices = output
        return logits, scores, torch.arange(CHOSEN).expand_as(indices)

    model = tiny_model()
    model.model.layers[0].mlp.router.register_forward_hook(always_the_first)
    logger = TensorBoardLogger(tmp_path, name="")
    trainer = make_trainer(tmp_path, [RouterStatistics(1, {})], logger=logger)
    trainer.fit(TinyModule(model), loader(BATCHES[:2]))
    events = EventAccumulator(logger.log_dir)
    events.Reload()
    values = [event.value for event in events.Scalars("train_router_layers/layer_00/dead_experts")]
    assert values == [EXPERTS - CHOSEN] * 2
    assert "train_router_layers/layer_01/dead_experts" not in events.Tags()["scalars"]


def test_the_host_waits_for_the_device_once_in_a_period(tmp_path):
    waits = HostWaits()
    batches = [make_batch(seed) for seed in range(8)]
    trainer = make_trainer(tmp_path, [TellsTheStep(waits), RouterStatistics(4, PROBE)])
    module = TinyModule(adapted_model())
    with waits:
        trainer.fit(module, loader(batches))
    assert {step for step, names in waits.by_step.items() if names and step} == {4, 8}
    assert waits.by_step[4].count("cpu") == 1


def test_statistics_do_not_disturb_training(tmp_path):
    def weights(callbacks):
        torch.manual_seed(5)
        module = TinyModule(adapted_model(lora_dropout=0.5), learning_rate=0.1)
        make_trainer(tmp_path, callbacks).fit(module, loader(BATCHES))
        return module.state_dict()

    watched, alone = weights([RouterStatistics(1, PROBE)]), weights([])
    assert all(watched[name].equal(alone[name]) for name in alone)


def test_a_model_without_routers_is_left_alone(tmp_path):
    class Dense(TinyModule):
        def __init__(self):
            super().__init__(torch.nn.Embedding(64, 64))

        def training_step(self, batch, batch_idx):
            return self.model(batch.input_ids).mean()

    make_trainer(tmp_path, [RouterStatistics()]).fit(Dense(), loader(BATCHES[:1]))
    assert not (tmp_path / TABLE_NAME).exists()
