import pytest
import torch
from torch._inductor import config
from torch._inductor.exc import TritonMissing

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


def test_a_missing_triton_is_named_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def compile(function, dynamic):
        def call(*arguments):
            raise TritonMissing(None)

        return call

    monkeypatch.setattr(torch, "compile", compile)
    message = r"trial .*working triton.*on a GPU Triton.*compile_kernels=false"
    with pytest.raises(UserError, match=message):
        require_compiler(torch.device("cpu"))
