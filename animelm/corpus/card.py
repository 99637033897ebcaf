"""The dataset card: contents, origin and attribution of a corpus."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import yaml

from animelm.corpus.selection.select import Selection

# Identifiers of the Hugging Face hub.
_LICENSES = {"CC BY-SA 4.0": "cc-by-sa-4.0", "CC BY-SA 3.0": "cc-by-sa-3.0"}
_DEEDS = {
    "CC BY-SA 4.0": "https://creativecommons.org/licenses/by-sa/4.0/",
    "CC BY-SA 3.0": "https://creativecommons.org/licenses/by-sa/3.0/",
}
_CARD = """\
---
{front}---

# Articles as Markdown

| | |
|---|---:|
{table}

## License and attribution

The articles are the work of the authors of {host}, under {license}{deed}. Each file names its page
in `source` and the revision in `revision`; the page's history there lists its authors. The text was
changed: wikitext was converted to Markdown; references, navigation and files were removed. Whoever
redistributes the articles, or a work made from them, must name these authors, state the changes,
and use the same license.

## How the articles were selected

{selected}

## Dump files

{files}

## Files

- `articles/`: one UTF-8 Markdown file per article, with `title`, `page_id`, `revision`,
  `categories`, `source` and `license` in its YAML front matter.
- `manifest.jsonl`: one line per article: its file and SHA-256, page, revision, characters,
  categories, why it was selected, license.
- `left_out.jsonl`: one line per selected article that was left out, with the reason.
- `contaminated.jsonl`: passages that contain evaluation questions.
- `build.json`: how the corpus was built; it is written last.
"""


@dataclass(frozen=True)
class Source:
    """A dump file.

    Attributes:
        name: name of the file.
        sha256: SHA-256 of the file, hexadecimal.
        bytes: its size.
    """

    name: str
    sha256: str
    bytes: int


@dataclass(frozen=True)
class CorpusCounts:
    """Numbers of pages, and of characters.

    Attributes:
        articles: articles in the dumps.
        redirects: redirects in the dumps.
        categories: category pages in the dumps.
        others: pages of other namespaces in the dumps.
        selected: articles that were selected.
        kept: articles in the corpus.
        not_parsed: selected articles that could not be parsed.
        refused: selected articles that were left out in cleaning.
        characters: characters of Markdown in the corpus.
    """

    articles: int
    redirects: int
    categories: int
    others: int
    selected: int
    kept: int
    not_parsed: int
    refused: int
    characters: int


def dataset_card(
    wiki: str,
    language: str,
    license: str,
    selection: Selection,
    sources: Sequence[Source],
    counts: CorpusCounts,
) -> str:
    """The text of ``README.md``; the same corpus always gives the same text.

    Args:
        wiki: address of the wiki's main page, or empty.
        language: code of the language, or empty.
        license: license of the articles.
        selection: how the articles were selected.
        sources: the dump files.
        counts: numbers of pages.
    """
    header = {"license": _LICENSES.get(license, "other"), "task_categories": ["text-generation"]}
    if language:
        header["language"] = [language]
    front = yaml.safe_dump(header, allow_unicode=True, sort_keys=False)
    conditions = {name: value for name, value in asdict(selection).items() if value is not None}
    if selection == Selection(depth=selection.depth, match=selection.match):
        conditions = {}
    deed = f" ([text of the license]({_DEEDS[license]}))" if license in _DEEDS else ""
    host = wiki.rpartition("/")[0] or "the wiki of the dumps"
    rows = [
        ("articles in the dumps", counts.articles),
        ("selected", counts.selected),
        ("**kept**", counts.kept),
        ("not parsed", counts.not_parsed),
        ("left out in cleaning", counts.refused),
        ("characters kept", counts.characters),
        ("redirects in the dumps", counts.redirects),
        ("category pages", counts.categories),
        ("pages of other namespaces", counts.others),
    ]
    table = "\n".join(f"| {name} | {number:,} |" for name, number in rows)
    files = "\n".join(
        f"- `{source.name}`, {source.bytes:,} bytes, SHA-256 `{source.sha256}`"
        for source in sources
    )
    selected = "\n".join(f"- {name}: `{value}`" for name, value in conditions.items())
    return _CARD.format(
        front=front,
        table=table,
        host=host,
        license=license,
        deed=deed,
        selected=selected or "- every article",
        files=files,
    )
