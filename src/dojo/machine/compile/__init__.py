"""Work as a machine sees it: captured as a graph of operators, partitioned and placed."""
