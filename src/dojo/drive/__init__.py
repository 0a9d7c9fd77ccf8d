"""Driving: in a bundle and sensors, out commands within limits."""
