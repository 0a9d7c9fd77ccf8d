"""In: clips. Out: batches."""
