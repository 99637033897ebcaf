"""Documents to batches: packing, sampling, loaders."""
