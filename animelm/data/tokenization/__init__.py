"""Text to tokens: tokenizer, chat template, and the store of encoded articles."""
