import pytest
import torch
from torch._inductor import config

from animelm.errors import UserError
from animelm.model.compiled import compiled


def test_a_missing_compiler_is_named_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config.cpp, "cxx", ("no-such-compiler",))
    monkeypatch.setattr(config, "force_disable_caches", True)

    def one_more(x: torch.Tensor) -> torch.Tensor:
        return x + 1

    with pytest.raises(UserError, match=r"one_more .*C\+\+ compiler.*compile_kernels=false"):
        compiled(one_more)(torch.ones(3))
