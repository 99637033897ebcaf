"""Speed of turning a dump into articles, beside wikiextractor and a plain mwparserfromhell loop.

    python benchmarks/corpus_speed.py --dump DUMP.xml.bz2 --wikiextractor VENV/bin/wikiextractor

Measures, each in a separate process on one core, including its start, reading and writing:

1. every page selected: pages and MB of XML per second, and the share of each other tool's plain
   text that our articles contain;
2. one page in a hundred selected, from plain XML and from multistream bzip2;
3. peak memory on dumps of growing size.

Larger dumps repeat the pages of the given one, each time with other titles, numbers and sentences,
in a temporary folder that is removed. The table shows CPU seconds and wall-clock time; the last
line is JSON.
"""

import argparse
import bz2
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import count, islice
from pathlib import Path
from xml.sax.saxutils import escape

from rich.console import Console
from rich.table import Table

from animelm.corpus.dump.pages import Page, PageStream, parse_page
from animelm.corpus.dump.reader import describe_dump, unpacked

MEGABYTE = 1_000_000
ROOT = Path(__file__).resolve().parent.parent
CHOSEN = "一パーセント"
# wikiextractor writes no article without the name of the template namespace.
HEAD = """<mediawiki xml:lang="ja">
  <siteinfo>
    <base>https://example.org/wiki/Main_Page</base>
    <namespaces>
      <namespace key="0" case="first-letter" />
      <namespace key="10" case="first-letter">Template</namespace>
      <namespace key="14" case="first-letter">Category</namespace>
    </namespaces>
  </siteinfo>
"""
STRIP_CODE = """
import sys, json, xml.etree.ElementTree as ElementTree, mwparserfromhell
with open(sys.argv[2], "w", encoding="utf-8") as out:
    for _, page in ElementTree.iterparse(sys.argv[1]):
        if page.tag.rpartition("}")[2] == "page":
            title = page.findtext("{*}title")
            text = page.findtext("{*}revision/{*}text") or ""
            plain = mwparserfromhell.parse(text).strip_code()
            out.write(json.dumps({"title": title, "text": plain}, ensure_ascii=False) + "\\n")
            page.clear()
"""
# The least work of any reader of such a dump.
UNPACK = """
import bz2, sys
with bz2.open(sys.argv[1]) as file:
    while file.read(1 << 20):
        pass
"""
# In a process of its own, because a peak is kept over all children of one.
MEASURE = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(used.ru_utime + used.ru_stime, used.ru_maxrss)
"""


@dataclass(frozen=True)
class Run:
    """What one process took.

    Attributes:
        pages: in the dump.
        megabytes: of XML, 10^6 bytes.
        cpu_seconds: of the process and those it started.
        wall_seconds: from start to end.
        peak_megabytes: most memory that one process held.
    """

    pages: int
    megabytes: float
    cpu_seconds: float
    wall_seconds: float
    peak_megabytes: float

    @property
    def megabytes_per_second(self) -> float:
        """MB of XML a CPU second."""
        return self.megabytes / self.cpu_seconds

    @property
    def pages_per_second(self) -> float:
        """Pages a CPU second."""
        return self.pages / self.cpu_seconds


def main() -> None:
    """Measures, prints tables, and a JSON line."""
    options = parse_options()
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    with tempfile.TemporaryDirectory(prefix="corpus-speed-") as name:
        folder = Path(name)
        source = list(read_pages(Path(options.dump)))
        result = {
            "all": measure_all(source, folder, options),
            "one_percent": measure_one_percent(source, folder, options),
            "memory": measure_memory(source, folder, options),
        }
    report(result)
    print(json.dumps(result, default=asdict))


def parse_options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--dump", default="../shared/data/dumps/jawiki-countries.xml.bz2", help="a small dump"
    )
    parser.add_argument(
        "--wikiextractor", help="path of its command, in a separate virtual environment"
    )
    parser.add_argument("--all-megabytes", type=float, default=30, help="XML, every page selected")
    parser.add_argument("--one-percent-megabytes", type=float, default=200, help="XML, 1 %% of it")
    parser.add_argument(
        "--memory-megabytes", type=float, nargs="*", default=[100, 500, 2000], help="XML"
    )
    parser.add_argument(
        "--memory-all",
        action="store_true",
        help="peak memory also with every page (slow)",
    )
    return parser.parse_args()


def read_pages(path: Path) -> Iterator[Page]:
    """The articles of a dump."""
    [segment] = describe_dump(path).segments
    for _, span in PageStream(segment, unpacked(segment)):
        if b"<ns>0</ns>" in span and b"<redirect" not in span:
            yield parse_page(span)


def varied(source: list[Page], megabytes: float, share: float = 0) -> Iterator[str]:
    """Pages as XML until so much is made; a share of them in the category ``CHOSEN``."""
    made, every = 0, round(1 / share) if share else 0
    for number in count():
        page, turn = source[number % len(source)], number // len(source)
        text = re.sub(r"(?<=[^\s\d])([。.])(?=\s|$|[^\d\w])", rf" {turn}\1", page.text)
        if every and number % every == 0:
            text += f"\n[[Category:{CHOSEN}]]"
        # One element a line: wikiextractor reads lines, not XML.
        xml = "\n".join(
            (
                "  <page>",
                f"    <title>{escape(page.title)} {turn}</title>",
                "    <ns>0</ns>",
                f"    <id>{number + 1}</id>",
                "    <revision>",
                f"      <id>{number + 1}</id>",
                f'      <text xml:space="preserve">{escape(text)}</text>',
                "    </revision>",
                "  </page>\n",
            )
        )
        made += len(xml.encode())
        if made > megabytes * MEGABYTE:
            return
        yield xml


def write_dump(pages: Iterator[str], path: Path) -> tuple[int, float]:
    """Writes a dump, as multistream bzip2 where its name says so.

    Returns:
        Its pages, and MB of XML.
    """
    written, size = 0, 0
    with path.open("wb") as file:

        def write(text: str) -> None:
            nonlocal size
            content = text.encode()
            size += len(content)
            file.write(bz2.compress(content) if path.suffix == ".bz2" else content)

        write(HEAD)
        while group := list(islice(pages, 20)):
            write("".join(group))
            written += len(group)
        write("</mediawiki>\n")
    return written, size / MEGABYTE


def timed(command: list[str], pages: int, megabytes: float) -> Run:
    """Runs a command to its end."""
    begin = time.monotonic()
    wrapped = [sys.executable, "-c", MEASURE, *command]
    process = subprocess.run(wrapped, cwd=ROOT, capture_output=True, text=True)
    if process.returncode:
        raise SystemExit(f"{command[:5]} failed: {process.stderr[-2000:]}")
    wall = time.monotonic() - begin
    cpu, peak = map(float, process.stdout.split())
    return Run(pages, megabytes, cpu, wall, peak / 1024)


def build_command(dump: Path, out: Path, *selection: str) -> list[str]:
    """The command of our build, with the filters for length, language and duplicates off."""
    lenient = ["--cleaning.minimum_characters=0", "--cleaning.language=any"]
    return [
        *(sys.executable, "-m", "animelm", "corpus", "build", f"--dump={dump}", f"--out={out}"),
        *(f"--cache={out}-cache", "--workers=1", *lenient, *selection),
        "--cleaning.near_duplicate_threshold=1",
    ]


def measure_all(source: list[Page], folder: Path, options: argparse.Namespace) -> dict:
    """Every page selected."""
    dump = folder / "all.xml"
    size = write_dump(varied(source, options.all_megabytes), dump)
    measured = {"ours": timed(build_command(dump, folder / "all"), *size)}
    ours = {}
    for path in (folder / "all" / "articles").iterdir():
        text = path.read_text(encoding="utf-8")
        ours[json.loads(title_of(text))] = letters(text)
    stripped = folder / "stripped.jsonl"
    command = [sys.executable, "-c", STRIP_CODE, str(dump), str(stripped)]
    measured["mwparserfromhell"] = timed(command, *size)
    shares = {"mwparserfromhell": contained(read_json_lines([stripped]), ours)}
    if options.wikiextractor:
        out = folder / "wikiextractor"
        command = [options.wikiextractor, str(dump), "--processes=1", "--json", f"--output={out}"]
        measured["wikiextractor"] = timed(command, *size)
        shares["wikiextractor"] = contained(read_json_lines(sorted(out.rglob("wiki_*"))), ours)
    return {"runs": measured, "contained": shares}


def title_of(article: str) -> str:
    """The title in an article's front matter, as JSON."""
    return json.dumps(re.search(r"^title: (.*)$", article, re.M)[1].strip("'"))


