from pathlib import Path

import pytest

from animelm.cli.configs import find_configs
from animelm.errors import UserError


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(path: Path) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text("model: {lora: {rank: 4}}\n", encoding="utf-8")
    return path


@pytest.mark.parametrize("arguments", [["--config", "cpt.yaml"], ["--config=cpt.yaml"]])
def test_a_name_that_is_no_file_here_is_looked_up_in_the_projects_configs(
    arguments: list[str], project_root: Path
) -> None:
    found = "=".join(find_configs(arguments))
    assert found == f"--config={project_root / 'configs' / 'cpt.yaml'}"


def test_a_folder_configs_here_comes_before_the_projects(here: Path) -> None:
    write(here / "configs" / "cpt.yaml")
    assert find_configs(["-c", "cpt.yaml"]) == ["-c", str(Path("configs", "cpt.yaml"))]


def test_a_file_here_comes_first(here: Path) -> None:
    write(here / "configs" / "cpt.yaml")
    write(here / "cpt.yaml")
    assert find_configs(["--config=cpt.yaml"]) == ["--config=cpt.yaml"]


def test_other_options_and_values_stay_as_they_are(here: Path) -> None:
    path = write(here / "mine.yaml")
    arguments = ["--config", str(path), "--model.base", "cpt.yaml", "--data.folder=cpt.yaml"]
    assert find_configs(arguments) == arguments


def test_a_config_that_is_nowhere_is_an_error_with_the_names_there_are() -> None:
    names = r"cpt\.yml: no such file.* cpt\.yaml, gpt-oss-20b/compare\.yaml"
    with pytest.raises(UserError, match=names):
        find_configs(["--config", "cpt.yml"])


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"model:\n  base: [x\n", r":3: not valid YAML"),
        (b"model: \x93\xfa\n", "not UTF-8: byte 0x93 at offset 7"),
        (b"- a list\n", "expected settings as `key: value` lines"),
        (b"", "expected settings as `key: value` lines"),
        (b"!!python/object/apply:os.getcwd []\n", "not valid YAML"),
    ],
)
def test_a_config_that_cannot_be_read_is_named(here: Path, content: bytes, told: str) -> None:
    (here / "bad.yaml").write_bytes(content)
    with pytest.raises(UserError, match=rf"^bad\.yaml.*{told}"):
        find_configs(["--config", "bad.yaml"])


def test_a_config_is_layered_on_those_that_it_includes(here: Path) -> None:
    for name, include in (("a", "b.yaml"), ("b", "[c.yaml, d.yaml]"), ("c", "null"), ("d", "[]")):
        (here / f"{name}.yaml").write_text(f"include: {include}\n", encoding="utf-8")
    layers = ["c.yaml", "d.yaml", "b.yaml", "a.yaml"]
    assert find_configs(["--config=a.yaml"]) == [f"--config={name}" for name in layers]
    expected = [part for name in layers for part in ("--config", name)]
    assert find_configs(["--config", "a.yaml"]) == expected


def test_a_config_that_includes_itself_is_refused(here: Path) -> None:
    (here / "a.yaml").write_text("include: b.yaml\n", encoding="utf-8")
    (here / "b.yaml").write_text("include: a.yaml\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"a\.yaml: includes itself, by way of a\.yaml, b\.yaml"):
        find_configs(["--config=a.yaml"])


@pytest.mark.parametrize("include", ["3", "{a: b}", "[1]"])
def test_an_include_that_is_no_name_is_refused(here: Path, include: str) -> None:
    (here / "a.yaml").write_text(f"include: {include}\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"a\.yaml: include is .*; expected a config's name"):
        find_configs(["--config=a.yaml"])


@pytest.mark.parametrize(("width", "depth"), [(2, 30), (30, 3), (1, 500)])
def test_includes_without_end_are_refused(here: Path, width: int, depth: int) -> None:
    for number in range(depth):
        includes = ", ".join([f"c{number + 1}.yaml"] * width)
        (here / f"c{number}.yaml").write_text(f"include: [{includes}]\n", encoding="utf-8")
    (here / f"c{depth}.yaml").write_text("model: {}\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"c\d+\.yaml: (is included by|includes more than 64)"):
        find_configs(["--config=c0.yaml"])
