"""In: drives. Out: clips with labels, tags and splits."""
