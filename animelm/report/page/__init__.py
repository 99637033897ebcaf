"""The report of a run or a comparison: one HTML page, or Markdown with pictures beside it."""
