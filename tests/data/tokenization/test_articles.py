import numpy as np
import pytest

from animelm.data.held_out import SplitSettings
from animelm.data.sources.folder_files import WeightedFolder
from animelm.data.tokenization.articles import ArticleCorpus


@pytest.fixture
def corpus(tokenizer, tmp_path):
    def make(texts, share=0.3, seed=0):
        folder = tmp_path / f"articles-{seed}"
        folder.mkdir()
        for number, text in enumerate(texts):
            content = f"---\ntitle: 題{number}\n---\n{text}"
            (folder / f"{number}.md").write_text(content, "utf-8")
        split = SplitSettings(seed, validation_share=share)
        return ArticleCorpus([WeightedFolder(folder)], tokenizer, split, cache=tmp_path / "cache")

    return make


@pytest.mark.parametrize("seed", range(8))
def test_what_is_held_out_has_text(corpus, seed):
    made = corpus(["", "", "", "本文です。", "別の本文です。"], 0.2, seed)
    [held_out] = made.validation
    assert len(held_out) == 1 and made.lengths[held_out].all()
    assert sorted(np.concatenate([*made.train, *made.validation])) == list(range(5))


def test_the_share_is_counted_among_articles_with_text(corpus):
    made = corpus(["本文です。"] * 4 + [""] * 6, 0.5)
    assert len(made.validation[0]) == 2
