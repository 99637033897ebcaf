"""The reference of config keys."""

from pathlib import Path

import pytest

from animelm.cli.reference.page import PAGES, config_keys, untranslated


@pytest.mark.parametrize("language", PAGES)
def test_the_page_is_what_the_code_says(language, project_root: Path) -> None:
    page = (project_root / "docs" / PAGES[language]).read_text(encoding="utf-8")
    assert page == config_keys(language), "run `make reference`"


def test_every_text_is_translated() -> None:
    assert not untranslated(), "add these texts to animelm/cli/reference/texts.ja.yaml"


def test_a_key_stands_with_what_it_takes_and_its_default() -> None:
    page = config_keys("en")
    assert "| `model.lora.rank` | int | `16` | Width r of the low-rank product. |" in page
    assert "| `model.base` | text | required | Checkpoint folder" in page
    assert "\n### data\n" in page and "\n## corpus build\n" in page
