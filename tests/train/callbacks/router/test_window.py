import math

import pytest
import torch

from animelm.train.callbacks.router.window import RouterSummary, RouterWindow


def summarize(logits, chosen, counted=None):
    window = RouterWindow(1)
    window.add(0, torch.tensor(logits), torch.tensor(chosen), counted)
    return RouterSummary.from_sums(window.take())


def test_even_logits_give_full_entropy_and_the_chosen_share_of_mass():
    summary = summarize([[0.0] * 4] * 2, [[0, 1], [2, 3]])
    assert summary.entropy.item() == pytest.approx(math.log(4))
    assert summary.chosen_mass.item() == pytest.approx(0.5)
    assert summary.imbalance.item() == pytest.approx(1)
    assert summary.dead_experts.item() == 0


def test_one_sided_choices_show_as_imbalance_and_dead_experts():
    summary = summarize([[9.0, 8.0, 0.0, 0.0]] * 3, [[0, 1]] * 3)
    assert summary.shares.tolist() == [[0.5, 0.5, 0, 0]]
    assert summary.imbalance.item() == pytest.approx(2)
    assert summary.dead_experts.item() == 2


def test_an_expert_masked_with_minus_infinity_adds_no_entropy():
    summary = summarize([[0.0, 0.0, -math.inf]], [[0, 1]])
    assert summary.entropy.item() == pytest.approx(math.log(2))


def test_padding_counts_for_nothing_even_where_it_holds_nan():
    summary = summarize([[1.0, 0.0], [math.nan] * 2], [[0], [1]], torch.tensor([True, False]))
    assert summary.tokens == 1
    assert summary.shares.tolist() == [[1, 0]]
    assert not summary.entropy.isnan().any() and not summary.chosen_mass.isnan().any()


def test_half_precision_logits_are_summed_without_losing_tokens():
    window = RouterWindow(1)
    logits, chosen = torch.zeros(5000, 2, dtype=torch.bfloat16), torch.zeros(5000, 1).long()
    window.add(0, logits, chosen, None)
    window.add(0, logits, chosen, None)
    summary = RouterSummary.from_sums(window.take())
    assert summary.tokens == 10000
    assert summary.entropy.item() == pytest.approx(math.log(2), rel=1e-6)


def test_a_mask_of_another_length_is_refused():
    with pytest.raises(ValueError, match="the router saw 2 tokens, the batch has 3"):
        summarize([[0.0, 0.0]] * 2, [[0]] * 2, torch.ones(3, dtype=torch.bool))


def test_taking_the_sums_starts_a_new_window():
    window = RouterWindow(1)
    window.add(0, torch.zeros(2, 2), torch.zeros(2, 1).long(), None)
    assert window.take() is not None
    assert window.take() is None
