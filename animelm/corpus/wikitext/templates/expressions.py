"""Evaluates the expressions of ``{{#expr:}}`` and ``{{#ifexpr:}}`` as MediaWiki does.

Operators, precedence and errors: https://www.mediawiki.org/wiki/Manual:Expr_parser_function_syntax.
Numbers are doubles, written as PHP writes them, with 14 significant digits.
"""

import math
import operator
import re
from collections.abc import Callable
from decimal import ROUND_HALF_UP, Decimal
from typing import NamedTuple

_SPACE = " \t\r\n"
_TOKEN = re.compile(
    rf"[{_SPACE}]*(?:([0-9.]+)|([A-Za-z]+)|(<=|>=|<>|!=|[-+*/^()=<>])|([^{_SPACE}]))", re.ASCII
)
_ESCAPED = {"&lt;": "<", "&gt;": ">", "&minus;": "-", "−": "-"}
_NUMBER = re.compile(r"\d*\.?\d*", re.ASCII)
_CONSTANTS = {"e": math.e, "pi": math.pi}
_MOST_OPEN = 100  # MediaWiki's own limit
_DIGITS = 14  # PHP's default precision
_MOST_DECIMALS = 400  # more than a double has


class ExpressionError(ValueError):
    """An expression that MediaWiki answers with an error message."""


class _Operator(NamedTuple):
    precedence: int
    operands: int
    apply: Callable[..., float]


def evaluate(expression: str) -> str:
    """The value of an expression as text; an empty one has an empty value.

    Raises:
        ExpressionError: it is not an expression, or has no value, such as ``1/0``.
    """
    for escaped, sign in _ESCAPED.items():
        expression = expression.replace(escaped, sign)
    try:
        value = _Evaluation().run(expression)
    except (ArithmeticError, ValueError) as error:
        raise ExpressionError(str(error)) from error
    return "" if value is None else format_number(value)


def format_number(value: float) -> str:
    """A number as PHP writes it: ``0.33333333333333``, ``1.0E+25``, ``-0``."""
    if isinstance(value, int):
        return str(value)
    if not math.isfinite(value):
        return "NAN" if math.isnan(value) else f"{'-' if value < 0 else ''}INF"
    digits, exponent, power = f"{value:.{_DIGITS}G}".partition("E")
    if not exponent:
        return digits
    point = "" if "." in digits else ".0"
    return f"{digits}{point}E{power[0]}{power[1:].lstrip('0')}"


class _Evaluation:
    """Operands and operators that are waiting for what follows: Dijkstra's shunting yard."""

    def __init__(self) -> None:
        self._operands: list[float] = []
        self._operators: list[str] = []

    def run(self, expression: str) -> float | None:
        wants_operand = True
        position, end = 0, len(expression.rstrip(_SPACE))
        while position < end:
            token = _TOKEN.match(expression, position)
            if token is None or token[4]:
                raise ExpressionError(f"unrecognized character at {expression[position:][:10]!r}")
            position = token.end()
            wants_operand = self._read(token, wants_operand)
            if max(len(self._operands), len(self._operators)) > _MOST_OPEN:
                raise ExpressionError("too deeply nested")
        while self._operators:
            if self._operators[-1] == "(":
                raise ExpressionError("unclosed bracket")
            self._apply_last()
        return self._operands[-1] if self._operands else None

    def _read(self, token: re.Match[str], wants_operand: bool) -> bool:
        """Reads a number, word or sign, and returns whether an operand must follow."""
        number, sign = token[1], (token[2] or token[3] or "").lower()
        if number or (sign in _CONSTANTS and (wants_operand or sign == "pi")):
            if not wants_operand:
                raise ExpressionError(f"unexpected number {number or sign}")
            self._operands.append(_CONSTANTS[sign] if sign else _read_number(number))
            return False
        if sign == ")":
            self._close_bracket()
            return False
        if wants_operand:
            sign = {"-": "negative", "+": "positive"}.get(sign, sign)
        if sign == "(" or (sign in _OPERATORS and _OPERATORS[sign].operands == 1):
            if not wants_operand:
                raise ExpressionError(f"unexpected operator {sign}")
            self._operators.append(sign)
            return True
        if sign not in _OPERATORS or wants_operand:
            raise ExpressionError(f"unexpected or unknown operator {sign}")
        precedence = _OPERATORS[sign].precedence
        while self._operators and precedence <= _precedence(self._operators[-1]):
            self._apply_last()
        self._operators.append(sign)
        return True

    def _close_bracket(self) -> None:
        while self._operators and self._operators[-1] != "(":
            self._apply_last()
        if not self._operators:
            raise ExpressionError("unexpected closing bracket")
        self._operators.pop()

    def _apply_last(self) -> None:
        name = self._operators.pop()
        count, apply = _OPERATORS[name][1:]
        if len(self._operands) < count:
            raise ExpressionError(f"missing operand for {name}")
        values = self._operands[-count:]
        self._operands[-count:] = [apply(*values)]


