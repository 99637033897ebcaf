"""Teach a 4-bit mixture-of-experts language model one domain, and measure what it lost.

The rooms, and the one direction in which they may import each other, are drawn in
``docs/architecture.md``; ``animelm.cli`` is the only place that knows all of them.
"""

__version__ = "0.1.0"
