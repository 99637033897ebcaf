import pytest


@pytest.mark.parametrize(
    ("wikitext", "text"),
    [
        ("{{#if: x |猫|犬}}", "猫"),
        ("{{#if: |猫|犬}}", "犬"),
        ("{{#if: {{#if:|x}} |猫}}だ", "だ"),
        ("{{#ifeq:a|a|猫|犬}}", "猫"),
        ("{{#ifeq:a|b|猫|犬}}", "犬"),
        ("{{#switch:b|a=猫|b|c=犬|#default=鳥}}", "犬"),
        ("{{#switch:x|a=猫|#default=鳥}}", "鳥"),
        ("{{#switch:x|a=猫|鳥}}", "鳥"),
        ("{{#switch:x|a=猫}}だ", "だ"),
        ("{{#tag:ref|注。}}猫{{#expr:1+1}}", "猫2"),
        ("{{#ifexist:猫|猫|犬}}", "猫"),
        ("{{formatnum:1234567.891}}", "1,234,567.891"),
        ("{{formatnum:1,234|R}}", "1234"),
        ("{{lc:CAT}} {{ucfirst:cat}}", "cat Cat"),
        ("{{PAGENAME}}は猫。", "題は猫。"),
        ("{{DEFAULTSORT:ねこ}}猫{{CURRENTYEAR}}", "猫"),
    ],
)
def test_functions_yield_what_the_page_determines(body, wikitext, text):
    assert body(wikitext) == text
