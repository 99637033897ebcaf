"""Rules that every shipped file obeys."""

import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections import Counter
from functools import cache
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

import animelm

ROOT = Path(__file__).resolve().parent.parent
MEGABYTE = 1_000_000
MOST_FILES = 14

# Put together from parts, so that this file obeys the rules that it checks.
MACHINE_PATH = re.compile(
    r"(?<![\w.\-/:}\])])/(?:"
    + "|".join(["home", "root", "Users", "work", "farm", "tmp", "opt", "mnt"])
    + r")/\w"
    r"|\b[A-Z]:\\\\?(?:Users|Documents)\b"
)
REGISTRY_HOSTS = [
    ".".join(parts)
    for parts in [
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("registry", "npmjs", "org"),
        ("download", "pytorch", "org"),
        ("anaconda", "org"),
        ("repo", "anaconda", "com"),
        ("index", "crates", "io"),
        ("proxy", "golang", "org"),
    ]
]
# Distributions whose import name differs from their own.
IMPORT_NAMES = {
    "backports-zstd": "backports",
    "lm-eval": "lm_eval",
    "pyahocorasick": "ahocorasick",
    "python-frontmatter": "frontmatter",
    "pyyaml": "yaml",
}


@cache
def shipped_files() -> list[Path]:
    """What a commit of the working tree would hold: tracked files, and new ones not ignored."""
    if not (ROOT / ".git").exists() or shutil.which("git") is None:
        pytest.skip("this is no git clone, so nothing says which files are shipped")
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listing, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return [
        ROOT / name for name in sorted(set(names.split("\0"))) if name and (ROOT / name).is_file()
    ]


def shipped_texts() -> dict[str, str]:
    """Text of each shipped file by its name; weights and pictures are left out."""
    texts = {}
    for path in shipped_files():
        content = path.read_bytes()
        if b"\0" not in content[:8192]:
            texts[path.relative_to(ROOT).as_posix()] = content.decode("utf-8")
    return texts


@cache
def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def declared() -> list[Requirement]:
    optional = project()["optional-dependencies"].values()
    return [Requirement(name) for names in (project()["dependencies"], *optional) for name in names]


def headings(name: str) -> list[int]:
    """Levels of the headings of a Markdown file in order, code blocks left out."""
    prose = re.sub(r"^```.*?^```", "", (ROOT / name).read_text(encoding="utf-8"), flags=re.M | re.S)
    return [len(marks) for marks in re.findall(r"^(#+) ", prose, flags=re.M)]


def test_no_shipped_file_names_a_path_of_one_machine():
    found = {
        name: match[0]
        for name, text in shipped_texts().items()
        if (match := MACHINE_PATH.search(text))
    }
    assert not found


def test_no_shipped_file_names_a_package_registry():
    found = [
        (name, host)
        for name, text in shipped_texts().items()
        for host in REGISTRY_HOSTS
        if host in text
    ]
    assert not found


def test_shipped_files_stay_under_60_megabytes():
    sizes = {path.relative_to(ROOT).as_posix(): path.stat().st_size for path in shipped_files()}
    largest = sorted(sizes.items(), key=lambda item: -item[1])[:5]
    assert sum(sizes.values()) < 60 * MEGABYTE, largest


@pytest.mark.parametrize(
    "text", ["see /" + "home/someone/x", "open('/" + "work/a.txt')", "C:\\" + "Users\\me"]
)
def test_the_search_for_machine_paths_finds_one(text):
    assert MACHINE_PATH.search(text)


@pytest.mark.parametrize(
    "text", ["https://example.com/home/a", "{fact}/work/b", "../work/c", "runs/tmp/d"]
)
def test_the_search_for_machine_paths_leaves_other_paths_alone(text):
    assert not MACHINE_PATH.search(text)


def test_the_japanese_readme_has_the_same_headings_as_the_english_one():
    assert headings("README.ja.md") == headings("README.md")
    assert len(headings("README.md")) > 5


def test_both_readmes_show_the_same_commands():
    english, japanese = (
        (ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "README.ja.md")
    )
    command = re.compile(r"^(make \w+|python -m animelm.*|tensorboard .*)$", flags=re.M)

    def commands(text: str) -> list[str]:
        return command.findall(re.sub(r" +#.*$", "", text, flags=re.M))

    assert commands(japanese) == commands(english)
    assert {"make demo", "make test"} <= set(commands(english))


def test_continuous_integration_runs_what_the_readme_and_the_guide_tell_people_to_run():
    script = ROOT / ".ci" / "run"
    steps = [line for line in script.read_text().splitlines() if line.startswith("make ")]
    assert steps == ["make check", "make test"]
    assert "set -euo pipefail" in script.read_text()
    assert os.access(script, os.X_OK)
    assert "\nmake test " in (ROOT / "README.md").read_text(encoding="utf-8")


