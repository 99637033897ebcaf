"""Checkpoints of a run: their files, and how a run goes on from one."""
