"""Encodes questions that have more around them: earlier messages, or thoughts before the answer.

As in ``chat``, the template is rendered around placeholders, so that no text of a user can become a
control token.
"""

from collections.abc import Callable, Sequence

from animelm.data.sources.formats.asked import Turn
from animelm.errors import UserError

Render = Callable[[list[dict[str, str]], bool], str]
EncodeTemplate = Callable[[str, str], list[int]]
EncodeText = Callable[[str, str], list[int]]


class TurnEncoder:
    """Encodes messages one after another.

    Args:
        render: renders messages with the chat template; the second argument asks for the generation
            prompt.
        encode_template: encodes a text of the template, which may hold control tokens, as it
            follows a plain text.
        encode_text: encodes a plain text as it follows a text of the template.
        opening: messages that begin every prompt without a system message.
    """

    def __init__(
        self,
        render: Render,
        encode_template: EncodeTemplate,
        encode_text: EncodeText,
        opening: Sequence[dict[str, str]],
    ) -> None:
        self._render, self._opening = render, list(opening)
        self._encode_template, self._encode_text = encode_template, encode_text
        self._pieces: dict[tuple[object, ...], list[str]] = {}

    def prompt(self, turns: Sequence[Turn], final: bool) -> list[int]:
        """Token ids of messages of which the last is the user's, and what opens the answer.

        Args:
            turns: the messages.
            final: whether the prompt ends where the answer begins, not where the assistant's turn
                begins.

        Raises:
            UserError: the template leaves a message out.
        """
        if final:
            *ids, _, _ = self._encoded([*turns, Turn("assistant", "")])
            return [token for part in ids for token in part]
        ids = self._encoded(turns, generation_prompt=True)
        return [token for part in ids for token in part]

    def answered(self, turns: Sequence[Turn], thoughts: str, answer: str) -> tuple[list[int], int]:
        """Token ids of messages and an answer, without its end token, and how many are the prompt.

        With thoughts, the prompt ends where the assistant's turn begins, so that opening and ending
        them is trained as well.

        Args:
            turns: the messages; the last is the user's.
            thoughts: what precedes the answer, in the channel for it; empty for none.
            answer: the answer.

        Raises:
            UserError: the template leaves a message out.
            LookupError: the template leaves out the thoughts.
        """
        *parts, _ = self._encoded([*turns, Turn("assistant", answer)], thoughts)
        ids = [token for part in parts for token in part]
        before = self.prompt(turns, final=not thoughts)
        if ids[: len(before)] != before:
            raise UserError(
                "the chat template renders a conversation in another way once it is answered, so "
                "the answer cannot be told from the prompt"
            )
        return ids, len(before)

    def _encoded(
        self, turns: Sequence[Turn], thoughts: str = "", generation_prompt: bool = False
    ) -> list[list[int]]:
        """Ids of the template's texts and the messages' texts in turn."""
        texts = [turn.text for turn in turns]
        if thoughts:
            texts.insert(-1, thoughts)
        roles = tuple(turn.role for turn in turns)
        pieces = self._template(roles, bool(thoughts), generation_prompt)
        parts = [self._encode_template(pieces[0], "")]
        for number, text in enumerate(texts):
            parts.append(self._encode_text(text, pieces[number]))
            parts.append(self._encode_template(pieces[number + 1], _placeholder(number)))
        return parts

    def _template(
        self, roles: tuple[str, ...], thoughts: bool, generation_prompt: bool
    ) -> list[str]:
        """The template's own texts around messages of these roles."""
        shape = (roles, thoughts, generation_prompt)
        if shape not in self._pieces:
            self._pieces[shape] = self._split(roles, thoughts, generation_prompt)
        return self._pieces[shape]

    def _split(self, roles: tuple[str, ...], thoughts: bool, generation_prompt: bool) -> list[str]:
        count = len(roles) + thoughts
        messages: list[dict[str, str]] = [] if roles[0] == "system" else list(self._opening)
        for number, role in enumerate(roles):
            messages.append({"role": role, "content": _placeholder(number)})
        if thoughts:
            messages[-1] |= {
                "thinking": _placeholder(count - 2),
                "content": _placeholder(count - 1),
            }
        rest = self._render(messages, generation_prompt)
        pieces = []
        for number in range(count):
            before, found, rest = rest.partition(_placeholder(number))
            if not found:
                if thoughts and number == count - 2:
                    raise LookupError("the chat template has no place for thoughts")
                raise UserError(
                    "the chat template leaves out, or moves, a message of the "
                    f"{roles[min(number, len(roles) - 1)]}; take it out of the conversations, or "
                    "use a base whose template has it"
                )
            pieces.append(before)
        return [*pieces, rest]


def _placeholder(number: int) -> str:
    return f"PLACEHOLDERx{number:04d}x"
