"""How the figures of a report were made: settings, versions, hashes, hardware, attribution."""

import os
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from animelm.data.sources.markdown import read_with_front_matter
from animelm.errors import UserError
from animelm.report.page.content import Content
from animelm.report.page.exhibit import Exhibit, PageTable, duration
from animelm.report.page.texts import Texts
from animelm.report.page.training import TrainingRun
from animelm.report.shapes import part
from animelm.shipped import find_shipped

_SHOWN_HASH = 12
_MOST_SOURCES = 12
_ROLES = {
    "articles": "アニメの記事",
    "questions": "アニメの質問",
    "general_articles": "一般の記事",
    "general_questions": "一般の質問",
}
_SEEN_FOLDERS = 5000  # a record may name any folder
_JOULES_PER_KWH = 3.6e6
_READ_ARTICLES = 2000  # of a large corpus, the first articles name its license and sources


def made_exhibits(content: Content, texts: Texts) -> list[Exhibit]:
    """A table of the comparison and one of each run."""
    found = [_comparison(content, texts)] if content.summary else []
    return [
        *found,
        *(_run(run, number, content.watts, texts) for number, run in enumerate(content.runs)),
    ]


def _comparison(content: Content, texts: Texts) -> Exhibit:
    summary, made = content.summary, content.made
    assert summary is not None
    unknown = texts("made.unknown")
    bases = made.get("bases") or {}
    rows = [
        [texts("made.written"), made.get("written", unknown)],
        [texts("made.seconds"), duration(summary.seconds, texts("lang") == "ja")],
        [texts("made.seeds"), ", ".join(map(str, summary.seeds))],
        [texts("made.hardware"), _joined(made.get("hardware")) or unknown],
        [texts("made.energy"), _energy(summary.seconds, content.watts, texts)],
        [texts("made.versions"), _joined(made.get("versions")) or unknown],
        [texts("made.base"), "\n".join(map(_base, bases.values())) or unknown],
        [texts("made.split"), _joined(made.get("split")) or unknown],
        [texts("made.settings"), _joined(made.get("settings")) or unknown],
        [
            texts("made.parameters"),
            "\n".join(
                f"{target}: {count:,}"
                for target, count in summary.trainable_parameters_per_target.items()
            )
            or "0",
        ],
    ]
    return Exhibit("made", texts("made.comparison"), "", PageTable(["", ""], rows))


def _energy(seconds: float, watts: float | None, texts: Texts) -> str:
    """What was consumed at a power that the user stated; nothing is known without one."""
    if watts is None:
        return texts("made.unknown")
    used = watts * seconds / _JOULES_PER_KWH
    return texts("made.consumed", energy=f"{used:.3g}", watts=f"{watts:g}")


def _run(run: TrainingRun, number: int, watts: float | None, texts: Texts) -> Exhibit:
    unknown = texts("made.unknown")
    step: dict[str, Any] = run.steps[-1] if run.steps else {}
    versions = f"animelm {step['animelm']}" if "animelm" in step else unknown
    start = step.get("init_adapter") or texts("made.fresh")
    rows = [
        [texts("made.seconds"), duration(run.seconds, texts("lang") == "ja")],
        [texts("made.energy"), _energy(run.seconds, watts, texts)],
        [texts("made.seeds"), str(run.config.get("seed_everything", unknown))],
        [texts("made.versions"), versions],
        [texts("made.base"), _base(step.get("base") or {}) or unknown],
        [texts("made.start"), _place(start) if step else unknown],
        [texts("made.data"), "\n".join(map(_data, step.get("data", ()))) or unknown],
        [texts("made.split"), _joined(step.get("split")) or unknown],
        [texts("made.settings"), _joined(step.get("settings")) or unknown],
    ]
    title = texts("made.run", name=run.name)
    return Exhibit(f"made-{number}", title, "", PageTable(["", ""], rows))


def _data(record: dict[str, Any]) -> str:
    role = str(record.get("role", "")).replace("_", " ")
    shown = str(record.get("sha256", ""))[:_SHOWN_HASH]
    return f"{_place(str(record.get('path', '')))} ({role}, SHA-256 {shown}…)"


def _base(values: dict[str, Any]) -> str:
    hashes = ", ".join(
        f"{part} {str(values[f'{part}_sha256'])[:_SHOWN_HASH]}…"
        for part in ("config", "weights", "tokenizer")
        if values.get(f"{part}_sha256")
    )
    if not values:
        return ""
    return f"{_place(str(values.get('name', '')))} ({hashes})"


def _joined(values: dict[str, Any] | None) -> str:
    return "\n".join(
        f"{name}: {_plain(value)}"
        for name, value in (values or {}).items()
        if value not in (None, [])
    )


