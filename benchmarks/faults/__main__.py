"""Injects faults for real, and counts what is not as docs/faults.md promises.

The last line is JSON: {"faults", "failed", "lost", "hung", "not_bit_exact", "code_ran"}.
"""

import argparse
import os
import shutil
import sys
import tempfile
from pathlib import Path

os.environ |= {"HF_HUB_OFFLINE": "1", "MPLBACKEND": "Agg", "TOKENIZERS_PARALLELISM": "false"}

from benchmarks.faults import changes, damage, disk, doors, kills, processes, together
from benchmarks.faults.launch import preload
from benchmarks.faults.scene import Scene
from benchmarks.faults.tally import Tally

_GROUPS = {
    "kills": None,
    "damage": damage.inject_damage,
    "changes": changes.inject_changes,
    "together": together.inject_together,
    "disk": disk.inject_full_disks,
    "doors": doors.inject_code,
    "processes": processes.inject_signals,
}


def main() -> int:
    """Returns 1 if anything was not as promised."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.faults", description=__doc__)
    parser.add_argument("--kills", type=int, default=100, help="kills by SIGKILL (default 100)")
    parser.add_argument("--only", nargs="*", choices=_GROUPS, default=list(_GROUPS))
    parser.add_argument(
        "--commands", nargs="*", choices=kills.COMMANDS, default=kills.COMMANDS, help="to kill"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of the instants")
    parser.add_argument("--keep", action="store_true", help="keep what was written")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="faults-"))
    print(f"importing; working in {folder}", file=sys.stderr, flush=True)
    preload()
    scene, tally = Scene(folder), Tally()
    for name in options.only:
        inject = _GROUPS[name]
        if inject is None:
            kills.inject_kills(tally, scene, options.kills, options.seed, options.commands)
        else:
            inject(tally, scene)
    if not options.keep:
        shutil.rmtree(folder, ignore_errors=True)
    print(tally.summary())
    return 0 if all(fault.is_good for fault in tally.faults) else 1


if __name__ == "__main__":
    sys.exit(main())
