from pathlib import Path

import pytest

from animelm.errors import UserError
from animelm.evaluate.harness.tasks import find_tasks, require_harness

TASK = """\
task: own
dataset_path: json
test_split: test
output_type: multiple_choice
doc_to_text: "{{q}}"
doc_to_choice: "{{choices}}"
doc_to_target: "{{label}}"
"""


@pytest.fixture(autouse=True)
def installed() -> None:
    pytest.importorskip("lm_eval", reason="lm-eval is not installed (the extra lm-eval)")


def test_a_task_of_the_folder_and_those_of_the_harness_are_known(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text(TASK, encoding="utf-8")
    manager = find_tasks(["own"], tmp_path)
    assert manager.match_tasks(["own"]) == ["own"]
    with pytest.raises(UserError, match=r"tasks: 'owm' is no task of lm-evaluation-harness"):
        find_tasks(["owm"], tmp_path)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("process_docs: !function utils.read", r"own\.yaml:8: .*!function"),
        ("include: ../other.yaml", r"own\.yaml: include: \.\./other\.yaml is no YAML file in"),
        ("include: calls.txt", r"own\.yaml: include: calls\.txt is no YAML file in"),
        ("metric_list: [{metric: {a: 1}}]", "metric: {'a': 1} is unknown"),
        ("metric_list: [{metric: someone/metric}]", "metric: 'someone/metric' is unknown"),
        ("metric_list: [{metric: acc, hf_evaluate: true}]", "hf_evaluate would run a program"),
        ("unsafe_code: true", "unsafe_code would run a program"),
    ],
)
def test_a_task_that_would_run_code_is_refused(tmp_path: Path, line: str, message: str) -> None:
    (tmp_path / "calls.txt").write_text("process_docs: !function utils.read\n", encoding="utf-8")
    (tmp_path / "own.yaml").write_text(f"{TASK}{line}\n", encoding="utf-8")
    with pytest.raises(UserError, match=message):
        find_tasks(["own"], tmp_path)


def test_a_task_may_include_another_file_of_its_folder(tmp_path: Path) -> None:
    (tmp_path / "common.yaml").write_text(TASK.replace("task: own\n", ""), encoding="utf-8")
    (tmp_path / "own.yaml").write_text("task: own\ninclude: common.yaml\n", encoding="utf-8")
    assert find_tasks(["own"], tmp_path).match_tasks(["own"]) == ["own"]


def test_a_task_whose_name_is_a_path_is_refused(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text(TASK.replace("own", "../own"), encoding="utf-8")
    with pytest.raises(UserError, match=r"task: '\.\./own' is no name"):
        find_tasks(["own"], tmp_path)


def test_a_template_reaches_no_more_than_its_example(tmp_path: Path) -> None:
    from jinja2.exceptions import SecurityError
    from lm_eval.utils import apply_template

    (tmp_path / "own.yaml").write_text(TASK, encoding="utf-8")
    find_tasks(["own"], tmp_path)
    assert apply_template("{{q}}", {"q": "{{ 1 + 1 }}"}) == "{{ 1 + 1 }}"
    with pytest.raises(SecurityError):
        apply_template("{{ ''.__class__.__mro__[1].__subclasses__() }}", {})


def test_a_folder_without_a_task_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="expected a folder of YAML files of tasks"):
        find_tasks(["own"], tmp_path)


def test_a_harness_that_is_missing_is_named_with_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "lm_eval", None)
    with pytest.raises(UserError, match=r"pip install 'animelm\[lm-eval\]'"):
        require_harness()