def read_json_lines(paths: list[Path]) -> dict[str, str]:
    """Title and plain text of each page."""
    entries = (json.loads(line) for path in paths for line in path.open(encoding="utf-8"))
    return {entry["title"]: entry["text"] for entry in entries}


def letters(text: str) -> str:
    """A text without all that tools write in different ways: spaces, marks, signs."""
    return re.sub(r"[\W_]+", "", text).lower()


def contained(others: dict[str, str], ours: dict[str, str]) -> float:
    """Share of the letters of others' sentences that our article of the same title contains."""
    found = total = 0
    for title, text in others.items():
        own = ours.get(title, "")
        for sentence in re.split(r"[。\n]|(?<=[a-z])\. ", text):
            plain = letters(sentence)
            total += len(plain)
            found += len(plain) if plain in own else 0
    return found / total if total else 0.0


def measure_one_percent(source: list[Page], folder: Path, options: argparse.Namespace) -> dict:
    """One page in a hundred selected."""
    measured = {}
    for name in ("plain.xml", "multistream.xml.bz2"):
        dump, out = folder / name, folder / f"out-{name}"
        size = write_dump(varied(source, options.one_percent_megabytes, 0.01), dump)
        if dump.suffix == ".bz2":
            unpack = [sys.executable, "-c", UNPACK, str(dump)]
            measured[f"unpacking {name} alone"] = timed(unpack, *size)
        measured[f"ours, 1 % of {name}"] = timed(
            build_command(dump, out, f"--category={CHOSEN}"), *size
        )
        dump.unlink()
    return measured


