import pytest

from animelm.corpus.page_names import page_names


@pytest.mark.parametrize(
    ("title", "namespace", "name"),
    [
        ("Re:星屑", 0, "Re:星屑"),
        ("Star/星屑の夜", 0, "Star/星屑の夜"),
        ("Category:Re:星屑", 14, "Re:星屑"),
        ("Category:Star/夜", 14, "Star/夜"),
        ("無名", 14, "無名"),
    ],
)
def test_a_name_is_the_title_without_the_name_of_its_namespace(title, namespace, name):
    names = page_names(title, namespace)
    assert names["PAGENAME"] == names["BASEPAGENAME"] == names["SUBPAGENAME"] == name
    assert names["FULLPAGENAME"] == title
