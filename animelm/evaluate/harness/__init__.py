"""Tasks of lm-evaluation-harness, answered by 4-bit models with adapters (the extra lm-eval)."""
