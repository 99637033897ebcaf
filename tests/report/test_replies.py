import io

from rich.console import Console

from animelm.evaluate.harmony import Reply
from animelm.report.replies import ReplyScreen


def shown(*replies: Reply, width: int = 60) -> str:
    names = ["base", "adapter"][: len(replies)]
    console = Console(file=io.StringIO(), width=width)
    with ReplyScreen(names, console) as screen:
        for name, reply in zip(names, replies, strict=True):
            screen.growing(name)(Reply("途中\ufffd", "", True, False))
            screen.finish(name, reply)
    return console.file.getvalue()


def test_a_single_reply_has_no_heading() -> None:
    text = shown(Reply("エドです。", "", True, True))
    assert text.split() == ["エドです。"]


def test_a_reply_in_a_file_ends_with_its_line() -> None:
    assert shown(Reply("エドです。", "", True, True)).endswith("\n")


def test_two_replies_stand_side_by_side_under_their_names() -> None:
    heading, row = shown(Reply("右", "", True, True), Reply("左", "", True, True)).splitlines()[:2]
    assert heading.split() == ["base", "adapter"]
    assert row.split() == ["右", "左"]


def test_thoughts_stand_above_the_answer() -> None:
    assert shown(Reply("エド", "誰だろう", True, True)).split() == ["誰だろう", "エド"]


def test_why_there_is_no_answer_is_reported() -> None:
    assert "max_thinking_tokens" in shown(Reply("", "誰だろう", False, False))
    assert "max_new_tokens" in shown(Reply("エドワ", "", True, False))


def test_a_reply_cannot_steer_the_terminal() -> None:
    text = shown(Reply("a\x1b[2Jb[red]c", "\x07", True, True))
    assert "\x1b" not in text and "\x07" not in text
    assert "[red]" in text
