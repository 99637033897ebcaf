"""Model and batches to adapters: the LightningModule, its optimizer, and what watches a run."""
