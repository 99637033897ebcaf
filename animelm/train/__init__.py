"""Trains adapters: the LightningModule, its optimizer, strategies and callbacks."""
