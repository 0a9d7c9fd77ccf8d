"""The machine that trains, in software: number formats make a chip, chips and links make a pod.

In: a machine as data, a model. Out: how long a step is, what limits it, and what it takes.
Idea: every level is checked against the one below it and against somebody's measurement. The folders are `numbers`,
`chip`, `network`, `compile`, `simulate`, `plan` and `specs`; each imports only those before it in this list.
Not here: the training itself (`dojo.train`).
"""
