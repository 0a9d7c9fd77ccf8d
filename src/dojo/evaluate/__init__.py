"""In: a policy and clips. Out: a report."""
