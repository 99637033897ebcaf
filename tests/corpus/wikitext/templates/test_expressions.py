import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from animelm.corpus.wikitext.templates.expressions import ExpressionError, evaluate, format_number


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        ("1 2", "unexpected number 2"),
        ("(1", "unclosed bracket"),
        ("1)", "unexpected closing bracket"),
        ("1 +", "missing operand for +"),
        ("* 2", r"unexpected or unknown operator \*"),
        ("foo", "unknown operator foo"),
        ("猫", "unrecognized character at '猫'"),
        ("1/0", "division by zero"),
        ("(" * 200, "too deeply nested"),
        ("abs " * 200 + "1", "too deeply nested"),
        ("(-8)^(1/3)", "domain"),
    ],
)
def test_what_has_no_value_is_reported(expression, reason):
    with pytest.raises(ExpressionError, match=reason.replace("+", r"\+")):
        evaluate(expression)


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (12.0, "12"),
        (-0.0, "-0"),
        (123456789012345.0, "1.2345678901234E+14"),
        (1e-7, "1.0E-7"),
        (-2.5e-10, "-2.5E-10"),
        (math.inf, "INF"),
        (-math.inf, "-INF"),
        (math.nan, "NAN"),
        (7, "7"),
    ],
)
def test_numbers_are_written_as_php_writes_them(number, text):
    assert format_number(number) == text


WORDS = ("1", "2.5", ".", "e", "pi", "+", "-", "*", "/", "^", "(", ")", "round", "mod", "fmod")
MORE = ("not", "and", "or", "=", "<>", "<=", "ln", "exp", "floor", "trunc", "sqrt", "99999", "x")


@given(st.lists(st.sampled_from((*WORDS, *MORE)), max_size=12).map(" ".join))
def test_any_expression_has_a_value_or_is_refused(expression):
    try:
        value = evaluate(expression)
    except ExpressionError:
        return
    assert value == "" or value.lstrip("-") in ("INF", "NAN") or math.isfinite(float(value))


@given(st.integers(-(10**6), 10**6), st.integers(-(10**6), 10**6), st.integers(1, 999))
def test_whole_numbers_are_exact(a, b, c):
    assert evaluate(f"{a} + {b} * {c}") == str(a + b * c)
    assert evaluate(f"({a}) mod {c}") == str(int(math.fmod(a, c)))
