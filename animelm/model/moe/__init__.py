"""The mixture of experts: routing, the gated unit, and a pass over all experts."""
