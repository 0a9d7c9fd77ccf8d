"""Many ranks as one: the engine over torch.distributed, the only file of this stage that knows it.

In: a policy on each rank, equal on all. Out: the steps that one process with the whole batch would make.
Idea: small policies are copied to every rank (DDP); large ones are cut, each rank keeping a share of the weights and of
the optimiser's state and borrowing the rest layer by layer (FSDP2). Three things besides gradients couple the rows of
a batch and are shared too: norms over the batch, the number of valid targets that each mean is divided by, and the
length of the gradient. What is random in a step is a function of (seed, step, rank), so no generator's state is kept.
Not here: who starts the ranks (`recipes/cluster.py`), what they load (`load/`).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_state_dict,
    set_state_dict,
)
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor
from torch.nn.parallel import DistributedDataParallel

from dojo.errors import CheckpointError, ConfigError
from dojo.records import Batch
from dojo.train import checkpoint, pieces
from dojo.train.engine import Saved
from dojo.train.shared_norm import share_norms

Strategy = Literal["ddp", "fsdp"]

_PATIENCE = timedelta(minutes=10)
"""Assumed: longer than any rank may take for one step or for its first batch."""


class _Answering(nn.Module):
    """A policy whose call answers a batch, as the engine's hooks want it."""

    def __init__(self, policy: nn.Module) -> None:
        super().__init__()
        self.policy = policy

    def forward(self, batch: Batch) -> Any:
        return self.policy.answer(batch)  # type: ignore[operator]  # a Learner, see `train.py`


