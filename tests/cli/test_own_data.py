"""Articles and questions of the user's own, named on the command line."""

import json
from pathlib import Path

import pytest

PAIRS = [
    (question.format(subject), f"{subject}の色は{colour}です。")
    for subject, colour in (("空", "青"), ("雪", "白"), ("炭", "黒"), ("血", "赤"), ("葉", "緑"))
    for question in ("{}の色は何ですか?", "{}は何色ですか?", "{}の色を教えてください。")
]


def write_pairs(path: Path) -> Path:
    if path.suffix == ".jsonl":
        lines = [json.dumps({"質問": q, "出力": a}, ensure_ascii=False) for q, a in PAIRS]
    elif path.suffix == ".csv":
        lines = ["質問,出力", *(f'"{q}",{a}' for q, a in PAIRS)]
    else:
        lines = [line for q, a in PAIRS for line in (f"質問: {q}", f"出力: {a}", "")]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".txt"])
def test_sft_trains_on_pairs_in_each_format(
    suffix: str, call, small, sample, tmp_path: Path
) -> None:
    called = call(
        "fit",
        "--config=sft.yaml",
        *small(tmp_path / "run", 2),
        f"--data.records={write_pairs(tmp_path / f'mine{suffix}')}",
        f"--data.general_records={sample.general_records}",
        "--data.questions_per_set=4",
        "--model.adapter.init_from=null",
    )
    assert called.status == 0, called.err
    assert (tmp_path / "run" / "adapter" / "adapter_model.safetensors").is_file()


def test_cpt_trains_on_a_folder_of_markdown_without_replay(call, small, tmp_path: Path) -> None:
    articles = tmp_path / "articles" / "below"
    articles.mkdir(parents=True)
    for number in range(6):
        text = f"---\ntitle: 記事{number}\n---\n# 記事{number}\n\n" + "本文です。" * 40
        (articles / f"{number}.md").write_text(text, encoding="utf-8")
    own = [f"--data.folder={articles.parent}", "--data.general_folders=null"]
    called = call("fit", "--config=cpt.yaml", *small(tmp_path / "run", 2), *own)
    assert called.status == 0, called.err
    assert (tmp_path / "run" / "adapter" / "adapter_model.safetensors").is_file()


def test_real_articles_and_questions_are_trained_and_asked(
    call, small, sample, shared_data: Path, tmp_path: Path
) -> None:
    """Paragraphs and questions of JSQuAD, as a user would cut them out."""
    source = json.loads((shared_data / "qa" / "jsquad-v1.3-valid.json").read_text("utf-8"))
    articles, lines = tmp_path / "articles", []
    articles.mkdir()
    for number, entry in enumerate(source["data"][:12]):
        paragraphs = [p["context"].partition("[SEP]")[2].strip() for p in entry["paragraphs"]]
        text = f"# {entry['title']}\n\n" + "\n\n".join(paragraphs)
        (articles / f"{number}.md").write_text(text, encoding="utf-8")
        for paragraph in entry["paragraphs"]:
            for asked in paragraph["qas"]:
                pair = {"question": asked["question"], "answer": asked["answers"][0]["text"]}
                lines.append(json.dumps(pair, ensure_ascii=False))
    questions = tmp_path / "questions.jsonl"
    questions.write_text("\n".join(lines) + "\n", encoding="utf-8")

    cpt = [f"--data.folder={articles}", f"--data.general_folders=[{sample.general_articles}]"]
    called = call("fit", "--config=cpt.yaml", *small(tmp_path / "cpt", 2), *cpt)
    assert called.status == 0, called.err
    sft = [
        f"--data.records={questions}",
        f"--data.general_records={sample.general_records}",
        "--data.questions_per_set=4",
        f"--model.adapter.init_from={tmp_path / 'cpt' / 'adapter'}",
    ]
    called = call("fit", "--config=sft.yaml", *small(tmp_path / "sft", 2), *sft)
    assert called.status == 0, called.err
    evaluated = f"--model.adapter.evaluate={tmp_path / 'sft' / 'adapter'}"
    called = call("validate", "--config=sft.yaml", *small(tmp_path / "asked"), *sft, evaluated)
    assert called.status == 0, called.err
