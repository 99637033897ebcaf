import io
from dataclasses import replace

from rich.console import Console

from animelm.data.held_out import SplitSettings, split_questions
from animelm.data.sources.qa import QARecord
from animelm.report.questions import question_tables

SPLIT = SplitSettings(held_out_wordings=0.25, held_out_works=0.25)


def records(works: int, wordings: int) -> list[QARecord]:
    return [
        QARecord(
            id=f"{work}-{wording}",
            work=f"庭{work}",
            fact=f"庭{work}/主人公",
            direction="forward",
            wording=str(wording),
            domain="anime",
            question=f"庭{work}の主人公は誰か、{wording}通り目に問う。",
            answers=(f"花子{work}です。",),
            keys=(f"花子{work}",),
        )
        for work in range(works)
        for wording in range(wordings)
    ]


def printed(questions: list[QARecord], split: SplitSettings = SPLIT, shown: int = 3) -> str:
    console = Console(width=160, file=io.StringIO())
    tables = question_tables(questions, split_questions(questions, [], split), shown)
    console.print(tables)
    return console.file.getvalue()


def test_the_largest_facts_are_shown_with_some_of_their_wordings() -> None:
    text = printed(records(8, 6))
    assert "Facts in most wordings (3 of 8)" in text
    assert "… 2 more" in text and "花子0" in text and "花子3" not in text


def test_the_sizes_of_the_split_are_those_of_training() -> None:
    text = printed(records(8, 4))
    [trained] = [line for line in text.splitlines() if "trained  " in line]
    assert [cell.strip() for cell in trained.split("│")[2:5]] == ["18", "6", "6"]
    assert "works that are never asked about" in text


def test_the_sizes_of_the_split_add_up_to_all_questions() -> None:
    lines = printed(records(8, 4)).partition("Split")[2].splitlines()
    rows = [[cell.strip() for cell in line.split("│")[1:3]] for line in lines if "│" in line]
    assert sum(int(number) for _, number in rows if number) == 8 * 4
    assert [number for name, number in rows if name.startswith("neither trained")] == ["6"]


def test_unknown_works_and_whole_answers_are_told() -> None:
    unknown = [replace(r, work=r.fact, whole_answers=True) for r in records(4, 2)]
    text = printed(unknown)
    assert "The work of 8 of 8 questions is not known" in " ".join(text.split())
    assert "8 of 8 questions have no short key" in text


def test_derived_keys_that_end_in_a_verb_are_told() -> None:
    first, *others = [replace(record, derived=("keys",)) for record in records(4, 2)]
    long = replace(first, keys=("1964年に独立しました",))
    about = "1 of 8 derived keys end in a verb, such as '1964年に独立しました'"
    assert about in " ".join(printed([long, *others]).split())
    assert "end in a verb" not in printed([replace(long, derived=()), *others])


def test_one_known_work_does_not_hide_that_the_others_are_unknown() -> None:
    known, *others = records(4, 2)
    text = printed([known, *(replace(record, work=record.fact) for record in others)])
    assert "The work of 7 of 8 questions is not known" in " ".join(text.split())


def test_what_a_file_gives_is_not_called_derived() -> None:
    given = [replace(record, derived=()) for record in records(4, 2)]
    assert "for none" in printed(given)
    one = [replace(given[0], derived=("keys",)), *given[1:]]
    assert "for 1 question " in printed(one)


def test_where_nothing_is_held_out_it_is_said() -> None:
    assert "Nothing is held out" in printed(records(2, 2), SplitSettings())


def test_text_of_a_file_is_no_markup_and_controls_no_terminal() -> None:
    text = printed([replace(records(1, 1)[0], question="[red]問\x1b[31m?")])
    assert "[red]問" in text and "\x1b" not in text
