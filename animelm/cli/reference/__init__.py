"""Every option of every command, listed from the code."""
