"""Hostile files by name: how each is written, and the command that is given it.

Each must end in one message, or be read without harm: no code of it runs, nothing takes longer
than 20 seconds or a gigabyte, and neither a traceback nor a control sequence is printed.
"""

import gzip
import json
import os
import pickle
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pyarrow
import pyarrow.parquet

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "corpus")]

ESCAPE = "\x1b]0;owned\x07\x9b31m"
BOMB = "a: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"b{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 12)
)
HALF = '{"question": "誰\\ud83d", "answer": "私"}\n'
PAIR = '{"question": "誰", "answer": "私"}\n'
ARTICLE = "# 題\n\n本文です。"
MANY_DIGITS = "9" * 6000
DEEP = "[" * 100_000
# A page's head, its end, and what surrounds pages in an export.
PAGE = (
    "<page><title>{}</title><ns>0</ns><id>{}</id>"
    "<revision><id>1</id><text>{}</text></revision></page>"
)
HEAD = '<mediawiki xml:lang="ja"><siteinfo><base>https://ja.example/wiki/M</base></siteinfo>'


@dataclass(frozen=True)
class Place:
    """Where a case is written.

    Attributes:
        folder: an empty folder.
        base: a tiny base; a case that changes it copies it.
        mark: a file that code of the case would make.
    """

    folder: Path
    base: Path
    mark: Path

    def write(self, name: str, content: str | bytes) -> Path:
        """Writes a file below the folder."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def changed_base(self, name: str, **values: object) -> Path:
        """A copy of the base, of which values in a JSON file are replaced."""
        copy = self.folder / "base"
        shutil.copytree(self.base, copy)
        path = copy / name
        path.write_text(json.dumps({**json.loads(path.read_text("utf-8")), **values}), "utf-8")
        return copy


Case = Callable[[Place], list[str]]


def articles(content: str | bytes, trains: bool = False) -> Case:
    """``corpus stats``, or ``fit``, on a folder with an article of this content."""

    def case(place: Place) -> list[str]:
        place.write("articles/b.md", ARTICLE)
        place.write("articles/a.md", content)
        folder = place.folder / "articles"
        read = ["corpus", "stats", f"--folder={folder}"]
        return fit(place, f"--data.folder={folder}") if trains else read

    return case


def named(name: bytes) -> Case:
    """``fit`` on a folder with an article of this name."""

    def case(place: Place) -> list[str]:
        place.write("articles/b.md", ARTICLE)
        (place.folder / "articles" / os.fsdecode(name)).write_text(ARTICLE, "utf-8")
        return fit(place, f"--data.folder={place.folder / 'articles'}")

    return case


def questions(content: str | bytes, name: str = "q.jsonl", trains: bool = False) -> Case:
    """``corpus build`` without the questions of a file, or ``fit`` on them."""

    def case(place: Place) -> list[str]:
        path = place.write(name, content)
        return learned(place, path) if trains else avoided(place, path)

    return case


def device(path: str) -> Case:
    """``corpus build`` without the questions of a device, which has a name with a suffix."""

    def case(place: Place) -> list[str]:
        (place.folder / "q.jsonl").symlink_to(path)
        return avoided(place, place.folder / "q.jsonl")

    return case


def pipe(name: str, trains: bool = False) -> Case:
    """The same with a pipe that nobody writes to."""

    def case(place: Place) -> list[str]:
        path = place.folder / name
        os.mkfifo(path)
        return learned(place, path) if trains else avoided(place, path)

    return case


def parquet(values: list[object], **how: object) -> Case:
    """``fit`` on a folder of one Parquet file with a column of texts."""

    def case(place: Place) -> list[str]:
        folder = place.folder / "shards"
        folder.mkdir()
        pyarrow.parquet.write_table(pyarrow.table({"text": values}), folder / "a.parquet", **how)
        return fit(place, f"--data.folder={folder}")

    return case


def config(text: str | bytes) -> Case:
    """``inspect`` on a config."""

    def case(place: Place) -> list[str]:
        content = text.replace("MARK", str(place.mark)) if isinstance(text, str) else text
        return ["inspect", f"--config={place.write('own.yaml', content)}"]

    return case


def base(name: str, **values: object) -> Case:
    """``inspect`` on a base of which values in a JSON file are replaced."""

    def case(place: Place) -> list[str]:
        changed = place.changed_base(name, **values)
        return ["inspect", "--config=cpt.yaml", f"--model.base={changed}"]

    return case


def base_file(name: str, content: str | bytes) -> Case:
    """``fit`` on a base of which one file is replaced."""

    def case(place: Place) -> list[str]:
        copy = place.folder / "base"
        shutil.copytree(place.base, copy)
        place.write(f"base/{name}", content)
        place.write("articles/b.md", ARTICLE)
        return fit(place, f"--model.base={copy}", f"--data.folder={place.folder / 'articles'}")

    return case


def adapter(settings: str, weights: bytes = b"") -> Case:
    """``ask`` with an adapter of these files."""

    def case(place: Place) -> list[str]:
        content = settings.replace("MARK", str(place.mark))
        place.write("adapter/adapter_config.json", content)
        place.write("adapter/adapter_model.safetensors", weights)
        folder = place.folder / "adapter"
        return ["ask", f"--base={place.base}", f"--adapter={folder}", "誰?"]

    return case


def dump(*parts: bytes, explain: bool = False) -> Case:
    """``corpus build`` on a packed dump."""

    def case(place: Place) -> list[str]:
        path = place.folder / "dump.xml.gz"
        with gzip.open(path, "wb", compresslevel=1) as file:
            for part in parts:
                file.write(part)
        out = place.folder / "corpus"
        return ["corpus", "build", f"--dump={path}", f"--out={out}", "--workers=1"]

    return case


def checkpoint(content: Callable[[Place], bytes]) -> Case:
    """``fit`` from a checkpoint."""

    def case(place: Place) -> list[str]:
        place.write("articles/b.md", ARTICLE)
        path = place.write("last.ckpt", content(place))
        folder = place.folder / "articles"
        return fit(place, f"--data.folder={folder}", f"--ckpt_path={path}")

    return case


def options(*arguments: str) -> Case:
    """A command line."""
    return lambda place: [a.replace("MARK", str(place.mark)) for a in arguments]


def fit(place: Place, *own: str) -> list[str]:
    """Continual pre-training of one step."""
    given = [option.partition("=")[0] for option in own]
    base = [] if "--model.base" in given else [f"--model.base={place.base}"]
    return [
        "fit",
        "--config=cpt.yaml",
        *base,
        "--model.compute.dtype=float32",
        "--data.block_size=64",
        "--data.records=null",
        "--data.general_folders=null",
        "--data.general_records=null",
        "--data.shares={questions: 0, general_articles: 0, general_questions: 0}",
        "--data.validation_share=0",
        "--trainer.limit_val_batches=0",
        "--trainer.max_steps=1",
        f"--trainer.default_root_dir={place.folder / 'run'}",
        *own,
    ]


def learned(place: Place, path: Path) -> list[str]:
    """Fine-tuning of one step on a file of questions."""
    own = [f"--data.records={path}", "--data.epoch=questions", "--model.step_name=sft"]
    return fit(place, *own, "--data.folder=null")


def avoided(place: Place, path: Path) -> list[str]:
    """Building a corpus without the questions of a file."""
    dump = place.write("dump.xml", _HEAD + _page("甲") + _TAIL)
    out = place.folder / "corpus"
    own = ["--workers=1", f"--cleaning.questions=[{json.dumps(str(path))}]"]
    return ["corpus", "build", f"--dump={dump}", f"--out={out}", *own]


class Opens:
    """A pickle that makes a file when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return open, (self.path, "w")


