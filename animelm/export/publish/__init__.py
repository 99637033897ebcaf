"""What an export needs to be passed on: its card, the attribution of its data, and the hub."""
