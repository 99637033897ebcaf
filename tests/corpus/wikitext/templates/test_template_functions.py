import pytest

from animelm.corpus.wikitext.templates.calls import read_call
from animelm.corpus.wikitext.templates.template_functions import COMPUTED


def left_by(call):
    """What a call such as ``convert|5|ft`` leaves."""
    call = read_call(call.split("|"), begins_line=False, alone=False)
    return COMPUTED[call.name](call)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        # Measures
        ("convert|1000|km2|sqmi|0", "1,000 km²"),
        ("convert|-15|C|F", "-15 °C"),
        ("convert|12|sqmi|km2", "12 sq mi"),
        ("convert|5|ft|6|in|cm", "5 ft 6 in"),
        ("val|1.5|0.2|e=3|u=m", "1.5 ± 0.2×10^3 m"),
        # Rounding
        ("sigfig|4.22|1", "4"),
        ("sigfig|12345.6|2", "12,000"),
        ("sigfig|0.01234|2", "0.012"),
        ("sigfig|4.2|9", "4.2"),
        ("sigfig|0|2", "0"),
        ("sigfig|viel|1", "viel"),
        ("sigfig|4.22", "4.22"),
        ("round|2.718|1", "2.7"),
        ("round|1,234.5", "1,234"),
        ("rnd|1e999999|1", "1e999999"),
        ("round|15.5|-9", "0"),
        (f"sigfig|{'9' * 14}.{'9' * 14}|9", "100,000,000,000,000"),
        (f"round|{'9' * 40}.5|0", f"{'9' * 40}.5"),
        # Dates
        ("as of|2010", "As of 2010"),
        ("as of|2010|7|12", "As of 12 July 2010"),
        ("As of|2010|July|lc=y", "as of July 2010"),
        ("as of|2010|since=y", "Since 2010"),
        ("as of|2010|alt=in that year", "in that year"),
        ("as of|2010|13", "As of 13 2010"),
        ("as of", ""),
        # Recordings and pronunciations
        ("audio|neko.ogg|ねこ", "ねこ"),
        ("audio|neko.ogg|発音", ""),
        ("audio|neko.ogg", ""),
        ("audio|katze.ogg||de|Katze|カッツェ", "Katze（カッツェ）"),
        ("audio|katze.ogg||de|Katze", "Katze"),
        ("IPAc-en|b|r|ə|ˈ|h|uː|i", "/brəˈhuːi/"),
        ("IPAc-en|lang|pron|ˈ|aɪ|n|_|ˈ|r|æ|n|d|En-us-x.ogg", "/ˈaɪn ˈrænd/"),
        ("IPAc-en|US|ə|,_|uː", "US /ə, uː/"),
        ("IPAc-es|g|a|t|o", "[gato]"),
        ("IPAc-en|audio=x.ogg", ""),
    ],
)
def test_what_is_computed_from_arguments(call, text):
    assert left_by(call) == text


@pytest.mark.parametrize("name", sorted(COMPUTED))
def test_a_call_without_arguments_leaves_nothing(name):
    assert left_by(name) == ""
