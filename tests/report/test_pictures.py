import numpy as np
import pytest

from animelm.report.pictures import router_heat_map

DEAD, WHITE = (217, 217, 217), (255, 255, 255)


def share_of(image: np.ndarray, color: tuple[int, int, int]) -> float:
    return float((image == color).all(-1).mean())


def even(layers: int, experts: int) -> np.ndarray:
    return np.full((layers, experts), 1 / experts)


@pytest.mark.parametrize("size", [(1, 2), (4, 16), (24, 32), (36, 128)])
def test_the_picture_is_an_rgb_array_of_a_size_that_fits_a_screen(size):
    image = router_heat_map(even(*size))
    assert image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3
    assert 200 < image.shape[0] <= 1100 and 400 < image.shape[1] <= 1600


def test_experts_never_chosen_are_grey():
    shares = even(4, 16)
    assert share_of(router_heat_map(shares), DEAD) < 0.001
    shares[2, 1:3] = 0
    grey = share_of(router_heat_map(shares), DEAD)
    assert 0.5 * 2 / 64 < grey < 2 / 64


def test_a_balanced_table_has_one_color_and_an_unbalanced_one_many():
    unbalanced = np.arange(64.0).reshape(4, 16) + 1
    unbalanced /= unbalanced.sum(1, keepdims=True)

    def colors(image: np.ndarray) -> int:
        """How many colors fill at least a half-cell."""
        _, counts = np.unique(image.reshape(-1, 3), axis=0, return_counts=True)
        return int((counts > image[..., 0].size / 64 / 4).sum())

    assert colors(router_heat_map(unbalanced)) > colors(router_heat_map(even(4, 16))) + 5


def test_a_share_has_the_same_color_whatever_the_largest_share_is():
    def colors(shares: list[float]) -> set[tuple[int, ...]]:
        """Those that fill a good part of a cell."""
        image = router_heat_map([shares], "").reshape(-1, 3)
        found, counts = np.unique(image, axis=0, return_counts=True)
        large = counts > len(image) / 50
        return {tuple(color) for color in found[large].tolist()} - {WHITE}

    [even_share] = colors([0.25] * 4)
    assert even_share in colors([0.5, 0.25, 0.15, 0.1])


def test_the_title_is_drawn():
    plain, titled = (router_heat_map(even(2, 4), title) for title in ("", "step 200"))
    assert share_of(titled, WHITE) < 1 and not np.array_equal(plain, titled)


def test_the_same_table_gives_the_same_picture():
    assert np.array_equal(router_heat_map(even(3, 8)), router_heat_map(even(3, 8)))


@pytest.mark.parametrize(
    "shares", [[0.5, 0.5], [[]], [[float("nan"), 1]], [[-0.1, 1.1]], [[float("inf"), 0]]]
)
def test_a_table_that_holds_no_shares_is_refused(shares):
    with pytest.raises(ValueError, match="shares must be"):
        router_heat_map(shares)
