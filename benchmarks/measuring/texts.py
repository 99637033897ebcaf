"""Real Japanese text as a folder of Markdown articles."""

import json
from pathlib import Path


def write_articles(squad_file: Path, folder: Path, documents: int) -> None:
    """Writes the first ``documents`` paragraphs of a file in SQuAD's form, one article each.

    Raises:
        OSError: the file is not there.
    """
    folder.mkdir(parents=True)
    data = json.loads(squad_file.read_text(encoding="utf-8"))["data"]
    contexts = [part["context"] for article in data for part in article["paragraphs"]]
    for number, context in enumerate(contexts[:documents]):
        title, _, text = context.partition(" [SEP] ")
        content = f"---\ntitle: {json.dumps(title, ensure_ascii=False)}\n---\n# {title}\n\n{text}\n"
        (folder / f"{number:05}.md").write_text(content, encoding="utf-8")
