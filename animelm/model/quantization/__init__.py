"""4-bit weights: how they are packed, unpacked and multiplied."""
