"""The forms of question files: each reader yields the questions of one, with their places."""
