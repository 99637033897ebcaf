"""One format of an export a file; each writes into an empty folder."""
