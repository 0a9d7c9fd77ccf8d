"""A fleet's drives are cut into clips, loaded as batches, learned by a policy, judged by rollouts, sealed in a
bundle, and driven as commands. And the machine that trains it: number formats make a chip, chips and links make a
pod, a compiler partitions work across it, a simulator times it, and a planner chooses.
"""

__version__ = "0.1.0"
