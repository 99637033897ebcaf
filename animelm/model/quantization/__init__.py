"""4-bit weights: how they are packed, dequantized and multiplied."""
