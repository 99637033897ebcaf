"""Changes data or settings between a stop and its resumption, and trains on what is not finite."""

import shutil
from collections.abc import Callable
from pathlib import Path

from benchmarks.faults.kills import judge
from benchmarks.faults.launch import run
from benchmarks.faults.scene import Scene, last_checkpoint, weights
from benchmarks.faults.tally import Fault, Tally

# Each of these decides the bits of what is trained.
SETTINGS = (
    "--model.lora.alpha=3",
    "--model.lora.dropout=0.3",
    "--model.quantization=none",
    "--model.optimizer.learning_rate=0.01",
    "--data.seed=5",
    "--data.block_size=64",
    "--trainer.accumulate_grad_batches=2",
    "--trainer.gradient_clip_val=0.1",
    "--trainer.limit_train_batches=7",
)


def inject_changes(tally: Tally, scene: Scene) -> None:
    """Changes articles and settings; then learning rates and adapters that are not finite."""
    for name, change in (
        ("has one character edited", _edit),
        ("has a file more", lambda folder: (folder / "z.md").write_text("# 新\n\n本文。", "utf-8")),
        ("has a file renamed", lambda folder: _first(folder).rename(folder / "zz.md")),
        ("has two files swapped", _swap),
    ):
        label = f"the folder of articles {name} before a fit goes on"
        tally.inject(label, lambda fault: _changed_data(fault, scene, change))  # noqa: B023
    for option in SETTINGS:
        label = f"a fit goes on with {option}"
        tally.inject(label, lambda fault: _changed_setting(fault, scene, option))  # noqa: B023
    for rate in ("1e6", "1e38"):
        label = f"a learning rate of {rate}"
        tally.inject(label, lambda fault: _learning_rate(fault, scene, rate))  # noqa: B023
    tally.inject("an initial adapter that is not a number", lambda fault: _nan(fault, scene))
    for earlier in (False, True):
        label = f"a finished fit goes on {'beside another' if earlier else 'without its'} adapter"
        tally.inject(label, lambda fault: _finished(fault, scene, earlier))  # noqa: B023


def _stopped(scene: Scene, articles: Path | None = None) -> tuple[Path, list[str]]:
    """A fit without its adapter, and options to go on from a checkpoint before its end."""
    place = scene.place("changed")
    options = [f"--data.folder={articles}"] if articles else []
    ended = run(scene.fit(place / "out", *options), place)
    if ended.status:
        raise RuntimeError(ended.err[-500:])
    found = (place / "out").glob("version_*/checkpoints/*.ckpt")
    path = min(found, key=lambda checkpoint: checkpoint.stat().st_mtime_ns)
    shutil.rmtree(place / "out" / "adapter")
    return place / "out", [*options, f"--ckpt_path={path}"]


def _refused(fault: Fault, scene: Scene, out: Path, options: list[str], told: str) -> None:
    ended = run(scene.fit(out, *options), out.parent)
    fault.hung = ended.hung
    fault.expect(ended.is_one_message, f"status {ended.status}: {ended.err[-300:]!r}")
    fault.expect(told in ended.err, f"{told} is not named: {ended.err[-300:]!r}")
    fault.expect(not weights(out), "an adapter was written")


def _changed_data(fault: Fault, scene: Scene, change: Callable[[Path], object]) -> None:
    articles = scene.place("own") / "articles"
    shutil.copytree(scene.sample / "anime" / "articles", articles)
    out, options = _stopped(scene, articles)
    change(articles)
    _refused(fault, scene, out, options, "articles")


def _changed_setting(fault: Fault, scene: Scene, option: str) -> None:
    out, options = _stopped(scene)
    name = option.partition("=")[0].rpartition(".")[2]
    _refused(fault, scene, out, [*options, option], name)


def _first(folder: Path) -> Path:
    return min(folder.glob("*.md"))


def _edit(folder: Path) -> None:
    path = _first(folder)
    path.write_text(path.read_text("utf-8").replace("。", "、", 1), "utf-8")


def _swap(folder: Path) -> None:
    one, two = sorted(folder.glob("*.md"))[:2]
    first, second = one.read_bytes(), two.read_bytes()
    one.write_bytes(second)
    two.write_bytes(first)


def _learning_rate(fault: Fault, scene: Scene, rate: str) -> None:
    place = scene.place("rate")
    ended = run(scene.fit(place / "out", f"--model.optimizer.learning_rate={rate}"), place)
    fault.hung = ended.hung
    finite = _is_finite(place / "out")
    if ended.status:
        fault.expect(ended.is_one_message, f"status {ended.status}: {ended.err[-300:]!r}")
    fault.expect(finite, f"status {ended.status}, and the adapter is not finite")


def _nan(fault: Fault, scene: Scene) -> None:
    import torch
    from safetensors.torch import load_file, save_file

    place = scene.place("nan")
    shutil.copytree(scene.fitted / "adapter", place / "adapter")
    path = place / "adapter" / "adapter_model.safetensors"

    def write() -> None:
        tensors = {name: torch.full_like(t, torch.nan) for name, t in load_file(path).items()}
        save_file(tensors, path)

    run(write, place)
    ended = run(scene.fit(place / "out", f"--model.adapter.init_from={place / 'adapter'}"), place)
    fault.hung = ended.hung
    fault.expect(ended.is_one_message, f"status {ended.status}: {ended.err[-300:]!r}")
    fault.expect(not weights(place / "out"), "an adapter was written")


def _is_finite(out: Path) -> bool:
    """Whether the adapter is finite, or there is none."""
    import numpy as np
    from safetensors.numpy import load_file

    path = out / "adapter" / "adapter_model.safetensors"
    return not path.is_file() or all(np.isfinite(t).all() for t in load_file(path).values())


def _finished(fault: Fault, scene: Scene, earlier: bool) -> None:
    place = scene.place("finished")
    shutil.copytree(scene.fitted, place / "out")
    path = place / "out" / "adapter" / "adapter_model.safetensors"
    if earlier:
        path.write_bytes(path.read_bytes()[::-1])
    else:
        shutil.rmtree(place / "out" / "adapter")
    resume = f"--ckpt_path={last_checkpoint(place / 'out')}"
    judge(fault, run(scene.fit(place / "out", resume), place))
    fault.lost = not weights(place / "out")
    fault.not_bit_exact = weights(place / "out") != weights(scene.fitted)
