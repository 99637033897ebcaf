"""The parts of ``training_speed.py``; each competitor runs in a process of its own."""
