"""Sizes of the policy: one frozen dataclass, and the four that are used.

Idea: one architecture for all sizes, so that a scaling study changes numbers and nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass

from dojo.errors import ConfigError


@dataclass(frozen=True)
class PolicyConfig:
    """The shape of a policy.

    Args:
        widths: channels of the four stages of the trunk: patches of 4 x 4, then three halvings, 32-fold in all.
        depths: residual blocks in each stage.
        feature: length of the vector that stands for one pair of frames. Source for 512: openpilot's `hidden_state`.
        layers, heads: of the causal transformer over the features.
        hidden: width of the head's two hidden layers.
        max_anchors: longest history, in anchors.
        hypotheses: futures per answer. Source: openpilot's plan has five.
        speed_dropout: share of training clips that are not told the speed; 1 turns the input off. A policy that may
            always look at its speed learns to keep it (Codevilla et al. 2019, arXiv 1904.08980).
        feature_noise_std: white noise on the normalised feature in training, the information bottleneck. A noise of
            0.42 leaves 512 features 512/2 log2(1 + 1/0.42^2) = 700 bits (arXiv 2504.19077 names about 700 bits).
    """

    widths: tuple[int, int, int, int] = (24, 48, 96, 128)
    depths: tuple[int, int, int, int] = (0, 1, 1, 1)
    feature: int = 128
    layers: int = 1
    heads: int = 4
    hidden: int = 192
    max_anchors: int = 32
    hypotheses: int = 5
    speed_dropout: float = 0.5
    feature_noise_std: float = 0.0

    def __post_init__(self) -> None:
        rules = (
            ("widths", min(self.widths) >= 8 and all(w % 8 == 0 for w in self.widths), "multiples of 8"),
            ("depths", min(self.depths) >= 0, "not negative"),
            ("feature", self.feature >= self.heads and self.feature % self.heads == 0, "a multiple of heads"),
            ("layers", self.layers >= 1, "at least 1"),
            ("hidden", self.hidden >= 8, "at least 8"),
            ("max_anchors", self.max_anchors >= 1, "at least 1"),
            ("hypotheses", self.hypotheses >= 1, "at least 1"),
            ("speed_dropout", 0 <= self.speed_dropout <= 1, "a share from 0 to 1"),
            ("feature_noise_std", self.feature_noise_std >= 0, "not negative"),
        )
        wrong = [f"{name} must be {rule}, got {getattr(self, name)}" for name, ok, rule in rules if not ok]
        if wrong:
            raise ConfigError("policy: " + "; ".join(wrong))


def tiny() -> PolicyConfig:
    """About 1 M parameters: trains in minutes on two CPU cores."""
    return PolicyConfig()


def small() -> PolicyConfig:
    """Size S, about 3 M parameters."""
    return PolicyConfig((40, 72, 120, 160), (1, 1, 1, 1), 256, 2, 4, 320, feature_noise_std=0.42)


def medium() -> PolicyConfig:
    """Size M, about 12 M parameters."""
    return PolicyConfig((64, 128, 232, 344), (1, 2, 2, 1), 512, 2, 8, 512, feature_noise_std=0.42)


def large() -> PolicyConfig:
    """Size L, about 40 M parameters."""
    return PolicyConfig((96, 200, 400, 608), (2, 3, 3, 2), 512, 4, 8, 1024, feature_noise_std=0.42)
