"""Fully sharded data parallelism: parameters and optimizer states in parts."""
