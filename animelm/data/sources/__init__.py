"""Reads the user's data: Markdown, Parquet, question files, datasets on the hub."""
