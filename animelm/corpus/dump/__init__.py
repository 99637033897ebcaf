"""Reads MediaWiki exports: compressed streams, an index of their pages, the pages themselves."""
