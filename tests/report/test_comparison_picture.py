from dataclasses import replace
from pathlib import Path

import pytest

from animelm.evaluate.summary import ModelSummary, SetScores, Summary
from animelm.report.comparison_picture import save_comparison_picture


def scores(accuracy: float | None, n: int = 40, ci95: tuple[float, float] | None = None):
    return SetScores(n, accuracy, accuracy, accuracy, works=8, ci95=ci95, directions={})


@pytest.fixture
def summary() -> Summary:
    base = ModelSummary({"asked": scores(0.1, ci95=(0.0, 0.2)), "empty": scores(None, n=0)})
    sft = ModelSummary({"asked": scores(0.9), "empty": scores(None, n=0)})
    return Summary(models={"base": base, "sft": sft}, differences={}, seconds=1.0)


def test_models_and_sets_are_named_and_a_set_without_questions_is_left_out(
    summary: Summary, tmp_path: Path
) -> None:
    path = tmp_path / "comparison.svg"
    save_comparison_picture(path, summary)
    text = path.read_text(encoding="utf-8")
    for words in ("CPT + SFT", "base", "asked", "(n = 40)"):
        assert f">{words}</text>" in text or f">{words}</tspan>" in text
    assert ">empty" not in text


def test_japanese_names_are_text_that_the_readers_fonts_show(
    summary: Summary, tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    named = replace(summary, models={"検索なし": summary.models["base"]})
    save_comparison_picture(tmp_path / "comparison.svg", named)
    text = (tmp_path / "comparison.svg").read_text(encoding="utf-8")
    assert ">検索なし</text>" in text and "Noto Sans CJK JP" in text
    assert not [w for w in recwarn if "missing from font" in str(w.message)]


def test_the_same_figures_give_the_same_picture(summary: Summary, tmp_path: Path) -> None:
    for name in ("one.png", "two.png"):
        save_comparison_picture(tmp_path / name, summary)
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()
