"""A network whose operands are stored in CFloat8."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from dojo.errors import ConfigError
from dojo.machine.numbers import array
from dojo.machine.numbers.format import FloatFormat
from dojo.machine.numbers.formats import cfloat8_1_4_3, cfloat8_1_5_2
from dojo.machine.numbers.storage import CLASSES, Storage, narrowed


def network() -> nn.Sequential:
    torch.manual_seed(1)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(144, 2))


def pictures() -> torch.Tensor:
    return torch.randn(8, 3, 8, 8, generator=torch.Generator().manual_seed(2))


def step(net: nn.Module, storage: Storage) -> torch.Tensor:
    net.zero_grad()
    with storage.stored():
        loss = net(pictures()).square().mean()
        loss.backward()
    return loss.detach()


def attached(bias: int | None = None, learn_every: int = 10) -> tuple[nn.Sequential, Storage]:
    net, storage = network(), Storage(bias, learn_every)
    storage.attach(net)
    return net, storage


@pytest.mark.parametrize("bias", [0, 7, 31, 40, 63])
@pytest.mark.parametrize(("kind", "make"), [(0, cfloat8_1_4_3), (2, cfloat8_1_5_2)])
def test_a_factor_before_and_after_is_the_format_with_that_bias(kind: int, make: object, bias: int) -> None:
    random = np.random.default_rng(0)
    values = np.ldexp(random.standard_normal(5000), random.integers(-80, 60, 5000)).astype(np.float32)
    kept = narrowed(torch.from_numpy(values), torch.tensor(2.0 ** (bias - 31)), kind)
    np.testing.assert_array_equal(kept.numpy(), array.quantise(values, make(bias)))  # type: ignore[operator]


def test_the_first_step_is_watched_and_changes_nothing() -> None:
    net, storage = attached()
    narrow = step(net, storage)
    plain = network()
    wide = plain(pictures()).square().mean()
    wide.backward()
    assert torch.equal(narrow, wide.detach())
    assert all(torch.equal(a.grad, b.grad) for a, b in zip(net.parameters(), plain.parameters(), strict=True))  # type: ignore[arg-type]
    assert all(storage.figures()[f"{name}_bias"] != 31 for name in CLASSES)


def test_afterwards_gradients_are_few_values_and_weights_are_whole_again() -> None:
    net, storage = attached()
    step(net, storage)
    before = [weight.detach().clone() for weight in net.parameters()]
    step(net, storage)
    assert all(torch.equal(a, b) for a, b in zip(net.parameters(), before, strict=True))
    fmt = cfloat8_1_5_2(int(storage.figures()["gradients_bias"]))
    for weight in (net[0].weight, net[4].weight):
        grad = weight.grad.numpy()  # type: ignore[union-attr]
        np.testing.assert_array_equal(grad, array.quantise(grad, fmt))


def test_gradients_stay_where_an_optimiser_in_one_kernel_looks_for_them() -> None:
    torch.manual_seed(1)
    net = nn.Sequential(nn.Conv2d(96, 96, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten()).to(
        memory_format=torch.channels_last  # type: ignore[call-overload]
    )
    storage, weight = Storage(31), net[0].weight
    storage.attach(net)
    with storage.stored():
        net(torch.randn(2, 96, 5, 5)).square().mean().backward()
    assert weight.grad.stride() == weight.stride() != weight.contiguous().stride()
    fused, plain = (weight.detach().clone() for _ in range(2))
    for copy, kind in ((fused, {"fused": True}), (plain, {"foreach": False, "fused": False})):
        parameter = nn.Parameter(copy)
        parameter.grad = weight.grad.clone()
        torch.optim.AdamW([parameter], lr=0.1, **kind).step()
        copy.copy_(parameter.detach())
    torch.testing.assert_close(fused, plain)


def test_a_bias_far_off_clamps_or_loses_everything_and_says_so() -> None:
    for bias, what in ((63, "clamped"), (0, "vanished")):
        net, storage = attached(bias)
        step(net, storage)
        figures = storage.figures()
        assert figures[f"activations_{what}"] > (0.5 if what == "clamped" else 0.0)
        assert figures[f"weights_{what}"] > 0.001
        assert figures["activations_bias"] == bias


def test_a_learned_bias_loses_almost_nothing() -> None:
    net, storage = attached(learn_every=1)
    for _ in range(3):
        step(net, storage)
    assert all(share < 0.02 for name, share in storage.figures().items() if name.endswith(("clamped", "vanished")))


def test_its_state_goes_on_where_it_was() -> None:
    net, storage = attached(learn_every=2)
    for _ in range(3):
        step(net, storage)
    other_net, other = attached(learn_every=2)
    other.restore(storage.state())
    assert other.state() == storage.state()
    assert torch.equal(step(net, storage), step(other_net, other))
    assert other.state() == storage.state()


def test_outside_of_steps_the_network_is_the_plain_one() -> None:
    net, storage = attached(bias=60)
    step(net, storage)
    net.eval()
    plain = network()
    plain.load_state_dict(net.state_dict())
    assert torch.equal(net(pictures()), plain.eval()(pictures()))


COMPILED = """
import torch
from torch import nn
from dojo.machine.numbers.storage import Storage

