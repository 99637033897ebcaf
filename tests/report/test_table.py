from rich.console import Console

from animelm.evaluate.summary import Difference, MeanScores, ModelSummary, SetScores, Summary
from animelm.report.table import summary_tables

EMPTY = SetScores(0, None, None, None, None, {})


def _printed(summary: Summary, width: int = 100) -> str:
    console = Console(width=width, record=True, file=None, force_terminal=False)
    with console.capture() as capture:
        console.print(summary_tables(summary))
    return capture.get()


def _model(accuracy: float) -> ModelSummary:
    forward = MeanScores(30, 0.91, 0.5, 0.25)
    scores = SetScores(40, accuracy, 0.4, 0.6, (0.8125, 0.96), {"forward": forward})
    sets = {"anime_unseen_wording": scores, "anime_only_read": EMPTY, "general": scores}
    return ModelSummary(sets, perplexity_anime=3.456)


def _summary() -> Summary:
    difference = {"anime_unseen_wording": Difference(0.125, (-0.05, 0.3))}
    models = {"base": _model(0.025), "sft": _model(0.9)}
    return Summary(models, {"sft-base": difference}, 75.2, {"q_proj": 1})


def test_tables_show_scores_intervals_counts_and_perplexity() -> None:
    text = _printed(_summary())
    for shown in (
        "base",
        "sft",
        "0.025",
        "0.900",
        "0.812–0.960",
        "n = 40",
        "n = 0",
        "3.46",
        "75 s",
        "0.91 / 0.50 / 0.25",
        "sft − base",
        "+0.125",
        "[-0.050, +0.300]",
    ):
        assert shown in text, shown


def test_what_was_not_measured_is_a_dash_not_a_zero() -> None:
    row = next(line for line in _printed(_summary()).splitlines() if "0.025" in line)
    assert row.split("│")[3].strip() == "–"
    assert row.split("│")[-2].strip() == "–"


def test_tables_fit_a_terminal_of_80_columns() -> None:
    lines = _printed(_summary(), width=80).splitlines()
    assert max(map(len, lines)) <= 80
    assert not any("…" in line for line in lines)
    assert any("0.812–0.960" in line for line in lines), "an interval stays on one line"


def test_a_summary_without_models_prints() -> None:
    assert "model" in _printed(Summary({}, {}, 0.0))
