"""What a template leaves behind."""
