"""Batch normalisation over the batches of all ranks.

In: a policy with norms over the batch. Out: the same, whose norms see all ranks' rows as one batch.
Idea: with norms over each rank's own rows, what a policy computes would hang on how many ranks there are. PyTorch has
such a norm for GPUs alone; this one adds up means and squares over ranks by itself, gradients included, wherever ranks
can talk. Mean first, then squares about it: small variances survive 32 bits.
Not here: norms within a sample, which need nothing of this.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from jaxtyping import Float
from torch import Tensor, nn


class _Total(torch.autograd.Function):
    """The sum over ranks; so is the gradient's."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        total = values.detach().clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        total = gradients[0].clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total


class SharedBatchNorm2d(nn.BatchNorm2d):
    """A batch norm whose batch is that of all ranks."""

    def forward(self, input: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        """The normalised input; in training by the statistics of all ranks."""
        if not self.training:
            return super().forward(input)
        x = input.float()
        own = torch.full((1,), x.numel() / x.shape[1], dtype=x.dtype, device=x.device)
        sums = _sum(torch.cat([x.sum((0, 2, 3)), own]))
        count = sums[-1].detach()
        mean = (sums[:-1] / count).view(1, -1, 1, 1)
        centred = x - mean
        variance = _sum(centred.square().sum((0, 2, 3))) / count
        self._remember(mean.detach().flatten(), variance.detach() * count / (count - 1).clamp(min=1))
        assert self.weight is not None
        scale = self.weight * torch.rsqrt(variance + self.eps)
        shifted: Tensor = centred * scale.view(1, -1, 1, 1) + self.bias.view(1, -1, 1, 1)
        return shifted.to(input.dtype)

    @torch.no_grad()
    def _remember(self, mean: Tensor, variance: Tensor) -> None:
        if not self.track_running_stats or self.running_mean is None or self.running_var is None:
            return
        share = self.momentum if self.momentum is not None else 0.1
        self.running_mean.lerp_(mean, share)
        self.running_var.lerp_(variance, share)
        if self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)


def _sum(values: Tensor) -> Tensor:
    total: Tensor = _Total.apply(values)  # type: ignore[no-untyped-call]
    return total


def share_norms(policy: nn.Module) -> nn.Module:
    """The same policy, its norms over the batch made one over all ranks: PyTorch's own on a GPU, ours elsewhere."""
    if next(policy.parameters()).is_cuda:
        shared: nn.Module = nn.SyncBatchNorm.convert_sync_batchnorm(policy)  # type: ignore[no-untyped-call]
        return shared
    for module in policy.modules():
        if type(module) is nn.BatchNorm2d:
            module.__class__ = SharedBatchNorm2d
    return policy
