from dataclasses import replace

from rich.console import Console

from animelm.data.held_out import QUESTION_SETS
from animelm.evaluate.results import Result
from animelm.evaluate.summary import (
    Difference,
    MeanScores,
    ModelSummary,
    SetScores,
    Summary,
    paired_differences,
    summarize_model,
)
from animelm.report.table import summary_tables

EMPTY = SetScores(0, None, None, None, 0, None, {})


def _printed(summary: Summary, width: int = 100) -> str:
    console = Console(width=width, record=True, file=None, force_terminal=False)
    with console.capture() as capture:
        console.print(summary_tables(summary))
    return capture.get()


def _model(accuracy: float) -> ModelSummary:
    forward = MeanScores(30, 0.91, 0.5, 0.25)
    scores = SetScores(40, accuracy, 0.4, 0.6, 8, (0.8125, 0.96), {"forward": forward})
    sets = {name: EMPTY if name == "anime_only_read" else scores for name in QUESTION_SETS}
    return ModelSummary(sets, perplexity_anime=3.456)


def _summary() -> Summary:
    difference = {"anime_unseen_wording": Difference(0.125, (-0.05, 0.3))}
    models = {"base": _model(0.025), "sft": _model(0.9)}
    return Summary(models, {"sft-base": difference}, 75.2, {"q_proj": 1})


def test_tables_show_scores_intervals_counts_and_perplexity() -> None:
    text = _printed(_summary())
    for shown in (
        "base",
        "CPT + SFT",
        "0.025",
        "0.900",
        "0.812–0.960",
        "n = 40",
        "n = 0",
        "8 works",
        "8 subjects",
        "3.46",
        "75 s",
        "0.91 / 0.50 / 0.25",
        "CPT + SFT − base",
        "+0.125",
        "[-0.050, +0.300]",
    ):
        assert shown in text, shown


def test_what_was_not_measured_is_a_dash_not_a_zero() -> None:
    row = next(line for line in _printed(_summary()).splitlines() if "0.025" in line)
    assert row.split("│")[3].strip() == "–"
    row = next(line for line in _printed(_summary()).splitlines() if "3.46" in line)
    assert row.split("│")[-2].strip() == "–"


def results_of(model: str, answered: set[str]) -> list[Result]:
    """Ten works that were only read; those of ``answered`` are answered rightly."""
    works = [f"作品{i}" for i in range(10)]
    return [
        Result(
            model, "anime_only_read", f"{work}/{n}", "anime", work, f"{work}/x", "forward", "x/0",
            "問?", ("答。",), ("答",), "", True, float(work in answered), 0.0, 0.0, 0,
        )
        for work in works
        for n in range(4)
    ]  # fmt: skip


def compared(**answered: set[str]) -> Summary:
    results = {name: results_of(name, works) for name, works in answered.items()}
    models = {name: summarize_model(rows, 0, None, None) for name, rows in results.items()}
    return Summary(models, paired_differences(results, 0), 1.0)


def test_what_fine_tuning_wiped_out_is_said_with_its_interval() -> None:
    read = {f"作品{i}" for i in range(8)}
    text = _printed(compared(base=set(), cpt=read, sft=set()))
    [finding] = [line for line in text.splitlines() if line.startswith("Fine-tuning lost")]
    assert finding.startswith("Fine-tuning lost what CPT had read: -0.800 [-1.000, -0.5")
    rows = [line for line in text.splitlines() if "CPT + SFT − CPT" in line]
    assert "-0.800" in rows[0]
    # Of 40 questions on ten works, those on eight were known and are lost.
    assert [cell.strip() for cell in rows[1].split("│")[3:-1]] == ["0", "0", "32", "8", "0.008"]


def test_without_a_loss_beyond_its_interval_nothing_is_said() -> None:
    read = {f"作品{i}" for i in range(8)}
    for sft in (read, read - {"作品0"}):
        assert "Fine-tuning lost" not in _printed(compared(base=set(), cpt=read, sft=sft))


def test_tables_fit_a_terminal_of_80_columns() -> None:
    lines = _printed(_summary(), width=80).splitlines()
    assert max(map(len, lines)) <= 80
    assert not any("…" in line for line in lines)
    assert any("0.812–0.960" in line for line in lines), "an interval stays on one line"


def test_a_summary_without_models_prints() -> None:
    assert "model" in _printed(Summary({}, {}, 0.0))


def test_sets_of_the_users_own_have_a_table_of_their_own() -> None:
    rows = [replace(result, held_out_set="jsquad") for result in results_of("my-model", {"作品0"})]
    models = {"my-model": summarize_model(rows, 0, None, None)}
    text = _printed(Summary(models, {}, 1.0))
    assert "jsquad" in text and "my-model" in text and "0.100" in text
    assert "anime" not in text, "nothing was asked about it"


def test_five_sets_are_not_cut_off_at_80_characters() -> None:
    summary = _summary()
    trained = summary.models["base"].sets["anime_unseen_wording"]
    models = {
        name: replace(model, sets={**model.sets, "anime_trained": replace(trained, works=1)})
        for name, model in summary.models.items()
    }
    text = _printed(replace(summary, models={**models, "three seeds of one": models["sft"]}), 80)
    assert "…" not in text
    assert "anime,\n" not in text and "trained" in text and "1 work" in text
    assert '"anime, trained" rests on 1 work: its intervals are unreliable' in text


def test_the_control_stands_below_the_models() -> None:
    summary = _summary()
    known = {
        name: replace(scores, control_accuracy=0.375)
        for name, scores in summary.models["base"].sets.items()
    }
    models = {**summary.models, "base": replace(summary.models["base"], sets=known)}
    text = _printed(replace(summary, models=models))
    assert "control" in text and "0.375" in text
    assert "control" not in _printed(_summary())
