"""Activation checkpointing: what a block computed is forgotten and computed again when its gradient is wanted.

In: a policy. Out: the same policy, whose blocks keep their input alone.
Idea: most of the memory of a step are the maps of the trunk at high resolution, which are cheap to compute again: about
a third more time for a fraction of the memory. The second time must not count twice in the running means of norms.
Not here: which policies are worth it (`benchmarks/train_step.py` measures).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial

from torch import nn
from torch.utils.checkpoint import checkpoint


def recompute(policy: nn.Module, parts: tuple[str, ...] = ("trunk.stages", "memory.layers")) -> None:
    """Make every child of these parts forget what it computed, in place."""
    named = dict(policy.named_modules())
    for name in parts:
        for block in named.get(name, nn.ModuleList()).children():
            contexts = partial(_contexts, block)
            block.forward = partial(checkpoint, block.forward, use_reentrant=False, context_fn=contexts)


def _contexts(block: nn.Module) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
    return nullcontext(), _without_memory(block)


@contextmanager
def _without_memory(block: nn.Module) -> Iterator[None]:
    norms = [module for module in block.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    for norm in norms:
        norm.track_running_stats = False
    try:
        yield
    finally:
        for norm in norms:
            norm.track_running_stats = True
