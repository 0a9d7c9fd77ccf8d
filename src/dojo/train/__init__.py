"""In: a model and batches. Out: checkpoints and curves."""
