"""Parts of a decoder layer that take one operation each on a GPU, where launches cost time."""
