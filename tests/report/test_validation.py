import io

from rich.console import Console

from animelm.report.validation import print_validation


def scores(prefix: str, questions: int, accuracy: float) -> dict[str, float]:
    values = (questions, accuracy, accuracy + 0.5, 0.25, 0.5)
    name_of_accuracy = f"{prefix}/accuracy"
    if prefix.startswith("validation/"):
        name_of_accuracy = prefix.replace("validation/", "accuracy/")
    names = (
        f"{prefix}/questions",
        name_of_accuracy,
        *(f"{prefix}/{n}" for n in ("loose_accuracy", "exact_match", "character_f1")),
    )
    return dict(zip(names, values, strict=True))


FIGURES = {
    **scores("validation/unseen_work", 96, 0.03125),
    **scores("validation_directions/unseen_work_forward", 70, 0.04),
    **scores("validation_directions/unseen_work_reverse", 1026, 0.0),
    **scores("validation/general", 12, 1.0),
    "validation/articles/loss": 2.0,
    "validation/articles/perplexity": 7.389,
    "train/loss": 1.0,
}


def printed(figures: dict[str, float], width: int = 80) -> list[list[str]]:
    """The rows of all tables, cell by cell."""
    console = Console(file=io.StringIO(), width=width)
    print_validation(figures, console)
    lines = console.file.getvalue().splitlines()
    return [[cell.strip() for cell in line.split("│")[1:-1]] for line in lines if "│" in line]


def test_each_set_stands_above_its_directions_in_full_on_a_narrow_terminal() -> None:
    assert printed(FIGURES)[:4] == [
        ["general", "12", "1.000", "1.500", "0.250", "0.500"],
        ["unseen_work", "96", "0.031", "0.531", "0.250", "0.500"],
        ["unseen_work, forward", "70", "0.040", "0.540", "0.250", "0.500"],
        ["unseen_work, reverse", "1,026", "0.000", "0.500", "0.250", "0.500"],
    ]


def test_perplexity_of_articles_has_a_table_of_its_own() -> None:
    assert printed(FIGURES)[4:] == [["articles", "2.000", "7.39"]]


def test_nothing_is_printed_of_what_was_not_measured() -> None:
    assert printed({"train/loss": 1.0}) == []
