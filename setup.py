"""Puts configs/ and the embedded base into the wheel; pyproject.toml has everything else."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

_ROOT = Path(__file__).parent
# They lie at the top of the clone, where people look for them, and inside the installed package.
_SHIPPED = ("configs", "checkpoints/nano-gpt-oss-ja")


class BuildWithShippedFiles(build_py):
    """Copies the folders beside the package into it, except in an editable installation."""

    def run(self) -> None:
        super().run()
        if self.editable_mode:
            return
        for name in _SHIPPED:
            target = Path(self.build_lib) / "animelm" / name
            shutil.rmtree(target, ignore_errors=True)
            shutil.copytree(_ROOT / name, target)


setup(cmdclass={"build_py": BuildWithShippedFiles})
