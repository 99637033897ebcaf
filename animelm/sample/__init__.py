"""The embedded default: tables of facts, and what writes articles and questions from them."""
