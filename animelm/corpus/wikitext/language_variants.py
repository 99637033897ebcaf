"""Chooses one variant of a text that is written in several, such as simplified Chinese.

Syntax: https://www.mediawiki.org/wiki/Writing_systems/Syntax.
"""

import re

# The innermost first; templates within are read later.
_MARKUP = re.compile(r"-\{(?!\{)((?:[^{}]|(?<!-)\{\{[^{}]*\}\})*+)\}-")
# The variants of the languages for which MediaWiki has a converter.
_CODE = (
    r"zh(?:-[a-z]{2,4})?|sr(?:-e[cl]|-cyrl|-latn)?|(?:ban|crh|gan|ike|iu|kk|ku|mni|sh|shi|tg|tly|uz"
    r"|wuu|zgh)(?:-[a-z]{4}|-[a-z]{2})?"
)
_RULE = re.compile(rf"(?:^|;)\s*(?:[^;]*?=>\s*)?({_CODE})\s*:", re.ASCII)
_FLAGS = re.compile(r"\s*[A-Za-z-]*(?:\s*;\s*[A-Za-z-]+)*\s*")
_VARIANT = re.compile(_CODE, re.ASCII)
# Flags of rules that show nothing where they stand: for later text, for the title, removed.
_HIDDEN = frozenset("HT-")
# What a reader without a preference sees on the Chinese wiki (its order of fallbacks).
_ORDER = ("zh", "zh-hans", "zh-hant", "zh-cn", "zh-tw", "zh-hk", "zh-sg", "zh-mo", "zh-my")
_DEEPEST = 10


def choose_variants(text: str) -> str:
    """The text with ``-{zh-hans:甲;zh-hant:乙}-`` replaced by one of its variants.

    Where none is marked, the text between the brackets is kept.
    """
    for _ in range(_DEEPEST):
        if "-{" not in text:
            break
        text, replaced = _MARKUP.subn(lambda match: _shown(match[1]), text)
        if not replaced:
            break
    return text


def _shown(content: str) -> str:
    flags, bar, rules = content.partition("|")
    if not bar or not _FLAGS.fullmatch(flags):
        return _variant(content)
    given = {flag.strip() for flag in flags.split(";")}
    if given & _HIDDEN:
        return ""
    # With "R", and with the names of variants as flags, the text is not converted.
    raw = "R" in given or all(_VARIANT.fullmatch(flag) for flag in given)
    return rules if raw else _variant(rules)


def _variant(content: str) -> str:
    parts = _RULE.split(content)
    if len(parts) == 1 or parts[0].strip():
        return content
    texts: dict[str, str] = {}
    for name, text in zip(parts[1::2], parts[2::2], strict=True):
        texts.setdefault(name, text.strip().removesuffix(";").strip())
    return next((texts[name] for name in _ORDER if name in texts), next(iter(texts.values())))
