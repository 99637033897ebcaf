import pytest
import torch
from transformers import GenerationConfig, PreTrainedTokenizerBase

from animelm.evaluate.decoding.greedy import generate_greedily
from animelm.model.architecture import CausalLM
from animelm.model.checkpoint.load import load_base
from animelm.model.quantization.packed_linear import PackedLinear

LONGEST = 12


@pytest.fixture(scope="module")
def model(base: str) -> CausalLM:
    return load_base(base, "nf4").eval()


def stock(model: CausalLM, prompt: list[int], stop: list[int]) -> list[int]:
    settings = GenerationConfig(
        max_new_tokens=LONGEST, do_sample=False, eos_token_id=stop or None, pad_token_id=1
    )
    ids = torch.tensor([prompt])
    mask = torch.ones_like(ids)
    given = model.generate(input_ids=ids, attention_mask=mask, generation_config=settings)
    return given[0, len(prompt) :].tolist()


def prompts(shared: int) -> list[list[int]]:
    """Prompts of nine lengths, shorter and longer than the window of 8 of every other layer."""
    torch.manual_seed(shared)
    beginning = torch.randint(10, 4000, (shared,)).tolist()
    lengths = (1, 2, 3, 3, 6, 9, 9, 14, 20)
    return [beginning + torch.randint(10, 4000, (length,)).tolist() for length in lengths]


@pytest.mark.parametrize("shared", [0, 5, 13])
def test_continuations_are_those_of_each_prompt_alone_by_stock_generate(
    model: CausalLM, shared: int
) -> None:
    asked = prompts(shared)
    free = [stock(model, prompt, []) for prompt in asked]
    assert generate_greedily(model, asked, (), LONGEST) == free
    # Some rows end early, others late, one never: they leave at different times.
    stop = sorted({free[0][2], free[3][0], free[5][6]})
    expected = [stock(model, prompt, stop) for prompt in asked]
    assert len({len(tokens) for tokens in expected}) > 2
    assert generate_greedily(model, asked, stop, LONGEST) == expected


def test_equal_prompts_are_answered_alike(model: CausalLM) -> None:
    prompt = prompts(4)[5]
    assert len({tuple(tokens) for tokens in generate_greedily(model, [prompt] * 3, (), 5)}) == 1


def test_weights_are_dequantized_once_and_as_before_afterwards(
    model: CausalLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []
    real = PackedLinear.dequantize

    def counted(layer: PackedLinear, *rest, **named):
        calls.append(id(layer))
        return real(layer, *rest, **named)

    monkeypatch.setattr(PackedLinear, "dequantize", counted)
    layers = [module for module in model.modules() if isinstance(module, PackedLinear)]
    generate_greedily(model, prompts(2), (), LONGEST)
    assert 0 < len(calls) == len(set(calls)) <= len(layers)
    assert not any("dequantize" in vars(layer) for layer in layers)


def test_the_prompts_are_those_of_the_chat(
    model: CausalLM, tokenizer: PreTrainedTokenizerBase
) -> None:
    ids = tokenizer("主人公は誰ですか?")["input_ids"]
    assert generate_greedily(model, [ids], (), 3) == [stock(model, ids, [])[:3]]
