"""Model and batches to adapters: the LightningModule, its optimiser, and what watches a run."""
