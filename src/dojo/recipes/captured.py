"""Training steps as graphs of operators, for questions about machines: the policy's own, and anybody's.

In: how a policy is trained, how many clips of how many anchors; or where a function is that captures a step of its own.
Out: a captured step.
Idea: the machine's part knows no policy, and the policy no machine; here they meet.
Not here: capture (`machine/compile/capture.py`), what the graph is asked (`dojo machine`).
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable, Mapping
from functools import cache, partial
from pathlib import Path
from types import ModuleType

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
from dojo.train.optimise import OptimiseConfig, optimiser_of

ANCHORS = 2
"""Of a clip where none are asked for, as the demo cuts them."""
FEW = 4
"""Samples of the smaller of two captures, from which any number follows."""
FRAME_BYTES = 6 * FRAME_ROWS * FRAME_COLUMNS
"""Of one packed frame as it goes to an accelerator."""


def policy_step(
    policy: PolicyConfig,
    clips: int,
    anchors: int,
    *,
    loss: LossConfig | None = None,
    optimise: OptimiseConfig | None = None,
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

    moved = partial(optimiser_of, config=optimise or OptimiseConfig())
    return capture(name, model, answered, clips, optimise=moved, autocast=autocast)


def policy_batches(
    policy: PolicyConfig, anchors: int, *, optimise: OptimiseConfig | None = None, name: str = "policy"
) -> Batches:
    """The step in bfloat16 at any number of clips."""
    few, more = (
        policy_step(policy, clips, anchors, optimise=optimise, autocast=torch.bfloat16, name=name)
        for clips in (FEW, 2 * FEW)
    )
    return Batches(few, more)


@cache
def captured_batches(name: str, anchors: int = ANCHORS) -> Batches:
    """ResNet-50, a policy by its size, or a step of anybody's, at any batch size; the first two in bfloat16.

    Args:
        name: `resnet50`, `tiny` and so on, or `package.module:function` or `file.py:function`, where the function takes
            a number of samples and captures a step of them.

    Raises:
        ConfigError: there is no such model.
    """
    if ":" in name:
        own = _own(name)
        return Batches(own(FEW), own(2 * FEW))
    if name == "resnet50":
        return Batches(resnet50_step(FEW), resnet50_step(2 * FEW))
    if name not in _POLICIES:
        raise ConfigError(
            f"model: expected resnet50, {', '.join(_POLICIES)}, package.module:function or file.py:function, got "
            f"{name!r}"
        )
    return policy_batches(_POLICIES[name](), anchors, name=f"policy {name}")


def _own(name: str) -> Callable[[int], Graph]:
    """The function that captures somebody's own step.

    Raises:
        ConfigError: it cannot be found, or it gives no graph of as many samples as it was asked for.
    """
    where, _, called = name.rpartition(":")
    try:
        module = _file(Path(where)) if where.endswith(".py") else _module(where)
        function = getattr(module, called)
    except (ImportError, OSError, AttributeError) as error:
        raise ConfigError(
            f"model {name}: expected a function that can be imported, got {type(error).__name__}: {error}; see "
            "docs/extend/machine.md"
        ) from error

    def captured(samples: int) -> Graph:
        graph = function(samples)
        if not isinstance(graph, Graph) or graph.samples != samples:
            got = f"a graph of {graph.samples}" if isinstance(graph, Graph) else type(graph).__name__
            raise ConfigError(
                f"model {name}: expected what `capture` gives, of {samples} samples, got {got}; see "
                "docs/extend/machine.md"
            )
        return graph

    return captured


def _module(where: str) -> ModuleType:
    """A module by its name, from where one works too, as `python -m` does."""
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.insert(0, here)
    return importlib.import_module(where)


def _file(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"no module in {path}")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def export_chakra(name: str, samples: int, folder: Path, *, ranks: int = 1) -> list[Path]:
    """A model's step as Chakra traces, one file for each rank: `name.0.et` and on, as ASTRA-sim asks for them.

    Raises:
        ConfigError: there is no such model.
    """
    graph = captured_batches(name).at(samples)
    trace = write_trace(graph, nodes_of(graph, ranks=ranks))
    paths = [folder / f"{graph.model.replace(' ', '-') if ':' in name else name}.{rank}.et" for rank in range(ranks)]
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


CAPTURED = ("resnet50", *_POLICIES)
"""The models that come with Dojo and are captured."""


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
