"""`dojo train cluster --nodes N`: training on several processes and machines, which start again when one is lost.

In: the configuration of a training run. Out: its ranks, started, watched and started again; the result of the first.
Idea: PyTorch's elastic launcher starts one process per device and agrees with the launchers of other machines, on which
the same command runs. When a process is lost, all are ended and started again, and training goes on by itself from
the newest whole checkpoint, with the same global batches; since neither the order of samples nor checkpoints know how
many ranks there are, it may as well go on with fewer or more of them.
Not here: what a rank does (`train.py`, `train/distributed.py`).
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import torch
from rich.console import Console

from dojo.errors import ConfigError, DojoError

if TYPE_CHECKING:
    from dojo.recipes.train import TrainRun


@dataclass(frozen=True)
class ClusterConfig:
    """Where the ranks of a run are.

    Args:
        nodes: machines, on each of which the same command runs; 0 trains in this process.
        processes: ranks on each machine; 0 for one per GPU, or one where there is none.
        strategy: `ddp` copies the policy to every rank, `fsdp` shares it out, for policies that do not fit.
        rendezvous: host:port of the first machine, the same on all; not needed with one.
        restarts: how often lost processes are started again.
    """

    nodes: int = 0
    processes: int = 0
    strategy: Literal["ddp", "fsdp"] = "ddp"
    rendezvous: str = ""
    restarts: int = 10

    def __post_init__(self) -> None:
        if min(self.nodes, self.processes, self.restarts) < 0:
            raise ConfigError(
                f"cluster: expected nodes, processes and restarts of at least 0, got {self.nodes}, {self.processes} "
                f"and {self.restarts}"
            )
        if self.nodes > 1 and not self.rendezvous:
            raise ConfigError(
                f"cluster: expected rendezvous with {self.nodes} nodes; give every node the same, "
                "--rendezvous HOST:29400 with the name of the first one"
            )


def launch(config: TrainRun) -> dict[str, Any]:
    """Train on all ranks; the facts of the first rank of this machine.

    Raises:
        DojoError: a rank failed more often than it may be started again.
    """
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    cluster = config.cluster
    settings = LaunchConfig(
        min_nodes=cluster.nodes,
        max_nodes=cluster.nodes,
        nproc_per_node=cluster.processes or max(1, torch.cuda.device_count()),
        run_id=str(config.out).replace("/", "-"),
        rdzv_backend="c10d",
        rdzv_endpoint=cluster.rendezvous or "localhost:0",
        max_restarts=cluster.restarts,
        monitor_interval=0.5,
        start_method="spawn",
    )
    os.environ.setdefault("OMP_NUM_THREADS", str(config.train.threads))
    try:
        found = elastic_launch(settings, rank_of)(config)
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        raise DojoError(
            f"{config.out}: expected every rank to train to the end, rank {rank} failed {cluster.restarts + 1} times, "
            f"last with: {failure.message}; the last checkpoint is whole: the same command goes on from it"
        ) from error
    facts: dict[str, Any] = found[min(found)]
    return facts


def rank_of(config: TrainRun) -> dict[str, Any]:
    """One rank, in a process that the launcher started: the facts of its training."""
    from dojo.recipes.train import learn
    from dojo.train import distributed

    device = distributed.meet(config.device)
    try:
        engine = distributed.Together(config.cluster.strategy, device)
        return learn(config, Console(stderr=True, quiet=engine.rank > 0), engine=engine, device=device)
    finally:
        distributed.part()
