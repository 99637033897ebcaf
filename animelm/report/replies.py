"""Shows replies in the terminal while they are generated, two of them side by side."""

from collections.abc import Callable
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from animelm.evaluate.harmony import Reply
from animelm.terminal import Terminal, printable


class ReplyScreen:
    """Shows a column per model, with its thinking dimmed above its answer.

    Args:
        names: names of the models; a single model has no heading.
        console: the console to print to; None for the terminal.
    """

    def __init__(self, names: list[str], console: Console | None = None) -> None:
        self._texts = {name: Text("…", style="dim") for name in names}
        # Keeps the beginning of an answer that is longer than the screen.
        self._live = Live(
            console=console or Terminal(), get_renderable=self._table, vertical_overflow="visible"
        )

    def __enter__(self) -> Self:
        self._live.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._live.__exit__(kind, error, traceback)
        if not self._live.console.is_terminal:
            self._live.console.line()  # which Live ends with on a terminal only

    def growing(self, name: str) -> Callable[[Reply], None]:
        """A function that shows the unfinished reply of a model."""

        def show(reply: Reply) -> None:
            # An incomplete character, whose other bytes have not been generated.
            self._texts[name] = _text(reply, reply.output.rstrip("\ufffd"))

        return show

    def finish(self, name: str, reply: Reply) -> None:
        """Shows the complete reply of a model, or why it has no answer."""
        text = _text(reply, reply.output if reply.reached_final else "")
        self._texts[name] = text.append_text(closing(reply))

    def _table(self) -> Table:
        several = len(self._texts) > 1
        table = Table(
            *self._texts,
            show_header=several,
            box=None,
            expand=several,
            padding=(0, 2),
            pad_edge=False,
        )
        for column in table.columns:
            column.ratio, column.overflow = 1, "fold"
        table.add_row(*self._texts.values())
        return table


def closing(reply: Reply) -> Text:
    """What follows a complete reply: nothing, or why it is not whole."""
    if not reply.reached_final:
        return Text("(no answer: thinking took all of max_thinking_tokens)", style="yellow")
    return Text("" if reply.reached_end else " …(cut off: max_new_tokens)", style="dim")


def _text(reply: Reply, output: str) -> Text:
    text = Text()
    if reply.thinking:
        text.append(f"{printable(reply.thinking)}\n", style="dim")
    return text.append(printable(output))
