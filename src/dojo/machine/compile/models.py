"""Models that others have measured, in a few lines of PyTorch, to be captured.

In: sizes. Out: modules, and their training steps as graphs.
Idea: the tables of machines speak of ResNet-50 and of GPTs; written here, they go through the same capture as any
model.
Not here: our own policies, which their recipe hands to `capture.py`.
Source: He et al. 2015, "Deep Residual Learning for Image Recognition", with the stride in the 3 x 3 convolution as
MLPerf has it (v1.5); Radford et al. 2019 for the GPT.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional

from dojo.machine.compile.capture import capture
from dojo.machine.compile.graph import Graph
from dojo.machine.compile.transformer import Gpt

IMAGE_PIXELS = 224
IMAGE_BYTES = 3 * IMAGE_PIXELS**2
"""Of one picture as it reaches a network, a byte a colour."""


class Bottleneck(nn.Module):
    """1 x 1, 3 x 3 and 1 x 1, added to what came in."""

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.narrow, self.narrow_norm = nn.Conv2d(inputs, width, 1, bias=False), nn.BatchNorm2d(width)
        self.middle = nn.Conv2d(width, width, 3, stride, 1, bias=False)
        self.middle_norm = nn.BatchNorm2d(width)
        self.widen, self.widen_norm = nn.Conv2d(width, 4 * width, 1, bias=False), nn.BatchNorm2d(4 * width)
        changes = stride > 1 or inputs != 4 * width
        self.shortcut = (
            nn.Sequential(nn.Conv2d(inputs, 4 * width, 1, stride, bias=False), nn.BatchNorm2d(4 * width))
            if changes
            else nn.Identity()
        )

    def forward(self, x: Tensor) -> Tensor:
        """The block's result."""
        y = torch.relu(self.narrow_norm(self.narrow(x)))
        y = torch.relu(self.middle_norm(self.middle(y)))
        return torch.relu(self.widen_norm(self.widen(y)) + self.shortcut(x))


def resnet50() -> nn.Module:
    """ResNet-50 v1.5: 25.6 M parameters, 4.1 G products and sums a picture."""
    layers: list[nn.Module] = [nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU()]
    layers.append(nn.MaxPool2d(3, 2, 1))
    inputs = 64
    for width, count, first in ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2)):
        for place in range(count):
            layers.append(Bottleneck(inputs, width, first if place == 0 else 1))
            inputs = 4 * width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, 1000))


def _momentum(parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
    return torch.optim.SGD(parameters, lr=0.1, momentum=0.9, foreach=True)


def resnet50_step(samples: int) -> Graph:
    """One step of ResNet-50 on pictures of 224 x 224, products in bfloat16, momentum."""

    def loss(model: nn.Module) -> Tensor:
        pictures = torch.empty(samples, 3, IMAGE_PIXELS, IMAGE_PIXELS)
        return functional.cross_entropy(model(pictures), torch.zeros(samples, dtype=torch.int64))

    with torch.device("meta"):
        model = resnet50()
    return capture("resnet50", model, loss, samples, optimise=_momentum, autocast=torch.bfloat16)


class GptBlock(nn.Module):
    """Causal attention in one kernel, then two dense layers; each added to what came in."""

    def __init__(self, hidden: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.attention_norm, self.joint = nn.LayerNorm(hidden), nn.Linear(hidden, 3 * hidden)
        self.projection = nn.Linear(hidden, hidden)
        self.dense = nn.Sequential(
            nn.LayerNorm(hidden), nn.Linear(hidden, 4 * hidden), nn.GELU(), nn.Linear(4 * hidden, hidden)
        )

    def forward(self, x: Tensor) -> Tensor:
        """The block's result."""
        joint = self.joint(self.attention_norm(x)).unflatten(-1, (3, self.heads, -1))
        query, key, value = joint.permute(2, 0, 3, 1, 4)
        seen = functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        x = x + self.projection(seen.transpose(1, 2).flatten(2))
        result: Tensor = x + self.dense(x)
        return result


class GptModel(nn.Module):
    """Words and places in, the next word out; the output is tied to the embedding."""

    def __init__(self, shape: Gpt) -> None:
        super().__init__()
        self.words = nn.Embedding(shape.vocabulary, shape.hidden)
        self.places = nn.Parameter(torch.zeros(shape.sequence, shape.hidden))
        self.blocks = nn.Sequential(*(GptBlock(shape.hidden, shape.heads) for _ in range(shape.layers)))
        self.norm = nn.LayerNorm(shape.hidden)

    def forward(self, tokens: Tensor) -> Tensor:
        """Scores of each word at each place."""
        return functional.linear(self.norm(self.blocks(self.words(tokens) + self.places)), self.words.weight)


def gpt_step(shape: Gpt, samples: int) -> Graph:
    """One step of a whole GPT on sequences of its full length, in bfloat16, AdamW."""

    def loss(model: nn.Module) -> Tensor:
        tokens = torch.zeros(samples, shape.sequence, dtype=torch.int64)
        return functional.cross_entropy(model(tokens).float().flatten(0, 1), tokens.flatten())

    with torch.device("meta"):
        model = GptModel(shape).bfloat16()
    return capture(shape.name, model, loss, samples)


def gpt_block_step(shape: Gpt, samples: int) -> Graph:
    """One step of one block of a GPT, in bfloat16."""

    def loss(model: nn.Module) -> Tensor:
        state = torch.empty(samples, shape.sequence, shape.hidden, dtype=torch.bfloat16, requires_grad=True)
        result: Tensor = model(state).sum()
        return result

    with torch.device("meta"):
        model = GptBlock(shape.hidden, shape.heads).bfloat16()
    return capture(f"a block of {shape.name}", model, loss, samples)
