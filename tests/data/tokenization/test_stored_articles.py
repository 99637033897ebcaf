import shutil

import numpy as np
import pytest

from animelm.data.tokenization.stored_articles import damage
from animelm.data.tokenization.token_store import tokenize_folder
from animelm.errors import UserError

FILES = ("tokens.bin", "offsets.npy", "names.json", "sha256.json")


@pytest.fixture
def made(tokenizer, articles, tmp_path):
    """A call that tokenizes the articles, or reads the cache, and the folder of the store."""

    def read():
        return tokenize_folder(articles, tokenizer, cache=tmp_path / "cache")

    read()
    [store] = (tmp_path / "cache").iterdir()
    return read, store


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)


def halve(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path):
    path.write_bytes(b"")


def remove(path):
    path.unlink()


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("hurt", [flip, halve, empty, remove])
def test_a_damaged_store_is_told_and_made_again(made, capsys, name, hurt):
    read, store = made
    before = [read()[i].input_ids for i in range(20)]
    hurt(store / name)
    assert damage(store)
    capsys.readouterr()
    again = read()
    assert "; the articles are tokenized again" in capsys.readouterr().err
    assert damage(store) is None
    for i, expected in enumerate(before):
        np.testing.assert_array_equal(again[i].input_ids, expected)
    read()
    assert capsys.readouterr().err == ""


def test_hashes_that_are_no_hashes_are_damage(made):
    _, store = made
    (store / "sha256.json").write_text("[]")
    assert damage(store) == "sha256.json is not what was written"


def test_a_file_that_is_emptied_under_a_run_is_a_message(made):
    read, store = made
    opened = read()
    (store / "tokens.bin").write_bytes(b"")
    with pytest.raises(UserError, match=r"tokens\.bin: became shorter while it was in use"):
        opened[3]


def test_a_store_that_is_deleted_under_a_run_stays_readable(made):
    read, store = made
    opened = read()
    expected = opened[3].input_ids.copy()
    shutil.rmtree(store)
    np.testing.assert_array_equal(opened[3].input_ids, expected)


def test_what_a_killed_process_left_in_the_cache_is_cleared_away(made):
    read, store = made
    (store.parent / ".tokens-x.0123456789ab.partial").mkdir()
    read()
    assert [path.name for path in store.parent.iterdir()] == [store.name]
