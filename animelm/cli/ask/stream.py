"""Prints one reply as it grows, also into a file or a pipe."""

from rich.console import Console
from rich.text import Text

from animelm.evaluate.harmony import Reply
from animelm.report.replies import closing
from animelm.terminal import Terminal, printable


class ReplyStream:
    """Prints what each reply has more than the one before, its thinking dimmed above its answer.

    Nothing that was printed is drawn again, so an answer may be longer than the screen.

    Args:
        console: the console to print to; None for the terminal.
    """

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Terminal()
        self._thinking = self._output = ""

    def show(self, reply: Reply) -> None:
        """Prints what is new in a reply that grows."""
        self._thinking = self._print_rest(self._thinking, reply.thinking, "dim")
        if reply.output and self._thinking and not self._output:
            self._console.print()
        self._output = self._print_rest(self._output, reply.output, "")

    def finish(self, reply: Reply) -> None:
        """Prints the rest of the complete reply, or why it has no answer."""
        self.show(reply)
        if not reply.reached_final and reply.thinking:
            self._console.print()
        self._console.print(closing(reply), soft_wrap=True)

    def _print_rest(self, shown: str, text: str, style: str) -> str:
        if not text.startswith(shown):  # a tokenizer that spells the beginning anew
            self._console.print()
            shown = ""
        if rest := text[len(shown) :]:
            self._console.print(Text(printable(rest), style), end="", soft_wrap=True)
        return text
