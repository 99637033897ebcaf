"""Articles and question-answer records, tokenised, split, packed and handed out in batches."""
