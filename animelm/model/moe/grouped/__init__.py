"""The pass over all experts in a few operations, for a GPU."""
