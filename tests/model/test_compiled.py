import pytest
import torch
from torch._inductor import config

from animelm.errors import UserError
from animelm.model.compiled import compiled, require_compiler


def test_a_compiled_function_gives_what_it_gave() -> None:
    def product(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return x * y + 1

    x, y = torch.randn(2, 5, 3)
    torch.testing.assert_close(compiled(product)(x, y), product(x, y))


def test_a_missing_compiler_is_named_with_what_to_do() -> None:
    without = config.patch({"cpp.cxx": ("no-such-compiler",), "force_disable_caches": True})
    message = r"trial .*InvalidCxxCompiler.*such as g\+\+.*compile_kernels=false"
    with without, pytest.raises(UserError, match=message):
        require_compiler(torch.device("cpu"))
