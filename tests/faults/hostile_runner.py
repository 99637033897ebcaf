"""Gives each hostile file to its command, in a fork of this process; prints a line of JSON each."""

import json
import os
import shutil
import sys
from dataclasses import asdict
from pathlib import Path

os.environ |= {"HF_HUB_OFFLINE": "1", "MPLBACKEND": "Agg", "TOKENIZERS_PARALLELISM": "false"}
sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[2])]

from hostile_commands import COMMANDS  # noqa: E402
from hostile_files import CASES, Place  # noqa: E402

from benchmarks.faults.launch import preload, run  # noqa: E402

LIMIT = 20.0


def main(folder: Path, names: list[str]) -> None:
    """Runs the cases of these names; all without any."""
    preload()
    base = folder / "base"
    base.mkdir()

    def write() -> None:
        from tiny_base import write_tiny_base

        write_tiny_base(base)

    assert run(write, folder).status == 0
    cases = CASES | COMMANDS
    for number, name in enumerate(names or cases):
        place = Place(folder / f"case-{number}", base, folder / f"mark-{number}")
        place.folder.mkdir()
        place.write("payload.py", f"from pathlib import Path\nPath({str(place.mark)!r}).touch()\n")
        command = cases[name](place)
        ended = run(command, place.folder, LIMIT)
        line = {"name": name, "code_ran": place.mark.exists(), **asdict(ended)}
        print(json.dumps(line), flush=True)
        shutil.rmtree(place.folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
