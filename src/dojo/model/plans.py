"""Plans: the policy's answer as plain arrays, one per anchor."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from dojo.model.heads import PolicyOutput
from dojo.records import Plans


def plans(output: PolicyOutput) -> Plans:
    """The answer with batch and anchors flattened, anchors running fastest."""

    def flat(tensor: Tensor) -> np.ndarray:
        return np.ascontiguousarray(tensor.detach().flatten(0, 1).float().cpu().numpy())

    return Plans(
        position_m=flat(output.position_m),
        scale_m=flat(output.log_scale.float().exp()),
        probability=flat(torch.softmax(output.logits.float(), -1)),
        curvature_per_m=flat(output.action)[:, 0].copy(),
        acceleration_mps2=flat(output.action)[:, 1].copy(),
    )
