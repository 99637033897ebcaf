"""Reads what users have: Markdown, Parquet, question files, the hub."""
