"""Capture: what a step is made of, found without weights."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch._functorch.aot_autograd import aot_export_module
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode, flop_registry

from dojo.machine.compile.capture import capture
from dojo.machine.compile.graph import WEIGHT_GRADIENT, Graph, Kind, Phase


class Small(nn.Module):
    """A convolution of each kind, attention and dense layers."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.middle = nn.Conv2d(8, 16, 3, padding=1, bias=False)
        self.upwards = nn.ConvTranspose2d(16, 8, 2, stride=2)
        self.joint = nn.Linear(8, 24)
        self.out = nn.Linear(8, 5, bias=False)

    def forward(self, pictures: Tensor) -> Tensor:
        x = torch.relu(self.norm(self.first(pictures)))
        x = self.upwards(self.middle(x)).flatten(2).transpose(1, 2)
        query, key, value = self.joint(x)[:, None].chunk(3, -1)
        return self.out(functional.scaled_dot_product_attention(query, key, value)[:, 0].mean(1))


def loss_of(model: Any, samples: int = 6) -> Tensor:
    return functional.cross_entropy(model(torch.ones(samples, 3, 16, 16)), torch.zeros(samples, dtype=torch.int64))


@pytest.fixture(scope="module")
def graph() -> Graph:
    return capture("small", Small(), loss_of, 6)


def products(graph: Graph) -> float:
    return sum(one.flops for one in graph.operators if one.matrix)


def test_one_product_by_hand() -> None:
    def loss(model: Any) -> Tensor:
        return model(torch.ones(7, 3)).sum()

    graph = capture("line", nn.Linear(3, 5, bias=False), loss, 7)
    forward, gradient = (one for one in graph.operators if one.matrix)
    assert (forward.name, forward.kind, forward.phase) == ("aten.mm", Kind.MATMUL, Phase.FORWARD)
    assert (forward.matrix, forward.flops, forward.dtype) == ((1, 7, 5, 3), 2.0 * 7 * 5 * 3, "float32")
    assert (forward.read_bytes, forward.written_bytes, forward.weight_bytes) == (4.0 * (21 + 15), 4.0 * 35, 60.0)
    # The input learns nothing, so the only product of the backward pass is the weight's gradient.
    assert gradient.name == "aten.mm" + WEIGHT_GRADIENT
    assert gradient.matrix in {(1, 5, 3, 7), (1, 3, 5, 7)}
    (update,) = (one for one in graph.operators if one.name == "aten._fused_adamw_")
    # Weight, gradient and both moments are read, and all of them belong to what the operator may change; a step count.
    assert (update.kind, update.phase, update.read_bytes) == (Kind.OPTIMISER, Phase.OPTIMISER, 4 * 60.0 + 4.0)
    assert (graph.parameters, graph.samples) == (15, 7)


def test_a_convolution_in_groups_by_hand() -> None:
    # PyTorch's counter takes the gradient of such a weight four times too large.
    def loss(model: Any) -> Tensor:
        return model(torch.ones(2, 8, 5, 5, requires_grad=True)).sum()

    graph = capture("grouped", nn.Conv2d(8, 16, 3, padding=1, groups=4, bias=False), loss, 2)
    parts = [(one.name, one.matrix, one.flops) for one in graph.operators if one.matrix]
    flops = 2.0 * 4 * 50 * 4 * 18
    assert parts == [
        ("aten.convolution", (4, 50, 4, 18), flops),
        ("aten.convolution_backward, gradient of input", (4, 50, 2, 36), flops),
        ("aten.convolution_backward" + WEIGHT_GRADIENT, (4, 4, 18, 50), flops),
    ]


def test_flops_are_those_of_pytorchs_own_counter(graph: Graph) -> None:
    model = Small()
    with FlopCounterMode(display=False) as counter:
        loss_of(model).backward()
    attention = [one for one in graph.operators if one.kind is Kind.ATTENTION]
    assert [one.phase for one in attention] == [Phase.FORWARD, Phase.BACKWARD]
    # PyTorch's counter does not know the attention that it runs on a CPU.
    assert products(graph) - sum(one.flops for one in attention) == pytest.approx(counter.get_total_flops())


