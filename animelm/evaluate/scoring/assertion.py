"""Whether a text asserts a name that it contains, or denies it, or lists it as one of several.

The rules are about the words next to the name. They are cautious: what they do not know counts as
asserted.
"""

import re
from collections.abc import Collection

Span = tuple[int, int]

_TITLE = "(?:さん|くん|ちゃん|君|様|氏|先生)?"
_SUBJECT = "(?:という[^ は]{0,8}|[がは][^ はが]{1,10})?"  # という名前, が主人公, は主人公
_QUESTION = "(?!でしょうか|だろうか|のでは|のか|か(?!も))"  # ではないでしょうか asserts
_NOT = f"(?:では|じゃ|で)(?:ない|なく|なかった|ありません|ございません){_QUESTION}"
_OTHER = "(?:とは|と)(?:異なり|異なる|異なっ|違い|違う|違っ|別の|別人|別物|無関係|関係な)"
_EXCEPT = "(?:以外|を除[くいき])"
_WRONG = "(?:は|というのは)(?:誤り|間違い|不正解|正しくな|正しくあり)"
_WRONG_IN_ENGLISH = r" (?:is|was|are|were)(?: not|n t| wrong| incorrect)\b"
# The rest of a longer name comes first: 西田 is denied in 西田敏行ではありません.
_DENIED_AFTER = re.compile(
    f"[^ぁ-ん ]{{0,8}}{_TITLE} ?(?:{_SUBJECT}{_NOT}|{_OTHER}|{_EXCEPT}|{_WRONG})"
    f"|{_WRONG_IN_ENGLISH}"
)
_DENIED_BEFORE = re.compile(
    r"(?:\b(?:not|never|n t|isn t|wasn t|unlike|except)|(?:other|rather) than|instead of)"
    r"(?: the| a| an| by)? ?$"
)

_OR = "または|もしくは|あるいは|それとも|ないし"
_WHETHER = "(?:なの|です|だ|でしょう)?か"
_OR_AFTER = re.compile(rf" ?(?:(?:{_OR}) ?|or\b ?|{_WHETHER} ?(?=[^ぁ-ん ]))")
# 確か西田です is one candidate, as 静か, 誰か and the like are no names followed by "or".
_NAME_END = "(?<=[^ぁ-ん 確静豊僅遥微密愚定厳細何誰幾])"
_OR_BEFORE = re.compile(rf"(?: ?(?:{_OR})| or|{_NAME_END}{_WHETHER}) ?$")
_LONGEST_BEFORE = 24  # characters that the patterns before a name can need


def asserts(text: str, name: Span, others: Collection[Span] = ()) -> bool:
    """Whether ``text`` gives the name at a place as its answer.

    Args:
        text: a text, as ``normalization.searchable`` gives it.
        name: where the name stands in it, start and end.
        others: where further accepted names stand: an alternative to one of them is no other
            candidate.
    """
    start, end = name
    before = text[max(0, start - _LONGEST_BEFORE) : start]
    if _DENIED_AFTER.match(text, end) or _DENIED_BEFORE.search(before):
        return False
    if (found := _OR_AFTER.match(text, end)) and found.end() not in {span[0] for span in others}:
        return False
    if found := _OR_BEFORE.search(before):
        alternative = start - len(before) + found.start()
        return alternative in {span[1] for span in others}
    return True
