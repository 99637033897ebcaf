"""The tasks of lm-evaluation-harness by name, among them a user's own, which may run no code."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from animelm.errors import UserError
from animelm.reading import parse_yaml, read_utf8

if TYPE_CHECKING:
    from lm_eval.tasks import TaskManager


def find_tasks(names: Sequence[str], folder: Path | None) -> "TaskManager":
    """The manager that knows the tasks.

    Args:
        names: of the tasks.
        folder: of the user's own tasks; None without any.

    Raises:
        UserError: the harness is not installed, a task is unknown, or one of the folder is
            malformed or would run code.
    """
    require_harness()
    from lm_eval.tasks import TaskManager

    if folder is not None:
        require_templates_alone(folder)
        _sandbox_templates()
    manager = TaskManager(include_path=str(folder) if folder else None)
    unknown = [name for name in names if not manager.match_tasks([name])]
    if unknown:
        where = f" and not in {folder}" if folder else ""
        raise UserError(
            f"tasks: {unknown[0]!r} is no task of lm-evaluation-harness{where}; "
            "`lm-eval ls tasks` lists its tasks"
        )
    return manager


def require_harness() -> None:
    """Checks that lm-evaluation-harness is installed.

    Raises:
        UserError: it is not.
    """
    try:
        import lm_eval  # noqa: F401
    except ModuleNotFoundError as error:
        raise UserError(
            f"lm-evaluation-harness is not installed ({error.name} is missing); "
            "install it with `pip install 'animelm[lm-eval]'`"
        ) from error


def require_templates_alone(folder: Path) -> None:
    """Checks that the tasks of a folder hold nothing that would run as code.

    The harness calls Python functions that a task names with a YAML tag, loads metrics that it does
    not know from the Hugging Face hub as programs, and follows ``include`` to any file.

    Raises:
        UserError: there is no such folder, it holds no task, or a task is malformed or does that.
    """
    paths = sorted([*folder.rglob("*.yaml"), *folder.rglob("*.yml")]) if folder.is_dir() else []
    if not paths:
        raise UserError(f"{folder}: no task; expected a folder of YAML files of tasks")
    from lm_eval.api import metrics  # noqa: F401 (fills the registry)
    from lm_eval.api.registry import metric_registry

    checked = {path.resolve() for path in paths}
    for path in paths:
        # Safe loading knows no tag that calls a function, and says so.
        for key, value in _settings(parse_yaml(read_utf8(path), str(path))):
            # Any other file might have such tags.
            if key == "include" and (path.resolve().parent / str(value)).resolve() not in checked:
                raise UserError(f"{path}: include: {value} is no YAML file in {folder}")
            if key == "metric" and not (isinstance(value, str) and value in metric_registry):
                known = ", ".join(sorted(metric_registry.keys()))
                raise UserError(f"{path}: metric: {value!r} is unknown; expected one of {known}")
            if key == "task" and "/" in str(value):
                raise UserError(f"{path}: task: {value!r} is no name; expected one without a slash")
            if key in ("hf_evaluate", "unsafe_code") and value:
                raise UserError(f"{path}: {key} would run a program; leave it out")


def _settings(values: Any) -> Iterator[tuple[str, Any]]:
    """Every key of nested mappings with its value; of a list, each item."""
    if isinstance(values, list):
        for each in values:
            yield from _settings(each)
    elif isinstance(values, dict):
        for key, value in values.items():
            for each in value if isinstance(value, list) else [value]:
                yield str(key), each
            yield from _settings(value)


def _sandbox_templates() -> None:
    """Lets templates reach no more than the fields of an example."""
    from jinja2.sandbox import SandboxedEnvironment
    from lm_eval import utils

    sandbox = SandboxedEnvironment(
        loader=utils.env.loader,
        undefined=utils.env.undefined,
        keep_trailing_newline=utils.env.keep_trailing_newline,
    )
    sandbox.filters.update(utils.env.filters)
    utils.env = sandbox
