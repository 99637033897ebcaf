"""Hostile input of the commands that train nothing, and of what surrounds the data."""

import json
import os
import struct
from collections.abc import Callable
from pathlib import Path

from hostile_files import DEEP, ESCAPE, MANY_DIGITS, PAIR, Case, Place, adapter, base, base_file

Fill = Callable[[Path], object]


def checked(content: str | bytes, *options: str, name: str = "q.jsonl") -> Case:
    """``questions check`` on a file."""
    return lambda place: ["questions", "check", str(place.write(name, content)), *options]


def included(count: int, *names: str) -> Case:
    """``inspect`` on a config that includes others, and so on."""

    def case(place: Place) -> list[str]:
        for number in range(count):
            listed = ", ".join(name.format(number + 1) for name in names)
            place.write(f"c{number}.yaml", f"include: [{listed}]\n")
        place.write(f"c{count}.yaml", "model: {}\n")
        return ["inspect", "--config=c0.yaml"]

    return case


def reported(name: str, content: str | bytes | Fill) -> Case:
    """``report`` on a folder with a log and a file."""

    def case(place: Place) -> list[str]:
        place.write("run/version_0/events.out.tfevents.1", b"")
        path = place.folder / "run" / name
        if callable(content):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.unlink(missing_ok=True)
            content(path)
        else:
            place.write(f"run/{name}", content)
        return ["report", str(place.folder / "run")]

    return case


def compared(name: str, content: str | bytes | Fill) -> Case:
    """``compare`` into a folder with a file."""

    def case(place: Place) -> list[str]:
        records = place.write("q.jsonl", PAIR * 3)
        out = place.folder / "out"
        out.mkdir()
        if callable(content):
            content(out / name)
        else:
            place.write(f"out/{name}", content)
        return [
            "compare",
            f"--base={place.base}",
            f"--cpt_adapter={place.folder / 'no-adapter'}",
            f"--records={records}",
            f"--output={out}",
        ]

    return case


def exported(name: str, content: str | bytes | Fill, *options: str) -> Case:
    """``export`` of an adapter with a file."""

    def case(place: Place) -> list[str]:
        adapter(LORA, _WEIGHTS)(place)
        folder = place.folder / "adapter"
        if callable(content):
            content(folder / name)
        else:
            place.write(f"adapter/{name}", content)
        given = [option.replace("FOLDER", str(folder)) for option in options]
        out = place.folder / "out"
        named = [f"--adapter={folder}", f"--base={place.base}", "--to=peft", f"--output={out}"]
        return ["export", *named, *given]

    return case


def asked(question: str) -> Case:
    """``ask`` of the base."""
    return lambda place: ["ask", f"--base={place.base}", "--max_new_tokens=2", question]


