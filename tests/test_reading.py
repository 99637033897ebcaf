import os
from pathlib import Path

import pytest

from animelm.errors import UserError
from animelm.reading import (
    LONGEST_TEXT,
    decode_utf8,
    json_lines,
    parse_json,
    parse_yaml,
    read_bytes,
    read_json,
    read_utf8,
    require_bounded_option,
    require_characters,
    require_utf8_name,
)

YAML_BOMB = "a: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"b{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 12)
)
MERGE_BOMB = "a: &a0 {x: y}\n" + "".join(
    f"b{i}: &a{i} {{<<: *a{i - 1}, q{i}: *a{i - 1}, r{i}: *a{i - 1}}}\n" for i in range(1, 30)
)


@pytest.fixture
def written(tmp_path):
    def write(content, name="file"):
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write


@pytest.mark.parametrize("read", [read_bytes, read_utf8, read_json, lambda p: list(json_lines(p))])
def test_a_pipe_or_device_is_refused_at_once(tmp_path, read):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", "/dev/zero"):
        with pytest.raises(UserError, match="is a pipe or device; expected a file"):
            read(type(tmp_path)(path))
    with pytest.raises(UserError, match="is a folder"):
        read(tmp_path)
    with pytest.raises(UserError, match="cannot be read: No such file"):
        read(tmp_path / "nowhere")


def test_a_file_above_the_limit_is_refused(written):
    assert read_bytes(written("12345678"), limit=8) == b"12345678"
    with pytest.raises(UserError, match="split it"):
        read_bytes(written("123456789"), limit=8)


def test_text_has_plain_line_ends_and_no_byte_order_mark(written):
    assert read_utf8(written("\ufeffa\r\nb\rc\n".encode())) == "a\nb\nc\n"


def test_bytes_that_are_not_utf_8_are_named_with_their_offset(written):
    with pytest.raises(UserError, match="file: not UTF-8: byte 0x93 at offset 2"):
        read_utf8(written(b"ab\x93"))
    path = written(b'{"a": 1}\n{"b": "\x93"}\n')
    with pytest.raises(UserError, match="file: not UTF-8: byte 0x93 at offset 16"):
        list(json_lines(path))


def test_lines_are_numbered_whatever_ends_them(written):
    path = written('\ufeff{"a": "\u2028"}\r\n\n{"b": 2}\r{"c": 3}\n\n{"d": 4}')
    assert list(json_lines(path)) == [
        (1, {"a": "\u2028"}),
        (3, {"b": 2}),
        (4, {"c": 3}),
        (6, {"d": 4}),
    ]


def test_a_line_that_is_too_long_is_named(written):
    path = written(b'{"a": 1}\n"' + b"a" * LONGEST_TEXT + b'"\n')
    with pytest.raises(UserError, match="file:2: longer than 32 MiB"):
        list(json_lines(path))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[1,", "not valid JSON"),
        ("[" * 100_000, "nested too deeply"),
        ("9" * 6000, "not valid JSON: Exceeds the limit"),
        ('{"a": "\\ud83d"}', "half of a surrogate pair"),
        ('{"\\udc00": 1}', "half of a surrogate pair"),
    ],
)
def test_json_that_cannot_be_used_is_reported_with_its_place(text, told):
    with pytest.raises(UserError, match=f"^f:3: .*{told}"):
        parse_json(text, "f:3")


def test_a_whole_surrogate_pair_is_a_character():
    assert parse_json('"\\ud83d\\ude00"', "f") == "😀"
    require_characters("😀", "f")


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("2024-13-45", "month must be in 1..12 .read as timestamp; a text needs quotes"),
        ("9" * 6000, "a number of 6000 characters"),
        ("190:" + "59:" * 100_000 + "1", "a number of"),
        ("!!binary あ", "failed to convert base64"),
        ("!!binary abc", "failed to decode base64"),
        ("!!timestamp x", "read as timestamp"),
        ("!!int ''", "read as int"),
        ("!!bool maybe", "read as bool"),
        ("!!python/object/apply:os.system [echo]", "could not determine a constructor"),
        ('"\\ud800"', "invalid Unicode"),
        ("{[]: 1}", "unhashable"),
        ("*nowhere", "undefined alias"),
        ("&a [*a]", "an alias inside of what it repeats"),
        ("[" * 100_000, "nested more than 100 deep"),
    ],
)
def test_a_yaml_value_that_cannot_be_used_is_reported_with_its_line(value, told):
    with pytest.raises(UserError, match=rf"^f:2: front matter is not valid YAML: .*{told}"):
        parse_yaml(f"title: a\nb: {value}", "f", "front matter is ")


@pytest.mark.parametrize("text", [YAML_BOMB, MERGE_BOMB])
def test_aliases_that_would_fill_the_memory_are_refused(text):
    with pytest.raises(UserError, match=r"f:\d+: not valid YAML: its aliases repeat more than"):
        parse_yaml(text, "f")


def test_plain_yaml_with_aliases_is_read():
    text = "a: &a {x: 1}\nb: {<<: *a, y: [*a, 2]}\nc: 2024-05-01\nd: 1e-3"
    assert parse_yaml(text, "f")["b"] == {"x": 1, "y": [{"x": 1}, 2]}
    assert parse_yaml("", "f") is None


def test_a_name_that_is_not_utf_8_is_refused(tmp_path):
    assert require_utf8_name(tmp_path / "題.md") == tmp_path / "題.md"
    name = os.fsdecode("題.md".encode("shift_jis"))
    with pytest.raises(UserError, match="this name is not UTF-8; rename the file"):
        require_utf8_name(tmp_path / name)


def test_an_option_of_aliases_is_refused_and_all_others_are_left_alone():
    with pytest.raises(UserError, match=r"--model\.base: its aliases repeat more than fits"):
        require_bounded_option(f"--model.base={YAML_BOMB}")
    for option in ("--a=*.md", "--a=[open", "a=b=&c *c", "--pattern=" + "x" * 5000, "", "--a"):
        require_bounded_option(option)


@pytest.mark.parametrize("encoding", ["utf-16", "shift_jis", "euc_jp"])
def test_another_encoding_is_named_where_it_can_be_told(encoding):
    name = {"utf-16": "UTF-16", "shift_jis": "Shift-JIS", "euc_jp": "EUC-JP"}[encoding]
    with pytest.raises(UserError, match=rf"it seems to be {name}; save the file as UTF-8"):
        decode_utf8("質問,出力\n主人公は花子".encode(encoding), Path("qa.csv"))
