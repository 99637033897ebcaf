"""Hands over files that would run code if they were trusted."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

from benchmarks.faults.launch import Ended, run
from benchmarks.faults.scene import Scene, last_checkpoint
from benchmarks.faults.tally import Fault, Tally

_PAYLOAD = """\
from pathlib import Path
Path({mark!r}).touch()
class X:
    def __init__(self, *arguments, **settings):
        Path({mark!r}).touch()
"""


class Mark:
    """A pickle that makes a file when it is loaded."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return open, (self.path, "w")


def inject_code(tally: Tally, scene: Scene) -> None:
    """Checkpoints, adapters, bases and configs that name or hold code."""
    for name, door in DOORS.items():
        tally.inject(name, lambda fault: _through(fault, scene, door))  # noqa: B023


def _through(fault: Fault, scene: Scene, door: Callable[[Scene, Path, str], Ended]) -> None:
    place = scene.place("door")
    mark = place / "code-ran"
    for package in ("payload", "megatron/payload"):
        path = place / f"{package}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(_PAYLOAD.format(mark=str(mark)))
    ended = door(scene, place, str(mark))
    fault.hung = ended.hung
    fault.code_ran = mark.exists()
    # What is ignored need not be refused.
    is_ignored = door is _in_fit and ended.status == 0 and not ended.has_traceback
    fault.expect(ended.is_one_message or is_ignored, f"status {ended.status}: {ended.err[-300:]!r}")


def _checkpoint(scene: Scene, place: Path, mark: str, command: str) -> Ended:
    shutil.copytree(scene.fitted, place / "out")
    path = last_checkpoint(place / "out")

    def write() -> None:
        import torch

        content = torch.load(path, weights_only=True)
        settings = {"optimizer": {"class_path": "payload.X"}, "lora": {"class_path": "payload.X"}}
        content["hyper_parameters"] = settings
        torch.save(content, path)

    run(write, place)
    arguments = scene.fit(place / "out", f"--ckpt_path={path}")
    return run([command, *arguments[1:]], place)


def _pickled_checkpoint(scene: Scene, place: Path, mark: str) -> Ended:
    import pickle

    path = place / "evil.ckpt"
    path.write_bytes(pickle.dumps({"state_dict": Mark(mark)}))
    return run(scene.fit(place / "out", f"--ckpt_path={path}"), place)


def _zipped_checkpoint(scene: Scene, place: Path, mark: str) -> Ended:
    path = place / "evil.ckpt"

    def write() -> None:
        import torch

        torch.save({"state_dict": Mark(mark)}, path)

    run(write, place)
    return run(scene.fit(place / "out", f"--ckpt_path={path}"), place)


def _adapter(scene: Scene, place: Path, mark: str, **values: object) -> Ended:
    adapter = place / "megatron" / "adapter"
    shutil.copytree(scene.fitted / "adapter", adapter)
    path = adapter / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))
    options = scene.fit(place / "out", f"--model.adapter.init_from={adapter}")
    return run(options, place)


def _pickled_adapter(scene: Scene, place: Path, mark: str) -> Ended:
    import pickle

    adapter = place / "adapter"
    shutil.copytree(scene.fitted / "adapter", adapter)
    (adapter / "adapter_model.safetensors").unlink()
    (adapter / "adapter_model.bin").write_bytes(pickle.dumps(Mark(mark)))
    return run(scene.fit(place / "out", f"--model.adapter.init_from={adapter}"), place)


def _base(scene: Scene, place: Path, mark: str, **values: object) -> Ended:
    base = place / "base"
    shutil.copytree(scene.base, base)
    path = base / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))
    (base / "payload.py").write_text(_PAYLOAD.format(mark=mark))
    return run(scene.fit(place / "out", f"--model.base={base}"), place)


def _config(scene: Scene, place: Path, mark: str, text: str) -> Ended:
    (place / "own.yaml").write_text(text)
    options = scene.fit(place / "out", "--config=own.yaml")
    return run(options, place)


def _in_fit(scene: Scene, place: Path, mark: str) -> Ended:
    return _checkpoint(scene, place, mark, "fit")


DOORS: dict[str, Callable[[Scene, Path, str], Ended]] = {
    "a checkpoint whose settings name a class, in fit": _in_fit,
    "a checkpoint whose settings name a class, in validate": lambda *a: _checkpoint(*a, "validate"),
    "a checkpoint that is a pickle": _pickled_checkpoint,
    "a checkpoint with a pickle inside": _zipped_checkpoint,
    "an adapter whose settings name a module": lambda *a: _adapter(
        # PEFT imports it for a layer that is not quantized.
        *a,
        target_modules=["q_proj", "lm_head"],
        megatron_config={"a": 1},
        megatron_core="megatron.payload",
    ),
    "an adapter with layer_replication": lambda *a: _adapter(*a, layer_replication=[[0, 99999]]),
    "an adapter whose targets are a regular expression": lambda *a: _adapter(
        *a, target_modules="(a+)+$"
    ),
    "an adapter that is a pickle": _pickled_adapter,
    "a base that names a kernel of the hub": lambda *a: _base(
        *a, attn_implementation="someone/kernel"
    ),
    "a config whose callback is a class of another package": lambda *a: _config(
        *a, "trainer:\n  callbacks:\n  - class_path: payload.X\n"
    ),
    "a config whose data are a class of another package": lambda *a: _config(
        *a, "data:\n  class_path: payload.X\n"
    ),
    "a config with a tag of Python": lambda *a: _config(
        *a, f"trainer: !!python/object/apply:open [{a[2]}, w]\n"
    ),
}