def measure_memory(source: list[Page], folder: Path, options: argparse.Namespace) -> list[dict]:
    """Peak memory by the dump's size."""
    measured = []
    for megabytes in sorted(options.memory_megabytes):
        dump = folder / "memory.xml"
        size = write_dump(varied(source, megabytes, 0.01), dump)
        choices = {"one_percent": [f"--category={CHOSEN}"]}
        if options.memory_all:
            choices["all"] = []
        for name, selection in choices.items():
            run = timed(build_command(dump, folder / f"{megabytes}-{name}", *selection), *size)
            measured.append({"wanted": name, **asdict(run)})
        dump.unlink()
    return measured


def report(result: dict) -> None:
    """Tables for a reader."""
    table = Table(title="On one core")
    for column in ("", "pages/CPU s", "MB/CPU s", "MB/s", "peak MB", "of its text in ours"):
        table.add_column(column, justify="right" if column else "left")
    for name, run in (result["all"]["runs"] | result["one_percent"]).items():
        share = result["all"]["contained"].get(name)
        table.add_row(
            name,
            f"{run.pages_per_second:,.1f}",
            f"{run.megabytes_per_second:,.1f}",
            f"{run.megabytes / run.wall_seconds:,.1f}",
            f"{run.peak_megabytes:,.0f}",
            "" if share is None else f"{share:.1%}",
        )
    console = Console()
    console.print(table)
    memory = Table(title="Peak memory")
    for column in ("wanted", "MB of XML", "peak MB"):
        memory.add_column(column, justify="right")
    for entry in result["memory"]:
        memory.add_row(
            entry["wanted"], f"{entry['megabytes']:,.0f}", f"{entry['peak_megabytes']:,.0f}"
        )
    console.print(memory)


if __name__ == "__main__":
    main()