def _plain(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _place(path: str) -> str:
    """A path without the folders above the project's, which are those of one machine."""
    given = Path(path)
    if not given.is_absolute():
        return path
    return given.name if len(given.parts) < 4 else str(Path("…", *given.parts[-3:]))


def data_rows(runs: Sequence[TrainingRun]) -> PageTable:
    """Every source of data that was trained on, once, for the weekly report."""
    records = {
        (record.get("role"), record.get("path")): record
        for run in runs
        for step in run.steps
        for record in step.get("data", ())
    }
    rows = [
        [
            _ROLES.get(str(record.get("role")), str(record.get("role"))),
            _place(str(record.get("path", ""))),
            str(record.get("sha256", ""))[:_SHOWN_HASH],
        ]
        for record in records.values()
    ]
    return PageTable(["種別", "場所", "SHA-256(先頭12桁)"], rows)


def method_table(runs: Sequence[TrainingRun]) -> PageTable:
    """What each run trained and how, for the weekly report."""
    head = ["項目", *(run.name for run in runs)]
    columns = [_method(run) for run in runs]
    names = dict.fromkeys(name for column in columns for name in column)
    rows = [[name, *(column.get(name, "–") for column in columns)] for name in names]
    return PageTable(head, rows)


def _method(run: TrainingRun) -> dict[str, str]:
    step: dict[str, Any] = run.steps[-1] if run.steps else {}
    settings, data = part(step, "settings"), part(run.config, "data", "init_args")
    optimizer, shares = part(run.config, "model", "optimizer"), part(data, "shares")
    start = step.get("init_adapter")
    values = {
        "手法": {"cpt": "継続事前学習(CPT)", "sft": "教師ありファインチューニング(SFT)"}.get(
            str(step.get("step")), step.get("step")
        ),
        "初期値": _place(start) if start else "新規のアダプタ",
        "LoRAのランク": settings.get("lora.rank"),
        "LoRAのα": settings.get("lora.alpha"),
        "対象の線形層": settings.get("lora.target_modules"),
        "オプティマイザ": optimizer.get("kind"),
        "学習率": optimizer.get("learning_rate"),
        "エポック数": part(run.config, "trainer").get("max_epochs"),
        "更新回数": step.get("optimizer_steps"),
        "ブロック長": data.get("block_size"),
        "エポックの基準とするデータ": _ROLES.get(str(data.get("epoch")), data.get("epoch")),
        "混合比": "、".join(
            f"{_ROLES.get(name, name)} {100 * share:.0f}%"
            for name, share in shares.items()
            if share and isinstance(share, int | float)
        ),
        "シード": run.config.get("seed_everything"),
        "所要時間": duration(run.seconds, japanese=True),
    }
    return {name: str(value) for name, value in values.items() if value not in (None, "")}


def attribution(runs: Sequence[TrainingRun], texts: Texts) -> list[str]:
    """A line for each folder of articles: its license, its sources, and what was held out of it."""
    held_out = {
        str(record["path"]): (step.get("split") or {}).get("validation_share")
        for run in runs
        for step in run.steps
        for record in step.get("data", ())
        if record.get("role") in ("articles", "general_articles")
    }
    return [_licensed(path, share, texts) for path, share in held_out.items()]


def _licensed(path: str, held_out: float | None, texts: Texts) -> str:
    folder = find_shipped(Path(path))
    if not folder.is_dir():
        return texts("made.folder_gone", path=_place(path))
    licenses: dict[str, None] = {}
    sources: dict[str, None] = {}
    below = islice(os.walk(folder), _SEEN_FOLDERS)
    articles = [Path(path, name) for path, _, names in below for name in names]
    for article in sorted(a for a in articles if a.suffix == ".md")[:_READ_ARTICLES]:
        metadata = _metadata(article)
        if license := metadata.get("license"):
            licenses[str(license)] = None
        given = metadata.get("source") or []
        for source in given if isinstance(given, list) else [given]:
            sources |= dict.fromkeys(_source(part) for part in str(source).split("; "))
    if not licenses:
        return texts("made.no_license", path=_place(path))
    shown = list(sources)[:_MOST_SOURCES]
    if len(sources) > len(shown):
        shown.append(texts("made.and_more", count=len(sources) - len(shown)))
    named = (", " if texts("lang") == "en" else "、").join(shown)
    line = texts("made.licensed", path=_place(path), license=", ".join(licenses), sources=named)
    return line + (texts("made.held_out", share=f"{100 * held_out:g}") if held_out else "")


def _metadata(path: Path) -> dict[str, Any]:
    try:
        return read_with_front_matter(path)[0]
    except UserError:
        return {}  # an article that cannot be read names no license


def _source(text: str) -> str:
    """The host of an address; other sources as they are."""
    parts = urlsplit(text)
    return parts.netloc if parts.scheme in ("http", "https") else text


def configs(runs: Iterable[TrainingRun], texts: Texts) -> list[tuple[str, str]]:
    """Title and text of each run's config."""
    return [
        (texts("made.config", name=run.name), run.config_text) for run in runs if run.config_text
    ]
