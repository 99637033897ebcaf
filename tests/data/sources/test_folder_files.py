from pathlib import Path

import pytest

from animelm.data.sources.folder_files import WeightedFolder, find_files, weighted_folders
from animelm.errors import UserError


def write(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("本文", "utf-8")
    return path


def names(folder: Path, **options) -> tuple[list[str], list[str]]:
    found = find_files(folder, [".md", ".txt"], **options)
    return tuple(
        [path.relative_to(folder).as_posix() for path in paths]
        for paths in (found.files, found.links)
    )


def test_suffixes_count_in_any_case_and_other_files_do_not(tmp_path: Path):
    for name in ("b.MD", "a/c.md", "d.Txt", "e.pdf", "md", "f.md.bak"):
        write(tmp_path / name)
    assert names(tmp_path) == (["a/c.md", "b.MD", "d.Txt"], [])


def test_hidden_files_and_folders_are_left_out(tmp_path: Path):
    for name in ("a.md", "._a.md", ".obsidian/b.md", "c/.ipynb_checkpoints/d-checkpoint.md"):
        write(tmp_path / name)
    assert names(tmp_path) == (["a.md"], [])


def test_a_folder_below_a_hidden_one_is_read_if_it_is_named(tmp_path: Path):
    write(tmp_path / ".cache" / "a.md")
    assert names(tmp_path / ".cache") == (["a.md"], [])


def test_links_are_told_apart_and_followed_to_files_only_where_asked(tmp_path: Path):
    secret, folder = write(tmp_path / "secret.md"), tmp_path / "articles"
    write(folder / "a.md")
    (folder / "b.md").symlink_to(secret)
    (folder / "broken.md").symlink_to(tmp_path / "absent.md")
    (folder / "loop").symlink_to(folder, target_is_directory=True)
    (folder / "c.pdf").symlink_to(secret)
    assert names(folder) == (["a.md"], ["b.md", "broken.md", "loop"])
    assert names(folder, follows_links=True) == (["a.md", "b.md"], ["loop"])


def test_a_folder_that_is_itself_a_link_is_read(tmp_path: Path):
    write(tmp_path / "articles" / "a.md")
    (tmp_path / "link").symlink_to(tmp_path / "articles", target_is_directory=True)
    assert names(tmp_path / "link") == (["a.md"], [])


def test_a_setting_names_one_folder_several_or_none():
    a, b = Path("a"), WeightedFolder(Path("b"), 2)
    assert weighted_folders(None) == ()
    assert weighted_folders(a) == (WeightedFolder(a),)
    assert weighted_folders(b) == (b,)
    assert weighted_folders([a, b]) == (WeightedFolder(a, 1), b)
    with pytest.raises(UserError, match="a: the weight is 0; expected 1 or more"):
        WeightedFolder(a, 0)
