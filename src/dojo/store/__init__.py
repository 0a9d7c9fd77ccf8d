"""In: drives. Out: drives and clips by query, versioned, on disk or object storage."""