def _precedence(name: str) -> int:
    return -1 if name == "(" else _OPERATORS[name].precedence


def _read_number(digits: str) -> float:
    """The number at the beginning: of ``1.2.3`` that is 1.2, and of ``.`` zero."""
    found = _NUMBER.match(digits)
    return float(found[0]) if found and found[0] not in ("", ".") else 0.0


def _modulo(left: float, right: float) -> int:
    """The remainder of whole numbers, with the sign of the first."""
    return int(math.copysign(1, left)) * (abs(int(left)) % abs(int(right)))


def _power(base: float, exponent: float) -> float:
    try:
        return math.pow(base, exponent)
    except OverflowError:
        return math.inf if base > 0 or exponent % 2 == 0 else -math.inf


def _rounded(value: float, digits: float) -> float:
    """Rounded half away from zero, in the decimal digits that the number is written with."""
    places = max(-_MOST_DECIMALS, min(int(digits), _MOST_DECIMALS))
    number = Decimal(repr(value))
    if not number.is_finite() or -int(number.as_tuple().exponent) <= places:
        return value
    return math.copysign(float(_shifted(number, places)), value)


def _shifted(number: Decimal, places: int) -> Decimal:
    return (number.scaleb(places).to_integral_value(ROUND_HALF_UP)).scaleb(-places)


def _truth(compare: Callable[[float, float], object]) -> Callable[[float, float], int]:
    return lambda left, right: int(bool(compare(left, right)))


def _whole(function: Callable[[float], int]) -> Callable[[float], float]:
    return lambda value: math.copysign(float(function(value)), value)


_UNARY: dict[str, tuple[int, Callable[[float], float]]] = {
    "negative": (10, operator.neg),
    "positive": (10, operator.pos),
    "not": (9, lambda value: int(not value)),
    "sin": (9, math.sin),
    "cos": (9, math.cos),
    "tan": (9, math.tan),
    "asin": (9, math.asin),
    "acos": (9, math.acos),
    "atan": (9, math.atan),
    "exp": (9, math.exp),
    "ln": (9, math.log),
    "abs": (9, abs),
    "floor": (9, _whole(math.floor)),
    "ceil": (9, _whole(math.ceil)),
    "trunc": (9, math.trunc),
    "sqrt": (9, math.sqrt),
}
_BINARY: dict[str, tuple[int, Callable[[float, float], float]]] = {
    "e": (10, lambda value, power: value * _power(10, power)),
    "^": (8, _power),
    "*": (7, operator.mul),
    "/": (7, operator.truediv),
    "div": (7, operator.truediv),
    "mod": (7, _modulo),
    "fmod": (7, math.fmod),
    "+": (6, operator.add),
    "-": (6, operator.sub),
    "round": (5, _rounded),
    "=": (4, _truth(operator.eq)),
    "<>": (4, _truth(operator.ne)),
    "!=": (4, _truth(operator.ne)),
    "<": (4, _truth(operator.lt)),
    ">": (4, _truth(operator.gt)),
    "<=": (4, _truth(operator.le)),
    ">=": (4, _truth(operator.ge)),
    "and": (3, _truth(lambda left, right: left and right)),
    "or": (2, _truth(lambda left, right: left or right)),
}
_OPERATORS = {name: _Operator(rank, 1, apply) for name, (rank, apply) in _UNARY.items()} | {
    name: _Operator(rank, 2, apply) for name, (rank, apply) in _BINARY.items()
}
