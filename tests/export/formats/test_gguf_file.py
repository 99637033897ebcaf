"""Files are read with gguf's own reader and dequantizer."""

from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
from tiny_gpt_oss import tiny_gpt_oss
from transformers import LlamaConfig

from animelm.errors import UserError
from animelm.export.composed import ComposedAdapter, compose_adapter
from animelm.export.formats.gguf_file import (
    FILE,
    differing_tensors,
    require_gguf,
    write_gguf,
)
from animelm.export.settings import GgufType
from animelm.export.stock_weights import merged_tensors


@pytest.fixture(scope="module")
def composed(adapter: Path) -> ComposedAdapter:
    return compose_adapter(adapter)


@pytest.mark.parametrize(("kind", "tolerance"), [("bf16", 2**-8), ("f16", 2**-10), ("mxfp4", 0.3)])
def test_the_values_in_the_file_are_those_of_the_merged_model(
    tiny_base: str, composed: ComposedAdapter, tmp_path: Path, kind: GgufType, tolerance: float
) -> None:
    write_gguf(tiny_base, "nf4", composed, tmp_path, kind, "search")
    read = {
        tensor.name: torch.from_numpy(gguf.quants.dequantize(tensor.data, tensor.tensor_type))
        for tensor in gguf.GGUFReader(tmp_path / FILE).tensors
    }
    for each in merged_tensors(tiny_base, "nf4", composed):
        if each.name == "model.layers.1.mlp.experts.gate_up_proj":
            rows = each.tensor(torch.float32).transpose(1, 2)
            found = torch.stack(
                [read["blk.1.ffn_gate_exps.weight"], read["blk.1.ffn_up_exps.weight"]], 2
            ).flatten(1, 2)
            assert (found - rows).abs().max() <= tolerance * rows.abs().max()
            # No row or column has moved.
            assert torch.corrcoef(torch.stack([found.flatten(), rows.flatten()]))[0, 1] > 0.98
        if each.name == "model.layers.1.mlp.experts.down_proj_bias":
            torch.testing.assert_close(read["blk.1.ffn_down_exps.bias"], each.tensor(torch.float32))
        if each.name == "model.layers.0.self_attn.sinks":
            expected = each.tensor(torch.float32)
            torch.testing.assert_close(read["blk.0.attn_sinks.weight"], expected)


def test_a_byte_that_was_changed_is_found(
    tiny_base: str, composed: ComposedAdapter, tmp_path: Path
) -> None:
    write_gguf(tiny_base, "nf4", composed, tmp_path, "bf16", "search")
    arguments = (tiny_base, "nf4", composed, tmp_path / FILE, "bf16", "search")
    assert not list(differing_tensors(*arguments))  # type: ignore[arg-type]
    offset = gguf.GGUFReader(tmp_path / FILE).tensors[-1].data_offset
    with (tmp_path / FILE).open("rb+") as file:
        file.seek(int(offset))
        byte = file.read(1)[0]
        file.seek(int(offset))
        file.write(bytes([byte ^ 1]))
    [changed] = differing_tensors(*arguments)  # type: ignore[arg-type]
    assert changed == gguf.GGUFReader(tmp_path / FILE).tensors[-1].name


def test_the_tokenizer_and_the_template_are_inside(
    tiny_base: str, composed: ComposedAdapter, tmp_path: Path
) -> None:
    remarks = write_gguf(tiny_base, "nf4", composed, tmp_path, "f16", "search")
    assert "give it token ids" in remarks[0]  # the embedded base's tokenizer is its own
    fields = gguf.GGUFReader(tmp_path / FILE).fields
    assert fields["general.architecture"].contents() == "gpt-oss"
    assert "<|start|>assistant" in fields["tokenizer.chat_template"].contents()
    tokens = fields["tokenizer.ggml.tokens"].contents()
    assert tokens[6] == "<|end|>" and len(tokens) == 8192
    types = np.array(fields["tokenizer.ggml.token_type"].contents())
    assert types[6] == gguf.TokenType.CONTROL and types[-1] == gguf.TokenType.UNUSED


@pytest.mark.parametrize(
    ("config", "kind", "message"),
    [
        (LlamaConfig(), "bf16", r"is no gpt-oss; .* convert_hf_to_gguf\.py"),
        (tiny_gpt_oss(swiglu_limit=5.0), "bf16", r"swiglu_limit 5\.0; llama\.cpp has 7\.0 only"),
        (tiny_gpt_oss(intermediate_size=48), "mxfp4", r"widths in multiples of 32"),
    ],
)
def test_what_llama_cpp_does_not_know_is_refused(config, kind: GgufType, message: str) -> None:
    with pytest.raises(UserError, match=message):
        require_gguf(config, "base", kind)
