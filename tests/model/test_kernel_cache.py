import os

import pytest

from animelm.model.kernel_cache import bound_kernel_cache


@pytest.mark.parametrize(("width", "expected"), [(256, "1024"), (1024, "128"), (2880, "16")])
def test_wider_models_keep_fewer_products(
    monkeypatch: pytest.MonkeyPatch, width: int, expected: str
) -> None:
    monkeypatch.delenv("ONEDNN_PRIMITIVE_CACHE_CAPACITY", raising=False)
    monkeypatch.setenv("LRU_CACHE_CAPACITY", "7")  # the user's own
    bound_kernel_cache(width, width)
    assert os.environ["ONEDNN_PRIMITIVE_CACHE_CAPACITY"] == expected
    assert os.environ["LRU_CACHE_CAPACITY"] == "7"
