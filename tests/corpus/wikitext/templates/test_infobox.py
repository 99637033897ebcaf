def facts(body, wikitext):
    """Field and value of each line below the header of the first table."""
    lines = [line for line in body(wikitext).split("\n") if line.startswith("|")]
    return [tuple(line[2:-2].split(" | ")) for line in lines[2:]]


def test_fields_with_a_value_become_facts(body):
    box = """{{Infobox film
| name = '''Cats'''
| starring = [[A]]<br />[[B]]
| music = {{ubl|C|D}}
| budget =
| image = cats.jpg
| image_size = 220px
| released_on = {{start date|2001|2|3}}<ref>x</ref>
}}"""
    assert facts(body, box) == [
        ("name", "Cats"),
        ("starring", "A / B"),
        ("music", "C / D"),
        ("released on", "2001-02-03"),
    ]


def test_a_side_is_a_look_of_a_picture_and_a_fact_of_a_country(body):
    box = "{{Infobox country|drives_on=right|float=right|align-fn=center|area_magnitude=1_E11}}"
    assert facts(body, box) == [("drives on", "right")]


def test_boxes_of_one_template_that_follow_each_other_are_rows_of_a_table(body):
    rows = """{{州の表|中身=
{{州の列
|名=東|人口=1|首都=北
}}
{{州の列
|名=西|人口=2|首都=
}}
}}"""
    table = "| 名 | 人口 | 首都 |\n| --- | --- | --- |\n| 東 | 1 | 北 |\n| 西 | 2 |  |"
    assert body(f"{rows}\nひらがなのぶん。") == f"{table}\n\nひらがなのぶん。"


def test_infoboxes_that_follow_each_other_stay_apart(body):
    assert body("{{Infobox film|a=1}}\n{{Infobox film|a=2}}").count("| Field | Value |") == 2


def test_the_header_is_in_the_page_s_language(body):
    assert body("{{基礎情報 駅|よみ=ひらがな|ところ=まち}}").startswith("| 項目 | 内容 |")
    assert body("{{Infobox x|a=b}}").startswith("| Field | Value |")


def test_a_box_of_several_parts_says_what_each_is(body):
    box = "{{Infobox animanga/TVAnime|監督=あおき|ひらがな=かな}}{{Infobox animanga/Footer|x=y}}"
    assert facts(body, box)[0] == ("種類", "テレビアニメ")
    assert len(facts(body, box)) == 3


def test_a_template_with_three_fields_at_the_beginning_of_a_line_is_a_box(body):
    assert facts(body, "{{駅\n|a=1\n|b=2\n|c=3\n}}\n猫。") == [("a", "1"), ("b", "2"), ("c", "3")]
    assert body("猫{{駅|a=1|b=2|c=3}}。") == "猫。"


def test_a_box_or_table_within_a_box_follows_it(body):
    text = body("{{Infobox a|x=1|in={{Infobox b|y=2}}}}")
    assert text.index("| x | 1 |") < text.index("| y | 2 |")
    assert "in |" not in text


def test_a_list_in_a_field_is_one_line(body):
    assert facts(body, "{{Infobox a|x=\n* 猫\n* 犬\n鳥は\n魚|y=(a) [http://b c]}}") == [
        ("x", "猫 / 犬 / 鳥は 魚"),
        ("y", "(a) c"),
    ]
