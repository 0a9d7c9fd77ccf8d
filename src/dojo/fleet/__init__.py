"""In: bytes from vehicles. Out: verified drives."""
