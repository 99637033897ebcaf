"""The templates with which the English Wikipedia gives a Japanese name."""

from animelm.corpus.wikitext.templates.calls import Call

NAMES = frozenset(("nihongo", "nihongo3", "nihongo krt", "nihongo foot"))


def japanese_name(call: Call) -> str:
    """``{{nihongo|Star|星|Hoshi|extra|extra2}}``: "Star (星, Hoshi, extra) extra2".

    The order is that of https://en.wikipedia.org/wiki/Module:Nihongo. ``{{nihongo foot}}`` has the
    Japanese name in a footnote; as it belongs to the text, it is kept in the brackets.
    """
    english, japanese, reading = (call.text(place) for place in "123")
    extra, after = call.text("extra", "4"), call.text("extra2", "5")
    if call.text("lead") == "yes":
        reading = f"Hepburn: {reading}" if reading and english else reading
        japanese = f"Japanese: {japanese}" if japanese else ""
    if call.name == "nihongo3":
        first, rest = reading or english, (japanese, english if reading else "", extra)
    elif call.name == "nihongo krt":
        first, rest = japanese, (reading, english, extra)
    else:
        first, rest = english or reading, (japanese, reading if english else "", extra)
    given = ", ".join(filter(None, rest))
    post = call.text("post", "6") if call.name == "nihongo foot" else ""
    return " ".join(filter(None, (first, given and f"({given})", after))) + post
