"""The reference of every config key as Markdown, in English and in Japanese."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Literal

import yaml

from animelm.cli import COMMANDS
from animelm.cli.reference.options import Option, command_options, own_options, subcommands

Language = Literal["en", "ja"]
PAGES: dict[Language, str] = {"en": "config-keys.md", "ja": "config-keys.ja.md"}
_TEXTS = Path(__file__).with_name("texts.ja.yaml")
_TRAINER = "trainer."
# One page describes them all: their options are the same.
_LIKE_FIT = ("validate", "test", "predict")
_WORDS: dict[Language, dict[str, str]] = {
    "en": {
        "title": "Every config key",
        "other": "[日本語](config-keys.ja.md)",
        "about": "Written from the code by `make reference`. A key is an option without its `--`: "
        "`model.lora.rank` in a config is `--model.lora.rank` on the command line. In a config "
        "the keys of the data module stand under `data.init_args`, beside `data.class_path: "
        "DomainDataModule`.",
        "trainer": "The settings of Lightning's Trainer; "
        "[its documentation](https://lightning.ai/docs/pytorch/stable/common/trainer.html) "
        "describes them. `python -m animelm fit --help` prints its texts.",
        "head": "| key | takes | default | |\n|---|---|---|---|",
        "short_head": "| key | takes | default |\n|---|---|---|",
        "as_fit": "Beside all keys of `fit`:",
        "required": "required",
    },
    "ja": {
        "title": "設定キーの一覧",
        "other": "[English](config-keys.md)",
        "about": "`make reference`がコードから生成する。キーはコマンドラインのオプションから"
        "`--`を除いたもので、設定ファイルの`model.lora.rank`はコマンドラインの`--model.lora.rank`に当たる。"
        "データモジュールのキーは、設定ファイルでは`data.class_path: DomainDataModule`と並ぶ"
        "`data.init_args`の下に書く。訳のない説明は英語のまま載せる。",
        "trainer": "LightningのTrainerの設定。説明は"
        "[Lightningの文書](https://lightning.ai/docs/pytorch/stable/common/trainer.html)と"
        "`python -m animelm fit --help`にある。",
        "head": "| キー | 値 | 既定値 | |\n|---|---|---|---|",
        "short_head": "| キー | 値 | 既定値 |\n|---|---|---|",
        "as_fit": "`fit`のすべてのキーのほかに:",
        "required": "必須",
    },
}


def config_keys(language: Language) -> str:
    """The page in one language."""
    words = _WORDS[language]
    parts = [f"# {words['title']}", words["other"], words["about"]]
    for title, options in _commands():
        parts.append(f"## {title}")
        if title in ("inspect", "plan"):
            parts.append(words["as_fit"])
        for section, members in _sections(options).items():
            parts += [f"### {section}"] * bool(section)
            parts += [words["trainer"]] * (section == "trainer")
            parts.append(_table(members, language, short=section == "trainer"))
    return "\n\n".join(parts) + "\n"


def untranslated() -> list[str]:
    """The English texts that the Japanese page repeats."""
    texts = {option.text for _, options in _commands() for option in options}
    shown = {text for text in texts if text and text not in _japanese()}
    return sorted(shown - {o.text for o in command_options("fit") if o.key.startswith(_TRAINER)})


def _commands() -> Iterator[tuple[str, list[Option]]]:
    for command in COMMANDS:
        if command in _LIKE_FIT:
            continue
        if command == "fit":
            yield ", ".join(["fit", *_LIKE_FIT]), command_options("fit")
        elif command in ("inspect", "plan"):
            yield command, own_options(command)
        else:
            for words in [f"{command} {word}" for word in subcommands(command)] or [command]:
                yield words, command_options(words)


def _sections(options: list[Option]) -> dict[str, list[Option]]:
    """The options by the first part of their keys; those without one first."""
    sections: dict[str, list[Option]] = {"": []}
    several = any(option.key.startswith("model.") for option in options)
    for option in options:
        first, dot, _ = option.key.partition(".")
        sections.setdefault(first if dot and several else "", []).append(option)
    return {name: members for name, members in sections.items() if members}


def _table(options: list[Option], language: Language, short: bool) -> str:
    words = _WORDS[language]
    rows = [words["short_head" if short else "head"]]
    for option in options:
        default = f"`{option.default}`" if option.default else words["required"]
        cells = [f"`{option.key}`", _cell(option.kind), default]
        if not short:
            cells.append(_cell(_text(option.text, language)))
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def _text(text: str, language: Language) -> str:
    return _japanese().get(text, text) if language == "ja" else text


def _cell(text: str) -> str:
    """A text in a table, in which nothing becomes a column or a tag."""
    return text.replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*")


@cache
def _japanese() -> dict[str, str]:
    """English texts of options with their translations."""
    return dict(yaml.safe_load(_TEXTS.read_text(encoding="utf-8")))
