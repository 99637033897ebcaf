"""Opens a GGUF file with llama.cpp (package xllamacpp), asks it questions, and writes its answers.

``animelm.export.process`` starts it, without animelm. The request is that of
``transformers_answers.py``, with a file as ``model``. Prompts are given as token ids.
"""

import json
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file


def main() -> None:
    """Reads the request, and writes answers.json and an empty logits.safetensors."""
    request = json.loads(Path(sys.argv[-1]).read_text(encoding="utf-8"))
    questions, output = request["questions"], Path(request["output"])
    xllamacpp = import_module("xllamacpp")  # the extra `gguf`
    parameters = xllamacpp.CommonParams()
    parameters.model.path = request["model"]
    longest = max(map(len, questions["prompts"])) + questions["max_new_tokens"]
    parameters.n_ctx = -(-longest // 256) * 256
    parameters.n_parallel = 1
    parameters.n_gpu_layers = 0
    parameters.warmup = False
    parameters.special = True
    parameters.verbosity = 1
    parameters.cpuparams.n_threads = torch.get_num_threads()
    server = xllamacpp.Server(parameters)
    replies = [
        _reply(server, prompt, questions["max_new_tokens"]) for prompt in questions["prompts"]
    ]
    save_file({}, output / "logits.safetensors")
    answers = {"replies": replies, "losses": [], "tokens": [], "problems": []}
    (output / "answers.json").write_text(json.dumps(answers), encoding="utf-8")


def _reply(server: Any, prompt: list[int], longest: int) -> str:
    """The answer as text, control tokens included."""
    reply = server.handle_completions(
        {
            "prompt": prompt,
            "max_tokens": longest,
            "temperature": 0.0,
            "top_k": 1,
            "cache_prompt": False,
        }
    )
    if "choices" not in reply:
        raise RuntimeError(f"llama.cpp answered {reply}")
    return str(reply["choices"][0]["text"])


if __name__ == "__main__":
    main()
