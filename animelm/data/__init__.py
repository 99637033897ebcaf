"""Articles and question-answer records, tokenized, split, packed and handed out in batches."""
