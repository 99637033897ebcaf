"""Writes docs/config-keys.md and its Japanese twin: ``python -m animelm.cli.reference``."""

from pathlib import Path

from animelm.cli.quiet import quiet_libraries
from animelm.cli.reference.page import PAGES, config_keys
from animelm.files import write_whole

if __name__ == "__main__":
    with quiet_libraries():
        for language, name in PAGES.items():
            write_whole(Path("docs") / name, config_keys(language))
