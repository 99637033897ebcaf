"""What validations show of the base and of the trained model."""
