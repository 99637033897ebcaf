import pytest

from animelm.evaluate.settings import resolve_answer_from


@pytest.mark.parametrize(
    ("setting", "fine_tuned", "place"),
    [
        ("auto", True, "final"),
        ("auto", False, "start"),
        ("final", False, "final"),
        ("start", True, "start"),
    ],
)
def test_a_fine_tuned_model_is_asked_where_it_was_trained_to_answer(
    setting, fine_tuned: bool, place: str
) -> None:
    assert resolve_answer_from(setting, fine_tuned) == place
