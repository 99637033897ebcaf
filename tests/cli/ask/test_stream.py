import io

from rich.console import Console

from animelm.cli.ask.stream import ReplyStream
from animelm.evaluate.harmony import Reply


def printed(*replies: Reply) -> tuple[list[str], str]:
    """What was printed after each reply, and in all."""
    console = Console(file=io.StringIO(), width=10)
    stream, after = ReplyStream(console), []
    for reply in replies:
        stream.show(reply)
        after.append(console.file.getvalue())
    stream.finish(replies[-1])
    return after, console.file.getvalue()


def growing(*outputs: str, thinking: str = "") -> list[Reply]:
    return [Reply(output, thinking, bool(output), True) for output in outputs]


def test_each_part_of_an_answer_is_printed_as_it_comes_and_once() -> None:
    after, whole = printed(*growing("エド", "エドワード", "エドワードです。" * 20))
    assert after[:2] == ["エド", "エドワード"]
    assert whole == "エドワードです。" * 20 + "\n"


def test_thoughts_stand_above_the_answer() -> None:
    first = Reply("", "誰だ", False, False)
    after, whole = printed(first, *growing("エド", thinking="誰だろう"))
    assert after[0] == "誰だ"
    assert whole == "誰だろう\nエド\n"


def test_why_there_is_no_answer_or_half_of_one_is_told() -> None:
    assert printed(Reply("", "誰", False, False))[1].startswith("誰\n(no answer")
    assert "max_new_tokens" in printed(Reply("エ", "", True, False))[1]


def test_a_reply_cannot_steer_the_terminal_in_any_part() -> None:
    _, whole = printed(*growing("a\x1b", "a\x1b[2J", "a\x1b[2J[red]b\x07"))
    assert "\x1b" not in whole and "\x07" not in whole
    assert "[red]" in whole


def test_a_beginning_that_changes_is_printed_anew() -> None:
    assert printed(*growing("abc", "ab d"))[1] == "abc\nab d\n"
