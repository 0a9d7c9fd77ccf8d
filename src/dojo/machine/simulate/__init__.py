"""How long work takes on a machine: operators, messages, pipelines, steps; and how far that can be trusted."""
