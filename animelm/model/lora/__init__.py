"""LoRA on linear layers and experts: targets, adapters, and their files."""
