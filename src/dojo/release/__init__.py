"""In: a checkpoint and the reports about it. Out: a signed, licensed bundle, and its way into a vehicle."""
