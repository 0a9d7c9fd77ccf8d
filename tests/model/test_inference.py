from __future__ import annotations

import pytest
import torch
from torch import Tensor

from dojo.model.config import PolicyConfig
from dojo.model.inference import INPUTS, OUTPUTS, Inference, PlainPatches
from dojo.model.layers import Patches
from dojo.model.plans import plans
from dojo.model.policy import Policy
from dojo.records import Plans

MINIATURE = PolicyConfig((8, 8, 8, 8), (0, 1, 0, 0), far_widths=(8, 8, 8), feature=16, width=16, heads=2, hidden=16)


@pytest.mark.parametrize(("rows", "columns", "pairs"), [(4, 4, True), (2, 4, False), (4, 2, True)])
def test_patches_as_a_convolution_answer_as_patches_do(rows: int, columns: int, pairs: bool) -> None:
    torch.manual_seed(1)
    patches = Patches(rows, columns, 8, pairs=pairs)
    torch.nn.init.normal_(patches.bias)
    frames = torch.randint(0, 256, (1, 4, 6, 16, 32), dtype=torch.uint8)
    torch.testing.assert_close(PlainPatches(patches)(frames), patches(frames), rtol=1e-5, atol=1e-5)


def window(anchors: int) -> tuple[Tensor, ...]:
    desire = torch.zeros(1, anchors, 8)
    desire[0, 0, 3] = 1
    return (
        torch.randint(16, 236, (1, anchors + 1, 6, 128, 256), dtype=torch.uint8),
        torch.rand(1, anchors) * 30,
        torch.tensor([[True] * (anchors - 1) + [False]]),
        desire,
        torch.tensor([False]),
    )


@pytest.mark.parametrize("anchors", [1, 3])
def test_a_policy_as_it_drives_answers_as_it_was_trained_at_the_last_anchor(anchors: int) -> None:
    torch.manual_seed(2)
    policy = Policy(MINIATURE)
    for parameter in policy.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    policy.train()
    given = window(anchors)
    with torch.inference_mode():
        answer = dict(zip(OUTPUTS, Inference(policy)(*given), strict=True))
        expected = plans(policy.eval()(*given))
    for name, got in answer.items():
        # Sums in another order, through some ten layers of weights that are larger than trained ones.
        torch.testing.assert_close(got, torch.from_numpy(getattr(expected, name)[-1:]), rtol=2e-4, atol=2e-4)


def test_making_it_leaves_the_policy_as_it_was() -> None:
    policy = Policy(MINIATURE).train()
    Inference(policy)
    assert policy.training
    assert isinstance(policy.trunk.stem, Patches)
    assert all(parameter.requires_grad for parameter in policy.parameters())


def test_the_names_are_those_of_the_policys_inputs_and_of_a_plan() -> None:
    assert tuple(Plans.__dataclass_fields__) == OUTPUTS
    assert tuple(Policy.forward.__annotations__)[: len(INPUTS)] == INPUTS
