"""What files of questions do not say: the works, facts, directions, wordings and short keys."""