def step(compiled):
    torch.manual_seed(1)
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(144, 2))
    storage = Storage(bias=20)
    storage.attach(net)
    answer = torch.compile(net, backend="aot_eager", fullgraph=True) if compiled else net
    with storage.stored():
        answer(torch.randn(8, 3, 8, 8)).square().mean().backward()
    return [weight.grad for weight in net.parameters()], storage.figures()

(plain, told), (traced, said) = step(False), step(True)
assert all(torch.allclose(a, b) for a, b in zip(plain, traced, strict=True))
assert told == said and said["activations_clamped"] > 0, said
"""


def test_torch_compile_traces_it_without_a_break_to_the_same_numbers() -> None:
    # In a process of its own: what checks shapes while tests run cannot be traced.
    done = subprocess.run([sys.executable, "-c", COMPILED], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]


def test_bytes_pass_as_they_are() -> None:
    storage = Storage(bias=63)
    table = nn.Embedding(4, 2)
    storage.attach(table)
    with storage.stored():
        assert table(torch.tensor([1, 2])).shape == (2, 2)


@pytest.mark.parametrize("bias", [-1, 64])
def test_a_bias_that_does_not_exist_is_refused(bias: int) -> None:
    with pytest.raises(ConfigError, match=rf"^CFloat8: expected a bias of 0 to 63, got {bias}$"):
        Storage(bias=bias)


def test_each_class_is_stored_where_its_numbers_come_in_and_nothing_else_is() -> None:
    torch.manual_seed(3)
    net = nn.Sequential(nn.Linear(6, 5), nn.LayerNorm(5), nn.Linear(5, 4))
    storage, seen = Storage(bias=11), {}
    storage.attach(net)
    for name, layer in net.named_children():
        layer.register_forward_pre_hook(lambda _, inputs, name=name: seen.update({name: inputs[0].detach().clone()}))
    wide = {name: value.detach().clone() for name, value in net.named_parameters()}
    for _ in range(2):  # the first is also watched, the second, as most, is not
        net.zero_grad()
        with storage.stored():
            # One row, so that a bias's gradient is what arrived at the layer's output.
            net(torch.randn(1, 6)).square().sum().backward()
            inside = {name: value.detach().clone() for name, value in net.named_parameters()}

    def is_stored(values: torch.Tensor | None, make: Callable[[int], FloatFormat]) -> bool:
        assert values is not None
        return bool((array.quantise(values.numpy(), make(11)) == values.numpy()).all())

    assert {name: is_stored(value, cfloat8_1_4_3) for name, value in seen.items()} == {"0": True, "1": False, "2": True}
    of_weights = {name: torch.equal(inside[name], wide[name]) for name in wide}
    assert of_weights == {name: name not in ("0.weight", "2.weight") for name in wide}
    assert all(is_stored(inside[name], cfloat8_1_4_3) for name in ("0.weight", "2.weight"))
    for layer in (net[0], net[2]):
        assert is_stored(layer.bias.grad, cfloat8_1_5_2)
        assert is_stored(layer.weight.grad, cfloat8_1_5_2)
    assert not is_stored(net[1].bias.grad, cfloat8_1_5_2)


def test_what_is_watched_is_counted_by_its_exponent_and_half_of_it_remembered() -> None:
    layer, storage = nn.Linear(4, 1, bias=False), Storage(learn_every=3)
    nn.init.constant_(layer.weight, 1.5)
    storage.attach(layer)
    assert set(storage.figures().values()) == {0.0, 31.0}
    layer(torch.full((1, 4), 3.0))  # outside of a step, where nobody looks
    looks = []
    for _ in range(4):
        with storage.stored():
            layer(torch.full((1, 4), 3.0)).sum().backward()
        looks.append(storage.state()["tallies"]["weights"][127])
    # Four weights between 1 and 2 (field 127), seen at steps 0 and 3; half of each look is kept for the next.
    assert looks == [2, 2, 2, 3]
    assert storage.state()["tallies"]["activations"][128] == 3
    assert storage.state()["steps"] == 4


# Beyond the largest of bias 63, 1.875 / 2^48; exactly the largest of bias 0, 61440; less than half of its smallest.
@pytest.mark.parametrize(("bias", "clamped", "vanished"), [(63, 0.8, 0.0), (0, 0.0, 0.6)])
def test_what_is_clamped_and_what_vanishes_are_shares_of_what_is_stored(
    bias: int, clamped: float, vanished: float
) -> None:
    layer, storage = nn.Linear(5, 1, bias=False), Storage(bias)
    layer.weight.data = torch.tensor([[0.0, 61440.0, 0.1, 0.1, 0.1]])
    storage.attach(layer)
    with storage.stored():
        layer(torch.ones(1, 5)).sum().backward()
    figures = storage.figures()
    assert (figures["weights_clamped"], figures["weights_vanished"]) == (clamped, vanished)
