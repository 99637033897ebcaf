from datetime import date

import pytest

from animelm.corpus.wikitext.templates.calls import read_call
from animelm.corpus.wikitext.templates.dates import age, current_date

TODAY = date(2024, 2, 29)


def age_of(call, today=TODAY):
    return age(read_call(call.split("|"), begins_line=False, alone=False), today)


@pytest.mark.parametrize(
    ("call", "years"),
    [
        ("age|2000|2|29", "24"),
        ("age|2000|3|1", "23"),
        ("age in years|2000|2010", "10"),
        ("age in years|2000", "24"),
        ("age in years|1980|5|6|2010|5|5", "29"),
        ("年数|1980|5|6|2010|5|6", "30"),
        ("age", ""),
        ("age|2000|2", "24"),
        ("age|2000|3", "23"),
        ("age|2030|1|1", ""),
        ("age|2000|2|3|4", ""),
        ("age|19e2|2|3", ""),
        ("age|99999|2|3", ""),
    ],
)
def test_whole_years_are_counted(call, years):
    assert age_of(call) == years


def test_without_a_day_only_ages_between_two_dates_are_known():
    assert age_of("age|2000|2|29", None) == ""
    assert age_of("age|2000|2|29|2010|2|28", None) == "9"


@pytest.mark.parametrize(
    ("word", "text"),
    [
        ("CURRENTYEAR", "2024"),
        ("LOCALMONTH", "02"),
        ("CURRENTMONTH1", "2"),
        ("CURRENTMONTHNAME", "2月"),
        ("CURRENTDAY", "29"),
        ("CURRENTDOW", "4"),
        ("CURRENTWEEK", "9"),
        ("CURRENTTIME", None),
        ("YEAR", None),
        ("PAGENAME", None),
    ],
)
def test_a_variable_is_a_part_of_the_day(word, text):
    assert current_date(word, TODAY, "ja") == text
