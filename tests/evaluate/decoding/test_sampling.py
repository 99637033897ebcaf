import pytest

from animelm.errors import UserError
from animelm.evaluate.decoding.sampling import Sampling


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"temperature": 0.0}, "temperature is 0.0"),
        ({"temperature": -1.0}, "temperature is -1.0"),
        ({"temperature": float("nan")}, "temperature is nan"),
        ({"temperature": 1.0, "top_p": 0.0}, "top_p is 0.0"),
        ({"temperature": 1.0, "top_p": 1.1}, "top_p is 1.1"),
        ({"temperature": 1.0, "seed": -1}, "seed is -1"),
        ({"temperature": 1.0, "seed": 2**63}, "seed is 9223372036854775808"),
    ],
)
def test_a_value_out_of_range_is_named(values: dict[str, float], message: str) -> None:
    with pytest.raises(UserError, match=message):
        Sampling(**values)  # type: ignore[arg-type]
