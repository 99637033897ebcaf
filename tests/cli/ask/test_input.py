import io
from collections.abc import Iterator
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prompt_toolkit.application import create_app_session
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import DummyOutput

from animelm.cli.ask import input as ask_input
from animelm.cli.ask.input import piped_lines, question_of, typed_lines
from animelm.errors import UserError

LEFT, RIGHT, BACKSPACE, CTRL_C, CTRL_D = "\x1b[D", "\x1b[C", "\x7f", "\x03", "\x04"


def typed(keys: str, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The questions that come of keys."""
    monkeypatch.setattr(ask_input, "create_output", lambda **_: DummyOutput())
    with create_pipe_input() as pipe, create_app_session(input=pipe, output=DummyOutput()):
        pipe.send_text(keys)
        return [question_of(line) for line in typed_lines()]


def lines_of(content: bytes) -> Iterator[bytes]:
    return piped_lines(io.BufferedReader(io.BytesIO(content)))


@pytest.mark.parametrize(
    ("keys", "questions"),
    [
        (f"鋼鉄{BACKSPACE}の\r", ["鋼の"]),
        (f"鋼術{LEFT}の錬金{RIGHT}師\r", ["鋼の錬金術師"]),
        (f"取り消す{CTRL_C}主人公は?\r", ["主人公は?"]),
        ("か\u3099ンダム🤖\r", ["か\u3099ンダム🤖"]),
    ],
)
def test_a_line_is_edited_in_whole_characters(
    monkeypatch: pytest.MonkeyPatch, keys: str, questions: list[str]
) -> None:
    assert typed(keys + CTRL_D, monkeypatch) == questions


@pytest.mark.parametrize(
    "encoding",
    ["utf-8", "utf-8-sig", "utf-16", "utf-32", "cp932", "euc_jp", "iso2022_jp"],
)
def test_lines_are_read_in_any_encoding_of_japanese(encoding: str) -> None:
    text = "主人公は誰ですか?\r\n\n 鋼の錬金術師とは\nはい"
    lines = lines_of(text.encode(encoding))
    assert [question_of(line) for line in lines] == [
        "主人公は誰ですか?",
        "鋼の錬金術師とは",
        "はい",
    ]


def test_lines_may_have_encodings_of_their_own() -> None:
    encoded = ("作品は".encode("cp932"), "主人公は".encode(), "誰です".encode("euc_jp"))
    assert [question_of(line) for line in lines_of(b"\n".join(encoded))] == [
        "作品は",
        "主人公は",
        "誰です",
    ]


def test_a_line_without_an_encoding_is_a_mistake() -> None:
    with pytest.raises(UserError, match="not UTF-8"):
        question_of(b"a\xff\xfe\xff")


@given(st.binary(max_size=40))
def test_no_line_ends_in_another_error(content: bytes) -> None:
    for line in lines_of(content):
        with suppress(UserError):
            question_of(line).encode("utf-8")


def test_a_line_without_end_is_refused() -> None:
    with pytest.raises(UserError, match="1 MiB"):
        list(lines_of(b"a" * (2 << 20)))
