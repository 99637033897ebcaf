"""Reads text files of the user, with errors that name the place of a mistake."""

from animelm.reading import decode_utf8, json_lines, plain_lines, read_utf8

__all__ = ["decode_utf8", "json_lines", "plain_lines", "read_utf8"]
