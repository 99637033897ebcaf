"""From a Wikipedia dump to Markdown articles."""
