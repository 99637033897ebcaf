"""The dataset card: what a corpus holds, where it comes from, and whom to name."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import yaml

from animelm.corpus.selection.select import Choice

# As the hub writes them.
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
changed: wikitext was turned into Markdown; references, navigation and files were removed. Whoever
passes articles on, or a work made from them, must name these authors, say what was changed, and use
the same license.

## How the articles were chosen

{chosen}

## Dump files

{files}

## Files

- `articles/`: one UTF-8 Markdown file an article, with `title`, `page_id`, `revision`,
  `categories`, `source` and `license` in its YAML front matter.
- `manifest.jsonl`: a line for each article: its file and SHA-256, page, revision, characters,
  categories, why it was chosen, license.
- `left_out.jsonl`: a line for each article that was chosen and is not here, with the reason.
- `contaminated.jsonl`: passages that contain evaluation questions.
- `build.json`: how the corpus was built; it is written last.
"""


@dataclass(frozen=True)
class Source:
    """A dump file.

    Attributes:
        name: of the file.
        sha256: of its bytes, hexadecimal.
        bytes: its size.
    """

    name: str
    sha256: str
    bytes: int


@dataclass(frozen=True)
class CorpusCounts:
    """How many pages there were, and what became of them.

    Attributes:
        articles: articles in the dumps.
        redirects: pages that only lead to another.
        categories: pages of categories.
        others: pages of other namespaces.
        chosen: articles that were chosen.
        kept: articles that the corpus holds.
        not_parsed: chosen, and could not be read or turned into Markdown.
        refused: chosen, and refused in cleaning.
        characters: of Markdown in the articles kept.
    """

    articles: int
    redirects: int
    categories: int
    others: int
    chosen: int
    kept: int
    not_parsed: int
    refused: int
    characters: int


def dataset_card(
    wiki: str,
    language: str,
    license: str,
    choice: Choice,
    sources: Sequence[Source],
    counts: CorpusCounts,
) -> str:
    """The text of ``README.md``; the same corpus always gives the same text.

    Args:
        wiki: address of a page of the wiki, or empty.
        language: its code, or empty.
        license: under which the articles may be used.
        choice: how they were chosen.
        sources: the dump files.
        counts: of pages.
    """
    header = {"license": _LICENSES.get(license, "other"), "task_categories": ["text-generation"]}
    if language:
        header["language"] = [language]
    front = yaml.safe_dump(header, allow_unicode=True, sort_keys=False)
    conditions = {name: value for name, value in asdict(choice).items() if value is not None}
    if choice == Choice(depth=choice.depth, match=choice.match):
        conditions = {}
    deed = f" ([text of the license]({_DEEDS[license]}))" if license in _DEEDS else ""
    host = wiki.rpartition("/")[0] or "the wiki that the dumps are of"
    rows = [
        ("articles in the dumps", counts.articles),
        ("chosen", counts.chosen),
        ("**kept**", counts.kept),
        ("not parsed", counts.not_parsed),
        ("refused in cleaning", counts.refused),
        ("characters kept", counts.characters),
        ("redirects in the dumps", counts.redirects),
        ("pages of categories", counts.categories),
        ("pages of other namespaces", counts.others),
    ]
    table = "\n".join(f"| {name} | {number:,} |" for name, number in rows)
    files = "\n".join(
        f"- `{source.name}`, {source.bytes:,} bytes, SHA-256 `{source.sha256}`"
        for source in sources
    )
    chosen = "\n".join(f"- {name}: `{value}`" for name, value in conditions.items())
    return _CARD.format(
        front=front,
        table=table,
        host=host,
        license=license,
        deed=deed,
        chosen=chosen or "- every article",
        files=files,
    )