def safetensors(header: object, body: bytes = b"") -> bytes:
    """A file of weights with this header."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + body


def tokenizer(**values: object) -> Case:
    """``ask`` of a base of which values in tokenizer.json are replaced."""

    def case(place: Place) -> list[str]:
        changed = place.changed_base("tokenizer.json", **values)
        return ["ask", f"--base={changed}", "--max_new_tokens=2", "a" * 100]

    return case


def _summary(**values: object) -> str:
    seconds = {"models": {}, "differences": {}, "seconds": 1.0, "seeds": [0]}
    return json.dumps(seconds | {"trainable_parameters_per_target": {}} | values)


def _record(**values: object) -> str:
    return json.dumps({"schema": 1, "steps": [values]})


LORA = '{"peft_type": "LORA", "r": 4, "target_modules": ["q_proj"]}'
_FLOATS = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
_GROWING = {"type": "Replace", "pattern": {"String": "a"}, "content": "a" * 1000}
_SIZES = {"A": [4, 64], "B": [64, 4]}
_WEIGHTS = safetensors(
    {
        f"base_model.model.model.layers.{layer}.self_attn.q_proj.lora_{part}.weight": {
            "dtype": "F32",
            "shape": shape,
            "data_offsets": [1024 * (2 * layer + index), 1024 * (2 * layer + index + 1)],
        }
        for layer in range(2)
        for index, (part, shape) in enumerate(_SIZES.items())
    },
    bytes(4096),
)

COMMANDS: dict[str, Case] = {
    # Reports.
    "report: summary nested deeply": reported("summary.json", DEEP),
    "report: summary of infinite seconds": reported("summary.json", _summary(seconds=1e999)),
    "report: summary without models": reported("summary.json", _summary()),
    "report: summary of 6,000 digits": reported("summary.json", f'{{"seconds": {MANY_DIGITS}}}'),
    "report: a log that is a pipe": reported("version_0/events.out.tfevents.1", os.mkfifo),
    "report: a log that is noise": reported("version_0/events.out.tfevents.1", os.urandom(9999)),
    "report: a table of a million million experts": reported(
        "version_0/router_statistics.csv", "step,layer,expert,share\n1,0,1000000000000,1\n"
    ),
    "report: a table with a long field": reported(
        "version_0/router_statistics.csv", "step,layer,expert,share\n1,0,0," + "9" * 200_000
    ),
    "report: a record of other types": reported(
        "adapter/adapter_record.json", _record(base=5, data=[1], split=3)
    ),
    "report: a record of the whole disk": reported(
        "adapter/adapter_record.json", _record(data=[{"role": "articles", "path": "/"}])
    ),
    "report: a config of other types": reported("version_0/config.yaml", "model: 5\ntrainer: []\n"),
    # Comparisons.
    "compare: a lock that is a folder": compared(".animelm.lock", os.mkdir),
    "compare: a lock that is a pipe": compared(".animelm.lock", os.mkfifo),
    # Exports.
    "export: a record nested deeply": exported("adapter_record.json", DEEP),
    "export: a record that never ends": exported(
        "adapter_record.json", lambda path: path.symlink_to("/dev/zero")
    ),
    "export: a summary that is a pipe": exported("s.json", os.mkfifo, "--summary=FOLDER/s.json"),
    "export: a summary nested deeply": exported("s.json", DEEP, "--summary=FOLDER/s.json"),
    "export: into a folder of the system": exported("x", "", "--output=/proc/x/y"),
    # Questions.
    "questions check: escapes and markup": checked(
        json.dumps({"question": ESCAPE, "answer": "[/bold]", "work": "[link=x]"}) + "\n"
    ),
    "questions check: nested deeply": checked(DEEP, name="q.json"),
    "questions check: one word of a megabyte": checked(
        json.dumps({"question": "あ" * 10**6, "answer": "い" * 10**6}) + "\n"
    ),
    "questions check: into a folder": checked(PAIR, "--output=."),
    "questions check: into a device": checked(PAIR, "--output=/dev/fd/1"),
    "questions check: a share that is no number": checked(PAIR * 9, "--held_out_works=nan"),
    # Bases.
    "base: more chosen experts than experts": base("config.json", num_experts_per_tok=99),
    "base: a negative window": base("config.json", sliding_window=-5),
    "base: a billion classes": base("config.json", num_labels=10**9),
    "base: a window of other type": base("config.json", sliding_window="a"),
    "base: a type of position that is a module": base(
        "config.json", rope_parameters={"rope_type": "own.module", "rope_theta": 1}
    ),
    "base: an infinite factor": base(
        "config.json", rope_parameters={"rope_type": "yarn", "factor": 1e308, "rope_theta": 0}
    ),
    "tokenizer: replacements that grow": tokenizer(
        normalizer={"type": "Sequence", "normalizers": [_GROWING] * 8}
    ),
    "tokenizer: an expression that is none": tokenizer(
        pre_tokenizer={
            "type": "Split",
            "pattern": {"Regex": "("},
            "behavior": "Isolated",
            "invert": False,
        }
    ),
    "tokenizer: a length that is a text": base_file(
        "tokenizer_config.json", '{"model_max_length": "x"}'
    ),
    "tokenizer: its settings nested deeply": base_file("tokenizer_config.json", DEEP),
    "template: a macro that calls itself": base_file(
        "chat_template.jinja", "{% macro a() %}{{ a() }}{% endmacro %}{{ a() }}"
    ),
    "template: a file of this machine": base_file(
        "chat_template.jinja", '{% include "/etc/passwd" %}'
    ),
    "template: a message of escapes": base_file(
        "chat_template.jinja", '{{ raise_exception("\x1b[2J") }}'
    ),
    # Weights whose header is not true.
    "weights: tensors that overlap": adapter(
        LORA, safetensors({"a": _FLOATS, "b": _FLOATS | {"data_offsets": [4, 12]}}, bytes(12))
    ),
    "weights: beyond the end": adapter(
        LORA, safetensors({"a": _FLOATS | {"shape": [1 << 40]}}, bytes(8))
    ),
    "weights: a shape that overflows": adapter(
        LORA, safetensors({"a": _FLOATS | {"shape": [1 << 62, 1 << 62]}}, bytes(8))
    ),
    "weights: a type of half bytes": adapter(
        LORA, safetensors({"a": {"dtype": "F4", "shape": [4], "data_offsets": [0, 2]}}, bytes(2))
    ),
    "weights: a name of escapes": adapter(LORA, safetensors({f"a{ESCAPE}": _FLOATS}, bytes(8))),
    "weights: 200,000 tensors": adapter(
        LORA,
        safetensors(
            {
                f"t{i}": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}
                for i in range(200_000)
            }
        ),
    ),
    "weights: a header nested deeply": adapter(LORA, safetensors(b"[" * 100_000)),
    # Settings.
    "config: includes that double": included(30, "c{}.yaml", "c{}.yaml"),
    "config: includes a thousand deep": included(1000, "c{}.yaml"),
    "config: includes a device": included(1, "/dev/zero"),
    "plan: a device of 5,000 digits": lambda place: [
        "plan",
        "--config=cpt.yaml",
        f"--model.base={place.base}",
        f"--device={'9' * 5000} GB GPU",
    ],
    "ask: a question of 100,000 characters": asked("あ" * 100_000),
    "ask: a name with a zero byte": lambda place: ["ask", "--base=a\x00b", "誰?"],
}
