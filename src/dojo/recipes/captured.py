"""The policy's own training step as a graph of operators, for questions about machines.

In: how a policy is trained, how many clips of how many anchors. Out: a captured step.
Idea: the machine's part knows no policy, and the policy no machine; here they meet.
Not here: capture (`machine/compile/capture.py`), what the graph is asked (`dojo machine`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from dojo.errors import ConfigError
from dojo.machine.compile.batches import Batches
from dojo.machine.compile.capture import capture
from dojo.machine.compile.chakra import nodes_of, write_trace
from dojo.machine.compile.graph import Graph
from dojo.machine.compile.models import resnet50_step
from dojo.model import config as sizes
from dojo.model.config import PolicyConfig
from dojo.model.policy import Policy
from dojo.model.trunk import FRAME_COLUMNS, FRAME_ROWS
from dojo.records import DESIRES, TRAJECTORY_TIMES_S, Batch
from dojo.train.loss import LossConfig, loss_of, targets_of

ANCHORS = 2
"""Of a clip where none are asked for, as the demo cuts them."""
FRAME_BYTES = 6 * FRAME_ROWS * FRAME_COLUMNS
"""Of one packed frame as it goes to an accelerator."""


def policy_step(
    policy: PolicyConfig,
    clips: int,
    anchors: int,
    *,
    loss: LossConfig | None = None,
    autocast: torch.dtype | None = None,
    name: str = "policy",
) -> Graph:
    """One step of training a policy on so many clips; a clip is a sample."""
    with torch.device("meta"):
        model = Policy(policy)
    weights = loss or LossConfig()

    def answered(twin: Policy) -> Tensor:
        batch = empty_batch(clips, anchors)
        return loss_of(twin.answer(batch), targets_of(batch, torch.device("cpu")), weights, 0.5)["total"]

    return capture(name, model, answered, clips, autocast=autocast)


def policy_batches(policy: PolicyConfig, anchors: int, *, name: str = "policy") -> Batches:
    """The step in bfloat16 at any number of clips."""
    few, more = (policy_step(policy, clips, anchors, autocast=torch.bfloat16, name=name) for clips in (4, 8))
    return Batches(few, more)


@cache
def captured_batches(name: str, anchors: int = ANCHORS) -> Batches:
    """ResNet-50, or a policy by its size, at any batch size, in bfloat16.

    Raises:
        ConfigError: there is no such model.
    """
    if name == "resnet50":
        return Batches(resnet50_step(4), resnet50_step(8))
    if name not in _POLICIES:
        raise ConfigError(f"model: expected resnet50, {', '.join(_POLICIES)}, got {name!r}")
    return policy_batches(_POLICIES[name](), anchors, name=f"policy {name}")


def export_chakra(name: str, samples: int, folder: Path, *, ranks: int = 1) -> list[Path]:
    """A model's step as Chakra traces, one file for each rank: `name.0.et` and on, as ASTRA-sim asks for them.

    Raises:
        ConfigError: there is no such model.
    """
    graph = captured_batches(name).at(samples)
    trace = write_trace(graph, nodes_of(graph, ranks=ranks))
    paths = [folder / f"{name}.{rank}.et" for rank in range(ranks)]
    folder.mkdir(parents=True, exist_ok=True)
    for path in paths:
        path.write_bytes(trace)
    return paths


_POLICIES: Mapping[str, Callable[[], PolicyConfig]] = {
    "tiny": sizes.tiny,
    "small": sizes.small,
    "medium": sizes.medium,
    "large": sizes.large,
}


def empty_batch(clips: int, anchors: int) -> Batch:
    """A batch of the right shapes with nothing in it."""

    def zeros(*shape: int) -> np.ndarray:
        return np.zeros((clips, *shape), dtype=np.float32)

    def known(*shape: int) -> np.ndarray:
        return np.ones((clips, *shape), dtype=np.bool_)

    times = len(TRAJECTORY_TIMES_S)
    return Batch(
        frames=np.zeros((clips, anchors + 1, 6, FRAME_ROWS, FRAME_COLUMNS), dtype=np.uint8),
        camera_height_m=zeros(),
        position_m=zeros(anchors, times, 3),
        yaw_rad=zeros(anchors, times),
        speed_mps=zeros(anchors, times),
        valid=known(anchors, times),
        curvature_per_m=zeros(anchors),
        acceleration_mps2=zeros(anchors),
        action_valid=known(anchors),
        ego_rates=zeros(anchors, 6),
        speed_now_mps=zeros(anchors),
        speed_now_valid=known(anchors),
        desire=zeros(anchors, len(DESIRES)),
        traffic_right=known(),
        anchor_timestamps_ns=np.zeros((clips, anchors), dtype=np.int64),
        clip_ids=("",) * clips,
    )
