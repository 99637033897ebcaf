import ast
import errno
import io
import json
import logging
import sys
import warnings

import pytest
from rich.table import Table

from animelm.terminal import (
    Terminal,
    plain_messages,
    printable,
    say,
    say_json,
    show_every_character,
)

HOSTILE = "a\x1b]0;owned\x07b\x9b31mc\rd\u202ee\ud800f\x00"


def is_plain(text: str) -> bool:
    return not any(sign in text for sign in "\x1b\x07\x9b\r\u202e\ud800\x00")


def test_japanese_text_is_shown_as_it_is():
    text = "「鋼の錬金術師」\u3000第1話\t👨‍👩‍👧\n①ｱ"
    assert printable(text) == text


def test_control_sequences_are_shown_as_replacement_characters():
    assert printable(HOSTILE) == "a\ufffd]0;owned\ufffdb\ufffd31mc\ufffdd\ufffde\ufffdf\ufffd"


def test_a_printed_line_cannot_control_the_terminal(capsys):
    say(HOSTILE)
    assert is_plain(capsys.readouterr().out)


def test_a_stream_that_cannot_show_a_character_gets_a_question_mark():
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    say("題 b", stream)
    assert stream.buffer.getvalue() == b"? b\n"


def test_json_keeps_its_values_and_cannot_control_the_terminal(capsys):
    say_json({"題": HOSTILE})
    text = capsys.readouterr().out
    assert is_plain(text) and "題" in text
    assert json.loads(text) == {"題": HOSTILE}


@pytest.mark.parametrize("is_terminal", [False, True])
def test_texts_in_tables_cannot_control_the_terminal_but_styles_can(is_terminal):
    terminal = Terminal(file=io.StringIO(), force_terminal=is_terminal, width=200)
    table = Table(HOSTILE, title=HOSTILE)
    table.add_row(HOSTILE)
    terminal.print(table)
    terminal.print(f"[bold]{HOSTILE}[/bold]")
    text = terminal.file.getvalue()
    styles = text.count("\x1b[1m") + text.count("\x1b[0m") + text.count("\x1b[3m")
    assert "\x1b]" not in text and "\x9b" not in text and "\x07" not in text
    assert bool(styles) is is_terminal


def test_log_records_and_warnings_are_plain_for_as_long_as_the_context_lasts(caplog):
    logger = logging.getLogger("test.terminal")
    with plain_messages(), warnings.catch_warnings(record=True):
        logger.warning("%s and %d", HOSTILE, 3)
        shown = warnings.formatwarning(HOSTILE, UserWarning, "f.py", 1)
    assert is_plain(caplog.records[0].getMessage()) and "and 3" in caplog.records[0].getMessage()
    assert is_plain(shown)
    assert not is_plain(warnings.formatwarning(HOSTILE, UserWarning, "f.py", 1))


@pytest.mark.parametrize("package", ["animelm", "lightning"])
def test_a_warning_for_users_is_one_line_without_a_place_in_the_code(package):
    with plain_messages():
        shown = warnings.formatwarning(
            "few steps", UserWarning, f"/x/{package}/data.py", 264, "f()"
        )
        other = warnings.formatwarning("old", FutureWarning, f"/x/{package}/data.py", 264, "f()")
    assert shown == "warning: few steps\n"
    assert "data.py:264" in other


def test_nothing_else_in_the_package_prints(project_root):
    found = []
    for path in (project_root / "animelm").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            is_call = isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
            if is_call and node.func.id in ("print", "Console"):
                found.append(f"{path.relative_to(project_root)}:{node.lineno}")
    assert {place.partition(":")[0] for place in found} == {"animelm/terminal.py"}


def test_a_stream_of_another_encoding_shows_question_marks(monkeypatch):
    out = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", out)
    show_every_character()
    Terminal(file=out).print("題 • a")
    say_json({"題": 1})
    assert out.buffer.getvalue().split() == [b"?", b"?", b"a", b'{"?":', b"1}"]


def test_a_reader_that_has_gone_is_an_error():
    class Closed(io.StringIO):
        def write(self, text):
            raise BrokenPipeError(errno.EPIPE, "Broken pipe")

    with pytest.raises(BrokenPipeError):
        Terminal(file=Closed()).print("x")