def _page(title: str, text: str = "本文", number: str = "1") -> bytes:
    return PAGE.format(title, number, text).encode()


_HEAD, _TAIL, _SPACE = HEAD.encode(), b"</mediawiki>", b" " * (64 << 20)
_LORA = '{"peft_type": "LORA", "r": 4, "target_modules": ["q_proj"]'
_LOOPS = "{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}"
_LONG_HEADER = (1 << 40).to_bytes(8, "little") + b"{}"

CASES: dict[str, Case] = {
    # Articles.
    "article: impossible date": articles("---\ndate: 2024-13-45\n---\n本文"),
    "article: integer of 6,000 digits": articles(f"---\nn: {MANY_DIGITS}\n---\n本文"),
    "article: sexagesimal number": articles("---\nn: 1" + ":59" * 200_000 + "\n---\n本文"),
    "article: bad !!binary": articles("---\nb: !!binary あ\n---\n本文"),
    "article: bad !!int": articles("---\nb: !!int ''\n---\n本文"),
    "article: tag of Python": articles("---\nb: !!python/object/apply:os.abort []\n---\n本文"),
    "article: title of aliases": articles(f"---\n{BOMB}title: *a11\n---\n本文", trains=True),
    "article: nested front matter": articles("---\na: " + "[" * 50_000 + "\n---\n本文"),
    "article: alias of itself": articles("---\na: &a [*a]\n---\n本文"),
    "article: half a surrogate pair": articles('---\ntitle: "\\ud800"\n---\n本文'),
    "article: raw surrogate": articles(b"---\ntitle: \xed\xa0\x80\n---\n"),
    "article: Shift-JIS": articles("本文です。".encode("shift_jis")),
    "article: UTF-16": articles("本文です。".encode("utf-16")),
    "article: zero bytes": articles(b"\x00" * 10_000, trains=True),
    "article: one line of 300 MB": articles(b"a" * (300 << 20), trains=True),
    "article: title of escapes": articles(f'---\ntitle: "a\\e]0;x\\a"\n---\n{ESCAPE}', trains=True),
    "article: name in Shift-JIS": named("題名.md".encode("shift_jis")),
    "article: name of escapes": named(b"a\x1b]0;owned\x07.md"),
    "article: name with a line feed": named(b"a\nerror: b.md"),
    "article: escapes in title, categories and text": articles(
        f'---\ntitle: "\\e]0;x\\a"\ncategories: ["\\e[31m", "\\x9b31m"]\n---\n{ESCAPE}'
    ),
    "article: markup in a title": articles(
        "---\ntitle: '[/bold][link=x]'\ncategories: ['[/]']\n---\n本文"
    ),
    "article: categories of aliases": articles(f"---\n{BOMB}categories: *a11\n---\n本文"),
    # Questions.
    "questions: half a surrogate pair": questions(HALF, trains=True),
    "questions: integer of 6,000 digits": questions(f'{{"question": {MANY_DIGITS}}}\n'),
    "questions: nested a hundred thousand deep": questions(DEEP),
    "questions: a line of 300 MB": questions(b'{"question": "' + b"a" * (300 << 20)),
    "questions: escapes in a key": questions(f'{{"{ESCAPE}": 1}}\n'),
    "questions: escapes in an id": questions(
        json.dumps({"id": "\x1b[2J", "question": "誰", "answers": ["\x1b[2J"]}) + "\n"
    ),
    "questions: Shift-JIS": questions('{"question": "表"}'.encode("shift_jis")),
    "questions: zero bytes": questions(b"\x00" * 10_000),
    "questions: a list": questions("[1, 2]\n"),
    "questions: infinity": questions('{"question": Infinity, "answer": NaN}\n'),
    "questions: CSV with escapes in its header": questions(f"{ESCAPE},b\n1,2\n", "q.csv"),
    "questions: CSV with a field of 50 MB": questions("質問,出力\n" + "a" * (50 << 20), "q.csv"),
    "questions: CSV with a quote that does not end": questions('質問,出力\n"a', "q.csv"),
    "questions: CSV with a zero byte": questions("質問,出力\na\x00,b\n", "q.csv"),
    "questions: text without a label": questions(f"{ESCAPE}\n", "q.txt"),
    "questions: text of 300 MB": questions(b"a" * (300 << 20), "q.txt"),
    "questions: a pipe as .jsonl": pipe("q.jsonl", trains=True),
    "questions: a pipe as .csv": pipe("q.csv"),
    "questions: a pipe as .parquet": pipe("q.parquet"),
    "questions: /dev/zero": device("/dev/zero"),
    "questions: /dev/stdin": device("/dev/stdin"),
    "questions: a file with escapes in its name": questions("", "\x1b[2J.jsonl"),
    # Parquet.
    "Parquet: dense texts": parquet(
        ["a" * 200_000] * 800, compression="zstd", use_dictionary=False
    ),
    "Parquet: a text of 40 MB": parquet(["a" * (40 << 20)], compression="zstd"),
    "Parquet: a dictionary of 40 MB": parquet(
        ["a" * (40 << 20)] * 2, compression="none", dictionary_pagesize_limit=1 << 30
    ),
    "Parquet: numbers as texts": parquet([1, 2, 3]),
    "Parquet: noise": questions(b"PAR1" + os.urandom(5000) + b"PAR1", "q.parquet"),
    # Dumps.
    "dump: white space before the first page": dump(_HEAD, *[_SPACE] * 4),
    "dump: white space between pages": dump(_HEAD, _page("甲"), *[_SPACE] * 4),
    "dump: a page without an end": dump(_HEAD, b"<page><title>", *[_SPACE] * 4),
    "dump: an id of 6,000 digits": dump(_HEAD, _page("甲", number=MANY_DIGITS), _TAIL),
    "dump: escapes in titles that cannot be parsed": dump(
        _HEAD, _page("\x9b31m\u202e甲", "<b>"), _TAIL
    ),
    "dump: entities of entities": dump(
        b'<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>', _HEAD, _page("甲", "&b;"), _TAIL
    ),
    "dump: noise": dump(os.urandom(100_000)),
    # Configs.
    "config: aliases": config(BOMB + "model: *a11\n"),
    "config: tag of Python": config("model: !!python/object/apply:open [MARK, w]\n"),
    "config: nested a hundred thousand deep": config("model: " + DEEP),
    "config: integer of 6,000 digits": config(f"model: {{lora: {{rank: {MANY_DIGITS}}}}}\n"),
    "config: impossible date": config("model: {base: 2024-13-45}\n"),
    "config: escapes in a value": config('model: {base: "\\e]0;x\\a"}\n'),
    "config: escapes in a key": config('"\\e]0;x\\a": 1\n'),
    "config: includes itself": config("include: own.yaml\n"),
    "config: zero bytes": config(b"\x00" * 10_000),
    "config: not UTF-8": config(b"model: \x93\xfa\n"),
    "option: aliases": options("inspect", "--config=cpt.yaml", f"--model.base={BOMB}"),
    "option: escapes": options("fit", f"--{ESCAPE}=1"),
    "command: escapes": options(ESCAPE),
    "question: half a surrogate pair": options("ask", "--base=x", "誰\udc80"),
    # Bases.
    "base: a billion experts": base("config.json", num_local_experts=10**9),
    "base: a billion layers": base("config.json", num_hidden_layers=10**9),
    "base: a billion tokens": base("config.json", vocab_size=10**12),
    "base: escapes in its architecture": base("config.json", architectures=[ESCAPE]),
    "base: a kernel of the hub": base("config.json", attn_implementation="someone/kernel"),
    "base: code of its own": base("config.json", auto_map={"AutoConfig": "own.Config"}),
    "base: config.json nested deeply": base_file("config.json", DEEP),
    "base: config.json with 6,000 digits": base_file("config.json", f'{{"a": {MANY_DIGITS}}}'),
    "base: config.json of spaces": base_file("config.json", b" " * (200 << 20)),
    "base: tokenizer.json of {}": base_file("tokenizer.json", "{}"),
    "base: tokenizer.json is a pickle": base_file("tokenizer.json", pickle.dumps({"a": 1})),
    "base: a template of loops": base_file("chat_template.jinja", _LOOPS),
    "base: a template of a long text": base_file("chat_template.jinja", "{{ 'a' * 10**10 }}"),
    "base: a template of a large number": base_file("chat_template.jinja", "{{ 9 ** (9 ** 9) }}"),
    "base: a template that looks for classes": base_file(
        "chat_template.jinja", "{{ ''.__class__.__mro__[1].__subclasses__() }}"
    ),
    "base: weights with a header of a terabyte": base_file("model.safetensors", _LONG_HEADER),
    "base: weights that are a pickle": base_file("model.safetensors", pickle.dumps([1] * 100)),
    "base: an index out of the folder": base_file(
        "model.safetensors.index.json", '{"weight_map": {"a": "../../x.safetensors"}}'
    ),
    # Adapters and checkpoints.
    "adapter: a module to import": adapter(
        _LORA + ', "megatron_config": {"a": 1}, "megatron_core": "payload"}'
    ),
    "adapter: a regular expression": adapter(_LORA + ', "target_modules": "(a+)+$"}'),
    "adapter: a billion ranks": adapter(_LORA + ', "r": 1000000000}'),
    "adapter: nested deeply": adapter(DEEP),
    "adapter: escapes": adapter(_LORA + ', "\\u001b]0;x\\u0007": "\\u009b31m"}'),
    "adapter: a header of a terabyte": adapter(_LORA + "}", _LONG_HEADER),
    "checkpoint: a pickle": checkpoint(lambda place: pickle.dumps(Opens(place.mark))),
    "checkpoint: zero bytes": checkpoint(lambda place: b"\x00" * 10_000),
    "checkpoint: empty": checkpoint(lambda place: b""),
}
