"""What ``tokenize_speed.py`` is made of."""