def test_links_between_documents_lead_somewhere():
    broken = []
    for name, text in shipped_texts().items():
        if name.endswith(".md"):
            for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text):
                if "://" not in target and not ((ROOT / name).parent / target).exists():
                    broken.append((name, target))
    assert not broken


def rooms_drawn() -> set[str]:
    """Folders and top-level modules of the package that docs/architecture.md draws."""
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    match = re.search(r"<!-- rooms:start -->\n```\nanimelm/\n(.*?)```", page, flags=re.S)
    assert match is not None
    drawn, above = set(), []
    for line in match[1].splitlines():
        depth = (len(line) - len(line.lstrip())) // 2
        above = [*above[: depth - 1], line.split()[0].rstrip("/")]
        drawn.add("/".join(above))
    return drawn


def test_the_architecture_draws_every_room_and_no_other():
    package = ROOT / "animelm"
    files = [path.relative_to(package) for path in package.rglob("*.py")]
    folders = {path.parent.as_posix() for path in files} - {"."}
    modules = {path.name for path in files if path.parent == Path()}
    assert rooms_drawn() == folders | modules - {"__init__.py", "__main__.py"}


def test_no_folder_of_the_package_is_crowded():
    counts = Counter(path.parent for path in (ROOT / "animelm").rglob("*.py"))
    crowded = {folder.name: count for folder, count in counts.items() if count > MOST_FILES}
    assert not crowded


def test_every_dependency_has_a_line_that_says_what_it_does_for_us():
    page = (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8")
    explained = {
        canonicalize_name(name)
        for name in re.findall(r"^\| ([\w.-]+) \| [^|]+ \| [^|]+ \|$", page, flags=re.M)
    }
    explained.discard("package")
    assert explained == {canonicalize_name(requirement.name) for requirement in declared()}


def test_constraints_pin_torch_first_and_every_dependency_within_its_declared_range():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    assert lines[0] == "torch==2.13.0"
    pins = dict(line.split("==") for line in lines if not line.startswith("#"))
    pins = {canonicalize_name(name): version for name, version in pins.items()}
    for requirement in declared():
        assert requirement.specifier.contains(pins[canonicalize_name(requirement.name)]), (
            requirement
        )


def imported_packages() -> set[str]:
    """Top-level names of what the package imports, its own and Python's left out."""
    imported = set()
    for path in (ROOT / "animelm").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                imported.add(node.module.split(".")[0])
    return imported - {"animelm"} - sys.stdlib_module_names


def test_the_declared_packages_are_those_that_are_imported():
    declared_names = [Requirement(name).name for name in project()["dependencies"]]
    importable = {IMPORT_NAMES.get(name, name) for name in declared_names}
    extras = project()["optional-dependencies"]
    names = [Requirement(name).name for name in (*extras["triton"], *extras["lm-eval"])]
    optional = {IMPORT_NAMES.get(name, name) for name in names}
    assert importable == imported_packages() - optional


def test_the_version_is_the_newest_in_the_changelog_and_the_one_to_cite():
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.findall(r"^## \[(\d+\.\d+\.\d+)\]", changelog, flags=re.M)[0] == animelm.__version__
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == animelm.__version__


def test_every_python_version_that_is_supported_is_checked():
    text = (ROOT / ".github" / "workflows" / "check.yml").read_text(encoding="utf-8")
    job = yaml.safe_load(text)["jobs"]["check"]
    versions = SpecifierSet(project()["requires-python"])
    supported = {f"3.{minor}" for minor in range(30) if f"3.{minor}" in versions}
    assert set(job["strategy"]["matrix"]["python"]) == supported
    assert any(step.get("run") == ".ci/run" for step in job["steps"])


def test_pre_commit_runs_the_release_of_ruff_that_the_check_runs():
    text = (ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8")
    [repository] = yaml.safe_load(text)["repos"]
    pins = (ROOT / "constraints.txt").read_text().splitlines()
    assert f"ruff=={repository['rev'].removeprefix('v')}" in pins


def test_the_licence_named_is_the_licence_shipped():
    assert project()["license"] == "Apache-2.0"
    assert "Apache License" in (ROOT / "LICENSE").read_text()[:200]


def test_the_version_has_three_numbers():
    assert re.fullmatch(r"\d+\.\d+\.\d+", animelm.__version__)


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_make_alone_lists_every_target():
    makefile = (ROOT / "Makefile").read_text()
    targets = re.search(r"^\.PHONY: (.*)$", makefile, flags=re.M)
    assert targets is not None
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    listing = subprocess.run(
        ["make"], cwd=ROOT, check=True, capture_output=True, text=True, env=environment
    ).stdout
    assert [line.split()[0] for line in listing.splitlines() if line.startswith("  ")] == targets[
        1
    ].split()
