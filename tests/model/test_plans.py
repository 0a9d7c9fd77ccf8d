from __future__ import annotations

import numpy as np
import pytest
import torch

from dojo.errors import RecordError
from dojo.model.heads import PolicyOutput
from dojo.model.plans import plans


def output(batch: int = 2, anchors: int = 3) -> PolicyOutput:
    numbered = torch.arange(batch * anchors, dtype=torch.float32).view(batch, anchors)
    return PolicyOutput(
        position_m=numbered[..., None, None, None].expand(-1, -1, 5, 33, 3).clone(),
        log_scale=torch.zeros(batch, anchors, 5, 33, 3),
        logits=torch.tensor([0.0, 0.0, 2.0, 0.0, 0.0]).expand(batch, anchors, 5).clone(),
        action=torch.stack([numbered / 100, -numbered], -1).requires_grad_(),
        action_log_scale=torch.zeros(batch, anchors, 2),
        ego_rates=torch.zeros(batch, anchors, 6),
        ego_rates_log_scale=torch.zeros(batch, anchors, 6),
        feature=torch.zeros(batch, anchors, 4),
        path_logits=torch.zeros(batch, anchors, 12, 64),
    )


def test_anchors_of_a_clip_follow_each_other_in_flattened_plans() -> None:
    made = plans(output())
    np.testing.assert_array_equal(made.position_m[:, 0, 0, 0], np.arange(6))
    np.testing.assert_allclose(made.curvature_per_m, np.arange(6) / 100)
    np.testing.assert_array_equal(made.acceleration_mps2, -np.arange(6))


def test_logits_become_probabilities_and_logs_become_scales() -> None:
    made = plans(output())
    np.testing.assert_allclose(made.probability.sum(1), 1.0, rtol=1e-6)
    assert made.probability.argmax(1).tolist() == [2] * 6
    assert (made.scale_m == 1.0).all()


def test_plans_of_half_precision_are_single_precision() -> None:
    made = output()
    half = PolicyOutput(**{name: getattr(made, name).bfloat16() for name in PolicyOutput.__dataclass_fields__})
    assert plans(half).position_m.dtype == np.float32


def test_a_policy_that_has_diverged_gives_no_plans() -> None:
    made = output()
    made.position_m[0, 0, 0, 0, 0] = float("nan")
    with pytest.raises(RecordError, match=r"position_m holds NaN or infinity; the model has diverged"):
        plans(made)
