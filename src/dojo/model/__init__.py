"""In: a batch. Out: plans."""
