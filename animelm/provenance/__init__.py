"""What an adapter was trained on: recorded beside it, and compared before it is used."""
