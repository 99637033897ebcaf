"""The commands of the guides, in their order, on tiny bases with the names of the real ones."""

import contextlib
import csv
import io
import json
import re
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tiny_base import write_tiny_base, write_tiny_llama
from transformers import GptOssForCausalLM

from animelm.cli import main
from animelm.sample.writer import GENERATED
from tests.layouts import write_mxfp4

LLM_JP = "llm-jp/llm-jp-3-7.2b-instruct3"
PAGES = Path(__file__).parents[2] / "docs"
SMALL = {
    "fit": [
        "--trainer.max_steps=1",
        "--trainer.max_epochs=1",
        "--trainer.accelerator=cpu",
        "--trainer.accumulate_grad_batches=1",
        "--data.block_size=128",
        "--data.blocks_per_batch=2",
        "--data.questions_per_set=2",
        "--data.trained_questions=2",
        "--model.generation.max_new_tokens=4",
        "--model.compute.dtype=float32",
    ],
    "compare": [
        "--questions_per_set=2",
        "--max_new_tokens=4",
        "--max_thinking_tokens=4",
        "--block_size=128",
        "--compute_type=float32",
    ],
    "ask": ["--max_new_tokens=4", "--max_thinking_tokens=4", "--compute_type=float32"],
    "export": ["--check=false"],
}
SMALL["validate"] = SMALL["fit"]
OTHER_TOOLS = ("hf ", "export HF_HUB_OFFLINE=1", "pip install ", "tensorboard ")


def blocks(page: str, language: str) -> list[str]:
    """The code of a page in a language."""
    text = (PAGES / page).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def commands(page: str) -> list[str]:
    """The lines of a page's shell blocks."""
    return [line for block in blocks(page, "sh") for line in block.splitlines()]


def write_gpt_oss(folder: Path) -> None:
    model = GptOssForCausalLM.from_pretrained(write_tiny_base(folder))
    (folder / "model.safetensors").unlink()
    write_mxfp4(model, folder)


def write_works(folder: Path, works: int) -> None:
    """Articles and questions on a few works of the sample, where the configs expect them."""
    articles = folder / "articles"
    articles.mkdir(parents=True)
    for number in range(1, works + 1):
        for path in (GENERATED / "anime" / "articles").glob(f"{number:04}-0*.md"):
            shutil.copy(path, articles)


def write_questions(path: Path, works: int) -> None:
    lines = (GENERATED / "anime" / "qa.jsonl").read_text(encoding="utf-8").splitlines()
    names = list(dict.fromkeys(json.loads(line)["work"] for line in lines))[:works]
    kept = [line for line in lines if json.loads(line)["work"] in names]
    path.parent.mkdir(parents=True)
    path.write_text("\n".join(kept) + "\n", encoding="utf-8")


@pytest.mark.parametrize(
    ("page", "base", "write_base", "corpus", "questions", "works"),
    [
        ("gpt-oss-20b.md", "unsloth/gpt-oss-20b", write_gpt_oss, "anime", "anime-qa", 4),
        ("llm-jp.md", LLM_JP, write_tiny_llama, "gintama", "gintama-qa", 1),
    ],
)
def test_the_commands_of_a_guide_run_one_after_another(
    page: str,
    base: str,
    write_base: Callable[[Path], object],
    corpus: str,
    questions: str,
    works: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / base).mkdir(parents=True)
    write_base(tmp_path / base)
    write_works(tmp_path / "corpus" / corpus, works)
    write_questions(tmp_path / "data" / f"{questions}.jsonl", works)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    ran = run_commands(page)
    assert {"plan", "questions", "fit", "validate", "compare", "ask", "export"} <= set(ran)


def run_commands(page: str) -> list[str]:
    """Runs the commands of a page at toy size in the working directory; their names."""
    ran = []
    for line in commands(page):
        if line.startswith(OTHER_TOOLS) or "…" in line:
            continue
        python, _, package, command, *options = shlex.split(line)
        assert (python, package) == ("python", "animelm"), line
        said = io.StringIO()
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            status = main([command, *options, *SMALL.get(command, ())])
        assert status == 0, f"{line}\n{said.getvalue()}"
        ran.append(command)
    return ran


def write_own_questions(folder: Path, works: int) -> None:
    """Questions on works of the sample in the three forms that the first hour shows."""
    write_questions(folder / "all.jsonl", works)
    lines = (folder / "all.jsonl").read_text(encoding="utf-8").splitlines()
    (folder / "all.jsonl").unlink()
    pairs = [(row["question"], row["answers"][0]) for row in map(json.loads, lines)]
    with (folder / "a.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("質問", "出力"), *pairs[::3]])
    objects = [{"question": question, "answer": answer} for question, answer in pairs[1::3]]
    rows = [json.dumps(each, ensure_ascii=False) for each in objects]
    (folder / "b.jsonl").write_text("\n".join(rows) + "\n", encoding="utf-8")
    told = [f"質問：{question}\n出力：{answer}\n" for question, answer in pairs[2::3]]
    (folder / "c.txt").write_text("\n".join(told), encoding="utf-8")


def test_the_commands_of_the_first_hour_run_in_an_empty_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = tmp_path / "checkpoints" / "nano-gpt-oss-ja"
    base.mkdir(parents=True)
    write_tiny_base(base)
    write_works(tmp_path, 4)
    (tmp_path / "articles").rename(tmp_path / "my_articles")
    write_own_questions(tmp_path / "my_questions", 4)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    ran = run_commands("first-hour.md")
    assert ran == [
        *("questions", "plan", "fit", "fit", "validate", "fit", "validate"),
        *("compare", "report", "ask"),
    ]
    assert {path.name for path in (tmp_path / "runs").iterdir()} == {
        "my-cpt",
        "my-sft",
        "my-compare",
    }
    assert (tmp_path / "runs" / "my-compare" / "report.html").is_file()


@pytest.mark.parametrize("page", ["first-hour.md", "gpt-oss-20b.md", "llm-jp.md", "python-api.md"])
def test_the_japanese_page_has_the_same_code(page: str) -> None:
    twin = page.replace(".md", ".ja.md")
    for language in ("sh", "json", "csv", "text"):
        assert blocks(twin, language) == blocks(page, language)
    for ours, theirs in zip(blocks(page, "python"), blocks(twin, "python"), strict=True):
        assert ours == theirs


@pytest.mark.parametrize("page", sorted(path.name for path in PAGES.glob("*.md")))
def test_links_between_pages_lead_somewhere(page: str) -> None:
    text = (PAGES / page).read_text(encoding="utf-8")
    for link in re.findall(r"\]\((?!https?:)([^)#]+)[^)]*\)", text):
        assert (PAGES / link).exists(), link
