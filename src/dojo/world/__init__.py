"""A place to drive when no car is at hand: roads, traffic, weather, vehicle dynamics, camera pictures."""