def test_forward_and_backward_are_those_that_aotautograd_finds(graph: Graph) -> None:
    class Whole(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = Small()

        def forward(self, pictures: Tensor) -> tuple[Tensor]:
            return (functional.cross_entropy(self.model(pictures), torch.zeros(6, dtype=torch.int64)),)

    joint, _ = aot_export_module(Whole(), [torch.ones(6, 3, 16, 16)], trace_joint=True, output_loss_index=0)
    counted = 0.0
    names = []
    for node in joint.graph.nodes:  # type: ignore[union-attr]
        packet = getattr(node.target, "overloadpacket", None)
        if packet in flop_registry and "attention" not in str(packet):
            values = torch.utils._pytree.tree_map(
                lambda at: at.meta["val"] if isinstance(at, torch.fx.Node) else at, (node.args, dict(node.kwargs))
            )
            counted += flop_registry[packet](*values[0], **values[1], out_val=node.meta["val"])
            names.append(packet.__name__)
    mine = [one for one in graph.operators if one.matrix and one.kind is not Kind.ATTENTION]
    assert sum(one.flops for one in mine) == pytest.approx(counted)
    convolutions = [one.name for one in mine if one.phase is Phase.FORWARD and one.kind is Kind.CONVOLUTION]
    assert len(convolutions) == names.count("convolution") == 3


def test_operators_wait_for_whoever_wrote_what_they_read(graph: Graph) -> None:
    names = [one.name for one in graph.operators]
    norm = graph.operators[names.index("aten.native_batch_norm")]
    assert [names[at] for at in norm.after] == ["aten.convolution"]
    relu = graph.operators[names.index("aten.relu")]
    assert [names[at] for at in relu.after] == ["aten.native_batch_norm"]
    update = graph.operators[names.index("aten._fused_adamw_")]
    waits = {at for at in update.after if graph.operators[at].name.endswith(WEIGHT_GRADIENT)}
    assert len(waits) == len([name for name in names if name.endswith(WEIGHT_GRADIENT)]) == 5


def test_views_cost_nothing(graph: Graph) -> None:
    names = {one.name for one in graph.operators}
    assert not names & {
        "aten.view",
        "aten.transpose",
        "aten.t",
        "aten.permute",
        "aten.expand",
        "aten.split",
        "aten.detach",
    }


@torch.library.custom_op("dojo_test::strange", mutates_args=())
def strange(x: Tensor) -> Tensor:
    return x.sin()


strange.register_fake(torch.empty_like)
strange.register_autograd(lambda context, gradient: gradient, setup_context=lambda *args, **kwargs: None)


def test_an_operator_that_nobody_knows_is_counted_by_its_bytes_and_named() -> None:
    def loss(model: Any) -> Tensor:
        return strange(model(torch.ones(4, 8))).sum()

    graph = capture("strange", nn.Linear(8, 8), loss, 4)
    (one,) = graph.unknown
    assert (one.name, one.read_bytes, one.written_bytes) == ("dojo_test.strange", 128.0, 128.0)


def test_a_model_that_is_captured_stays_as_it_was() -> None:
    model = Small()
    before = copy.deepcopy(model.state_dict())
    capture("small", model, loss_of, 6)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())


def test_autocast_halves_what_products_read_and_copies_weights_once() -> None:
    wide, narrow = (capture("small", Small(), loss_of, 6, autocast=kind) for kind in (None, torch.bfloat16))
    assert products(narrow) == products(wide)
    first = [next(one for one in graph.operators if one.kind is Kind.CONVOLUTION) for graph in (wide, narrow)]
    assert [one.dtype for one in first] == ["float32", "bfloat16"]
    bias = 8 * 4  # Is copied, too.
    assert first[1].read_bytes == first[0].read_bytes / 2
    assert first[1].weight_bytes == (8 * 27 * 4 + bias) / 2
