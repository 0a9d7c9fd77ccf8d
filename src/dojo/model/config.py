"""Sizes of the policy: one frozen dataclass, and the four that are used.

Idea: one architecture for all sizes, so that a scaling study changes numbers and nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass

from dojo.errors import ConfigError


@dataclass(frozen=True)
class PolicyConfig:
    """The shape of a policy; the defaults are those of `tiny`, over the whole picture.

    Args:
        widths: channels of the four stages of the trunk: patches of 4 x 4, then three halvings, 32-fold in all.
        depths: residual blocks in each stage.
        rows: first and last (excluded) packed row of the picture that the trunk looks at.
        far_widths: channels of the three layers that look at the rows about the horizon again, see `sight.py`.
        feature: length of the vector that stands for one pair of frames. Source of 512: openpilot's `hidden_state`.
        width, layers, heads: of the causal transformer over the features.
        hidden: width of the two hidden layers before the outputs.
        max_anchors: longest history, in anchors.
        hypotheses: futures per answer. Source of 5: openpilot's plan.
        speed_dropout: share of training clips that are not told the speed; 1 turns that input off. A policy that may
            always look at its speed learns to keep it (Codevilla et al. 2019, arXiv 1904.08980).
        feature_noise_std: white noise on the normalised feature in training, the information bottleneck. Each element
            of unit variance then carries at most 1/2 log2(1 + 1/std^2) bits: with 0.42, 512 of them carry 700 bits,
            the figure of arXiv 2504.19077.
    """

    widths: tuple[int, int, int, int] = (24, 48, 96, 128)
    depths: tuple[int, int, int, int] = (0, 1, 1, 1)
    rows: tuple[int, int] = (0, 128)
    far_widths: tuple[int, int, int] = (32, 64, 64)
    feature: int = 128
    width: int = 128
    layers: int = 1
    heads: int = 4
    hidden: int = 192
    max_anchors: int = 32
    hypotheses: int = 5
    speed_dropout: float = 0.5
    feature_noise_std: float = 0.0

    def __post_init__(self) -> None:
        rules = (
            (
                "widths",
                len(self.widths) == 4 and all(w >= 8 and w % 8 == 0 for w in self.widths),
                "multiples of 8, four of them",
            ),
            ("depths", len(self.depths) == 4 and min(self.depths) >= 0, "not negative, four of them"),
            (
                "rows",
                0 <= self.rows[0] <= 32
                and 96 <= self.rows[1] <= 128
                and (self.rows[1] - self.rows[0]) % 32 == 0
                and self.rows[0] % 16 == 0,
                "0, 16 or 32, and 96 to 128, a multiple of 32 apart",
            ),
            ("far_widths", len(self.far_widths) == 3 and min(self.far_widths) >= 8, "at least 8, three of them"),
            ("feature", self.feature >= 8, "at least 8"),
            ("width", self.heads >= 1 and self.width >= 8 and self.width % self.heads == 0, "a multiple of heads"),
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
    """About 1 M parameters: trains in minutes on two CPU cores.

    It looks at half of the rows, those from 31 pixels above the horizon to the road 6.6 m before a camera 1.4 m high:
    signals that hang overhead are out of its sight, and a step takes half the time.
    """
    return PolicyConfig(rows=(32, 96))


def small() -> PolicyConfig:
    """Size S, about 3 M parameters."""
    return PolicyConfig(
        (32, 56, 96, 144),
        (1, 1, 1, 1),
        far_widths=(32, 64, 96),
        feature=512,
        width=176,
        layers=4,
        heads=4,
        hidden=256,
        feature_noise_std=0.42,
    )


def medium() -> PolicyConfig:
    """Size M, about 12 M parameters."""
    return PolicyConfig(
        (72, 136, 240, 360),
        (1, 2, 2, 1),
        far_widths=(48, 96, 128),
        feature=512,
        width=320,
        layers=4,
        heads=8,
        hidden=512,
        feature_noise_std=0.42,
    )


def large() -> PolicyConfig:
    """Size L, about 40 M parameters."""
    return PolicyConfig(
        (96, 200, 400, 616),
        (2, 3, 3, 2),
        far_widths=(64, 128, 192),
        feature=512,
        width=512,
        layers=4,
        heads=8,
        hidden=1024,
        feature_noise_std=0.42,
    )
