"""Flips bits, cuts and empties files: nothing that is damaged may be used in silence."""

import random
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

from benchmarks.faults.kills import judge
from benchmarks.faults.launch import run
from benchmarks.faults.scene import Scene, contents, last_checkpoint, weights
from benchmarks.faults.tally import Fault, Tally

Hurt = Callable[[Path], None]


def inject_damage(tally: Tally, scene: Scene) -> None:
    """Damages checkpoints, token caches, indexes of dumps and half-built corpora."""
    draw = random.Random(1)
    for name, hurt in _injuries(draw):
        label = f"a checkpoint {name} is resumed from"
        tally.inject(label, lambda fault: _checkpoint(fault, scene, hurt))  # noqa: B023
    for file in ("tokens.bin", "offsets.npy", "names.json"):
        for name, hurt in (("flipped", flip(draw)), ("emptied", empty), ("deleted", Path.unlink)):
            label = f"{file} of the token cache is {name}"
            tally.inject(label, lambda fault: _tokens(fault, scene, file, hurt))  # noqa: B023
    for pattern in ("pages-0000.tsv", "segment-0000.json"):
        for name, hurt in (("flipped", flip(draw)), ("halved", halve), ("emptied", empty)):
            label = f"{pattern} of a dump's index is {name}"
            tally.inject(label, lambda fault: _index(fault, scene, pattern, hurt))  # noqa: B023
    tally.inject("an article of a built corpus is cut", lambda fault: _article(fault, scene))


def _injuries(draw: random.Random) -> list[tuple[str, Hurt]]:
    flips = [(f"with a bit flipped ({number})", flip(draw)) for number in range(8)]
    return [
        *flips,
        ("with a bit of its weights flipped", _flip_weights),
        ("of half its length", halve),
        ("of length zero", empty),
        ("that is a pickle", lambda path: _replace_by(path, "pickle")),
        ("of weights only", lambda path: _replace_by(path, "weights")),
    ]


def flip(draw: random.Random) -> Hurt:
    """Flips one bit at a random place."""

    def hurt(path: Path) -> None:
        content = bytearray(path.read_bytes())
        content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
        path.write_bytes(content)

    return hurt


def halve(path: Path) -> None:
    """Cuts a file in the middle."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path: Path) -> None:
    """Leaves a file of no bytes."""
    path.write_bytes(b"")


def _flip_weights(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        largest = max(archive.infolist(), key=lambda entry: entry.file_size)
    content = bytearray(path.read_bytes())
    content[largest.header_offset + 200 + largest.file_size // 2] ^= 16
    path.write_bytes(content)


def _replace_by(path: Path, kind: str) -> None:
    import pickle

    import torch

    if kind == "pickle":
        path.write_bytes(pickle.dumps({"state_dict": {}}))
    else:
        state = torch.load(path, weights_only=True)["state_dict"]
        torch.save(state, path)


def _checkpoint(fault: Fault, scene: Scene, hurt: Hurt) -> None:
    place = scene.place("damaged")
    shutil.copytree(scene.fitted, place / "out")
    shutil.rmtree(place / "out" / "adapter")
    path = last_checkpoint(place / "out")
    assert path is not None
    hurt(path)
    resumed = [f"--ckpt_path={path}", "--trainer.max_epochs=2"]
    ended = run(scene.fit(place / "out", *resumed), place)
    fault.hung = ended.hung
    fault.expect(ended.is_one_message, f"status {ended.status}: {ended.err[-300:]!r}")
    fault.expect(not weights(place / "out"), "an adapter was written")


def _tokens(fault: Fault, scene: Scene, file: str, hurt: Hurt) -> None:
    place = scene.place("tokens")
    shutil.copytree(scene.tokenized, place / "out")
    [path] = (place / "out").rglob(file)
    hurt(path)
    ended = run(scene.tokenize(place / "out"), place)
    if judge(fault, ended):
        fault.expect("tokenized again" in ended.err, "nothing was said")
    fault.not_bit_exact = contents(place / "out") != contents(scene.tokenized)


def _index(fault: Fault, scene: Scene, pattern: str, hurt: Hurt) -> None:
    place = scene.place("index")
    judge(fault, run(scene.build(place / "out"), place))
    [path] = (place / "cache").rglob(pattern)
    hurt(path)
    shutil.rmtree(place / "out")
    judge(fault, run(scene.build(place / "out"), place))
    fault.not_bit_exact = contents(place / "out") != contents(scene.built)


def _article(fault: Fault, scene: Scene) -> None:
    place = scene.place("article")
    shutil.copytree(scene.built, place / "out")
    halve(next((place / "out" / "articles").iterdir()))
    judge(fault, run(scene.build(place / "out"), place))
    fault.not_bit_exact = contents(place / "out") != contents(scene.built)
