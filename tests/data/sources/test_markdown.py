import pytest

from animelm.data.sources.markdown import (
    article_names,
    content_hash,
    find_articles,
    read_article,
    read_with_front_matter,
)
from animelm.errors import UserError


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_articles_are_found_in_folders_below_and_sorted(tmp_path):
    for name in ("b.md", "a/z.MD", "a.markdown", "c.txt", "d.html", "._b.md", ".obsidian/e.md"):
        write(tmp_path / name, "x")
    names = article_names(tmp_path, find_articles(tmp_path))
    assert sorted(names) == ["a.markdown", "a/z.MD", "b.md", "c.txt"]
    assert find_articles(tmp_path) == sorted(find_articles(tmp_path))


def test_a_folder_that_holds_only_links_says_so(tmp_path):
    folder = tmp_path / "articles"
    secret = write(tmp_path / "secret.md", "秘密")
    folder.mkdir()
    (folder / "a.md").symlink_to(secret)
    with pytest.raises(UserError, match=r"1 symbolic link is not followed \(a\.md → .*secret\.md"):
        find_articles(folder)
    (folder / "more").symlink_to(tmp_path, target_is_directory=True)
    with pytest.raises(UserError, match="2 symbolic links are not followed"):
        find_articles(folder)
    (folder / "shard.parquet").symlink_to(secret)
    with pytest.raises(UserError, match="3 symbolic links are not followed"):
        find_articles(folder)


def test_a_link_beside_articles_is_not_read_and_a_warning_says_so(tmp_path):
    folder = tmp_path / "articles"
    own = write(folder / "b.md", "x")
    (folder / "a.md").symlink_to(write(tmp_path / "secret.md", "秘密"))
    with pytest.warns(UserWarning, match=r"articles: 1 symbolic link is not followed \(a\.md → "):
        assert find_articles(folder) == [own]


@pytest.mark.parametrize(
    "card", ["---\nlicense: cc0-1.0\ntask_categories: [text-generation]\n---\n# Articles"]
)
def test_the_card_of_a_dataset_is_no_article(tmp_path, card):
    article = write(tmp_path / "articles" / "a.md", "x")
    write(tmp_path / "README.md", card)
    assert find_articles(tmp_path) == [article]


def test_the_card_of_a_built_corpus_is_no_article_and_another_readme_is(tmp_path):
    inner = write(tmp_path / "articles" / "README.md", "x")
    outer = write(tmp_path / "README.md", "# 目次")
    assert find_articles(tmp_path) == [outer, inner]
    write(tmp_path / "manifest.jsonl", "{}")
    assert find_articles(tmp_path) == [inner]


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("---\ntitle: A\nn: 1\n---\n# A\n\n本文。\n", "# A\n\n本文。"),
        ("\ufeff---\r\ntitle: A\r\n---\r\n本文。\r\n", "本文。"),
        ("# A\n\n---\n\nb\n\n---\n\nc", "# A\n\n---\n\nb\n\n---\n\nc"),
        ("---\njust a rule\n---\nb", "---\njust a rule\n---\nb"),
        ("---\nnever closed", "---\nnever closed"),
        ("---\n---\nb", "b"),
        ("---\ntitle: A\n---\na\n\n---\n\nb", "a\n\n---\n\nb"),
    ],
)
def test_front_matter_alone_is_left_out(tmp_path, content, text):
    assert read_article(write(tmp_path / "a.md", content)) == text


def test_front_matter_cannot_build_objects(tmp_path):
    made = tmp_path / "made"
    evil = f"---\na: !!python/object/apply:os.mkdir ['{made}']\n---\nb"
    with pytest.raises(UserError, match="front matter"):
        read_article(write(tmp_path / "a.md", evil))
    assert not made.exists()


def test_wrong_front_matter_is_reported_with_file_and_line(tmp_path):
    path = write(tmp_path / "a.md", "---\ntitle: A\nb: [1\n---\nc")
    with pytest.raises(UserError, match="front matter is not valid YAML") as error:
        read_article(path)
    assert str(path) in str(error.value)


def test_a_missing_or_empty_folder_is_reported(tmp_path):
    with pytest.raises(UserError, match="no such folder"):
        find_articles(tmp_path / "absent")
    with pytest.raises(UserError, match=r"no \.md, \.markdown or \.txt file"):
        find_articles(tmp_path)
    with pytest.raises(UserError, match="is a file; expected a folder"):
        find_articles(write(tmp_path / "a.md", "x"))


def test_a_file_that_is_not_utf8_is_reported_with_name_and_offset(tmp_path):
    path = write(tmp_path / "bad.md", "日本".encode() + b"\xff\xfe")
    with pytest.raises(UserError, match="offset 6") as error:
        content_hash(tmp_path, [path])
    assert "bad.md" in str(error.value) and "0xff" in str(error.value)


def test_the_content_hash_follows_names_and_bytes_but_not_the_place(tmp_path):
    def hash_of(folder, files):
        for name, text in files.items():
            write(tmp_path / folder / name, text)
        return content_hash(tmp_path / folder, find_articles(tmp_path / folder))

    same = hash_of("one", {"a.md": "x", "b.md": "y"})
    assert hash_of("two", {"a.md": "x", "b.md": "y"}) == same
    assert hash_of("three", {"a.md": "x", "b.md": "z"}) != same
    assert hash_of("four", {"a.md": "x", "c.md": "y"}) != same


def test_front_matter_is_read_beside_the_text(tmp_path):
    path = tmp_path / "a.md"
    path.write_text("---\ntitle: 星の海\ncategories: [アニメ, 映画]\n---\n\n本文\n", "utf-8")
    values, text = read_with_front_matter(path)
    assert values == {"title": "星の海", "categories": ["アニメ", "映画"]} and text == "本文"
    path.write_text("本文だけ", "utf-8")
    assert read_with_front_matter(path) == ({}, "本文だけ")
    path.write_text("---\n---\n本文", "utf-8")
    assert read_with_front_matter(path) == ({}, "本文")
