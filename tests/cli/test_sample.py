from pathlib import Path


def test_sample_writes_so_many_works_and_says_so(call, tmp_path: Path) -> None:
    called = call("sample", f"--out={tmp_path}", "--works=3")
    assert called.status == 0, called.err
    assert len(list((tmp_path / "anime" / "articles").glob("*-01.md"))) == 3
    assert (tmp_path / "general" / "qa.jsonl").is_file()
    assert f"{tmp_path}: 3 anime works" in called.out


def test_more_works_than_the_table_has_is_a_users_mistake(call, tmp_path: Path) -> None:
    called = call("sample", f"--out={tmp_path}", "--works=100000")
    assert called.status == 2
    assert "works must be from 1 to" in called.err
    assert not list(tmp_path.iterdir())
