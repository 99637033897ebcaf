"""The completion script, in the shell for which it is made."""

import shutil
import subprocess
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def script(call, tmp_path_factory) -> Path:
    called = call("completion", "bash")
    assert called.status == 0, called.err
    path = tmp_path_factory.mktemp("completion") / "animelm.bash"
    path.write_text(called.out, encoding="utf-8")
    return path


@pytest.mark.skipif(not shutil.which("bash"), reason="there is no bash")
@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("fi", {"fit"}),
        ("fit --model.lora.r", {"--model.lora.rank"}),
        ("fit --model.quantization nf4-", {"nf4-double"}),
        ("corpus b", {"build"}),
        ("corpus build --categ", {"--category"}),
        ("compare --sft_", {"--sft_adapter", "--sft_only_adapter"}),
    ],
)
def test_bash_completes_commands_options_and_values(
    script: Path, typed: str, offered: set[str]
) -> None:
    words = ["animelm", *typed.split(" ")]
    quoted = " ".join(f"'{word}'" for word in words)
    program = (
        f"source {script}; COMP_WORDS=({quoted}); COMP_CWORD={len(words) - 1}; "
        "$(complete -p animelm | sed 's/.*-F \\([^ ]*\\).*/\\1/'); "
        "printf '%s\\n' \"${COMPREPLY[@]}\""
    )
    ran = subprocess.run(["bash", "-c", program], capture_output=True, text=True, check=True)
    assert set(ran.stdout.split()) == offered


def test_a_shell_that_is_not_known_is_refused(call) -> None:
    called = call("completion", "dos")
    assert called.status == 2
    assert "bash" in called.err
