from pathlib import Path

import pytest

from animelm.export.process import StockFailure, ask_stock_model
from animelm.export.stock.measuring import Questions

QUESTIONS = Questions([[3, 4]], [[3, 4]], [[5]], [1], 0, 2, 1, 1)


def test_a_model_that_cannot_be_opened_is_a_failure_with_the_tools_own_words(
    tmp_path: Path,
) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "gpt_oss"}', encoding="utf-8")
    with pytest.raises(StockFailure, match="Error"):
        ask_stock_model("transformers_answers", tmp_path, None, QUESTIONS, [])