class Together:
    """One rank of several; made after the ranks have met, see `meet`.

    Args:
        strategy: `ddp` copies the policy to every rank, `fsdp` shares it out.
    """

    def __init__(self, strategy: Strategy, device: torch.device) -> None:
        if strategy not in ("ddp", "fsdp"):
            raise ConfigError(f"train: expected strategy ddp or fsdp, got {strategy!r}")
        self.rank, self.ranks = dist.get_rank(), dist.get_world_size()
        self._strategy = strategy
        self._device = device
        self._writer = pieces.Writer()
        self._module: nn.Module | None = None

    def prepare(self, policy: nn.Module) -> Callable[[Batch], Any]:
        """Share the norms, then copy or cut the policy; what answers batches from now on."""
        share_norms(policy)
        if self._strategy == "ddp":
            ids = [self._device] if self._device.type == "cuda" else None
            self._module = DistributedDataParallel(_Answering(policy), device_ids=ids, broadcast_buffers=False)
            return self._module
        for parameter in policy.parameters():
            parameter.data = parameter.data.contiguous()  # pieces are cut along the first axis of plain memory
        mesh = init_device_mesh(self._device.type, (self.ranks,))
        for part in _large_parts(policy):
            fully_shard(part, mesh=mesh)
        fully_shard(policy, mesh=mesh)
        return _Answering(policy)

    def begin(self, seed: int, step: int) -> None:
        """Every step of every rank draws numbers of its own."""
        torch.manual_seed((seed * 1_000_003 + step) * 65_537 + self.rank)

    def mean(self, values: Tensor, mask: Tensor) -> Tensor:
        """The sum of the valid values over the mean of their number on all ranks."""
        count = mask.sum().float()
        dist.all_reduce(count)
        return (values * mask).sum() * self.ranks / count.clamp(min=1)

    def piece(self, last: bool) -> AbstractContextManager[Any]:
        """Copies exchange gradients once a step; shares must after each piece, or every rank would hold all of them."""
        if last or not isinstance(self._module, DistributedDataParallel):
            return nullcontext()
        return self._module.no_sync()

    def clip(self, parameters: Iterable[nn.Parameter], norm: float) -> Tensor:
        """Clip the gradient by its length over all shares; that length."""
        found = nn.utils.clip_grad_norm_(parameters, norm)
        return found.full_tensor() if isinstance(found, DTensor) else found

    def agree(self, asked: bool, samples: int) -> tuple[bool, int]:
        """Whether any rank was asked to stop, and the samples of all ranks."""
        both = torch.tensor([int(asked), samples])
        dist.all_reduce(both)
        return bool(both[0]), int(both[1])

    def gather(self, values: Sequence[float]) -> list[list[float]]:
        """What each rank has, by rank."""
        own = torch.tensor(list(values), dtype=torch.float64)
        found = [torch.empty_like(own) for _ in range(self.ranks)]
        dist.all_gather(found, own)
        return [rank.tolist() for rank in found]

    def newest(self, folder: Path) -> tuple[Saved, bool] | None:
        """As rank 0 finds it, so that all ranks go on from the same."""
        answer: list[Any] = [None]
        if self.rank == 0:
            pieces.remove_partial(folder)
            try:
                found = pieces.newest(folder)
                if found is not None:
                    answer[0] = (
                        Saved(found.path, found.step, found.sha256),
                        pieces.steps_in(folder)[-1][0] > found.step,
                    )
            except CheckpointError as error:
                answer[0] = error
        dist.broadcast_object_list(answer)
        if isinstance(answer[0], CheckpointError):
            raise answer[0]
        found_by_all: tuple[Saved, bool] | None = answer[0]
        return found_by_all

    def restore(self, found: Saved, run: Any) -> None:
        """Each rank its share, however many ranks wrote it."""
        whole = pieces.check(found.path) if self.rank == 0 else None
        plain: list[Any] = [None if whole is None else whole]
        dist.broadcast_object_list(plain)
        state = self._state(run)
        pieces.load_into(state, plain[0])
        set_state_dict(run.policy, run.optimiser, model_state_dict=state["model"], optim_state_dict=state["optimiser"])
        run.set_plain(plain[0].plain)

    def save(self, folder: Path, run: Any, keep: int) -> None:
        """Copy the state, and write it while training goes on."""
        self._writer.save(folder, run.step, self._state(run), run.plain(), keep)

    def settle(self) -> None:
        """Wait for this rank's pieces, and on the first rank for the name of the whole."""
        self._writer.wait()

    def finish(self, folder: Path, run: Any) -> Saved:
        """The last step as one file too, for everything that reads a trained policy."""
        whole = get_model_state_dict(run.policy, options=StateDictOptions(full_state_dict=True, cpu_offload=True))
        averages = {
            name: (value.full_tensor() if isinstance(value, DTensor) else value).cpu()
            for name, value in run.averages.items()
        }
        if self.rank == 0:
            checkpoint.save(folder, run.step, {"model": whole, "averages": averages, **run.plain()}, keep=1)
        dist.barrier()
        found = checkpoint.newest(folder)
        if found is None or found.step != run.step:
            raise CheckpointError(
                f"{folder}: expected a whole checkpoint of step {run.step}; the disk lost what was written"
            )
        return Saved(found.path, found.step, found.sha256)

    def _state(self, run: Any) -> dict[str, Any]:
        model, optimiser = get_state_dict(run.policy, run.optimiser)
        return {"model": model, "optimiser": optimiser, "averages": run.averages}


def _large_parts(policy: nn.Module) -> list[nn.Module]:
    """What is borrowed at a time: the stages of the trunk and the layers of the memory, else the largest children."""
    named = dict(policy.named_modules())
    wanted = [
        part for name in ("trunk.stages", "memory.layers") for part in named.get(name, nn.ModuleList()).children()
    ]
    return [part for part in wanted or list(policy.children()) if any(True for _ in part.parameters())]


def meet(device: str) -> torch.device:
    """Join the ranks that a launcher started with this one, named by its environment; this rank's device.

    Args:
        device: `cpu`, `cuda`, or `auto` for GPUs where there are any.

    Raises:
        ConfigError: no launcher said which rank this is.
    """
    missing = [name for name in ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT") if name not in os.environ]
    if missing:
        raise ConfigError(f"train: expected a launcher to set {', '.join(missing)}; start with dojo train cluster")
    on_gpu = device == "cuda" or (device == "auto" and torch.cuda.is_available())
    if on_gpu:
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    dist.init_process_group("cpu:gloo,cuda:nccl" if on_gpu else "gloo", timeout=_PATIENCE)
    return torch.device("cuda", torch.cuda.current_device()) if on_gpu else torch.device("cpu")


def part() -> None:
    """Leave the ranks."""
    if dist.is_initialized():
        dist.destroy_process_group()
