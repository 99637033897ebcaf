import pytest

from animelm.planner.devices import GPU_NAMES, gpu_memory


@pytest.mark.parametrize(
    ("name", "gib"),
    [
        ("RTX 4090", 24),
        ("NVIDIA GeForce RTX 4090", 24),
        ("rtx4090", 24),
        ("A100-40GB", 40),
        ("NVIDIA A100-SXM4-80GB", 80),
        ("NVIDIA A100 80GB PCIe", 80),
        ("H100", 80),
        ("NVIDIA H100 80GB HBM3", 80),
        ("NVIDIA H200", 141),
        ("Tesla T4", 16),
        ("RTX 6000 Ada", 48),
    ],
)
def test_a_gpu_is_found_by_what_people_and_the_driver_call_it(name: str, gib: int) -> None:
    assert gpu_memory(name) == gib * 2**30


@pytest.mark.parametrize("name", ["", "gpu", "cpu", "A100", "16 GB GPU", "V100", "RTX"])
def test_what_names_no_gpu_of_one_size_is_not_guessed(name: str) -> None:
    assert gpu_memory(name) is None


def test_every_listed_name_is_known() -> None:
    assert all(gpu_memory(name) for name in GPU_NAMES)
