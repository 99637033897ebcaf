import pytest


@pytest.mark.parametrize(
    ("wikitext", "text"),
    [
        ("'''猫'''と''犬''と'''''鳥'''''", "猫と犬と鳥"),
        ("L''''ami'''", "L'ami"),
        ("[http://a.b 猫]と[//a.b]と[https://a.b [犬] だ]", "猫とと[犬] だ"),
        ("http://a.b/c", "http://a.b/c"),
        ("一<br>二<br clear='all' />三", "一\n二\n三"),
        ("316km<sup>2</sup>、10<sup>-6</sup>、H<sub>2</sub>O、5<sup>th</sup>、x<sup>y</sup>",
         "316km²、10⁻⁶、H₂O、5th、x^y"),
        ("<span style='color:red'>猫</span><small>犬</small><div>鳥</div>魚", "猫犬\n鳥\n魚"),
        ("<span style='display:none'>key</span>猫", "猫"),
        ("3 < 4 <foo> &lt;b&gt; &amp;lt; &euro; &#x30a2; &unknown;",
         "3 < 4 <foo> <b> &lt; € ア &unknown;"),
        ("猫&nbsp;&nbsp;犬", "猫 犬"),
        ("__NOTOC__猫__目次__", "猫"),
        ("a&#0;&#1;&#127;&#xD800;b&#13;&Tab;c&NewLine;d", "a\ufffd\ufffdb c d"),
        ("猫{{要出典}}（{{cite book}}）は走る", "猫は走る"),
        ("Cats {{cn}} (run; {{cn}}) and {{cn}} (, {{cn}}far) and f() stay.",
         "Cats (run) and (far) and f() stay."),
        ("Cats, {{cn}}. Dogs. {{cn}}. 猫。{{要出典}}。犬", "Cats. Dogs. 猫。犬"),
        ("A to {{nowrap begin}}AA-.{{nowrap end}} {{x|a=1}}'b'", "A to AA-. 'b'"),
        (" {{nowrap begin}}猫\n犬", "猫\n犬"),
        ("* {{dmoz|a}}.\n* 猫\n*: {{cn}}\n*: 犬\n* ...", "- 猫\n  犬\n- ..."),
        ("<table><tr><th>a<th>b</tr><tr><td>1<td>2</table>", "| a | b |\n| --- | --- |\n| 1 | 2 |"),
        ("<ul><li>猫<li>犬</ul>", "- 猫\n- 犬"),
    ],
)  # fmt: skip
def test_inline_markup_leaves_its_text(body, wikitext, text):
    assert body(wikitext) == text
