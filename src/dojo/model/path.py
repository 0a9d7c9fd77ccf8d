"""Where a vehicle is at given times, from the shape of its path and how far along it has come.

In: headings along the path at fixed distances, distances travelled at the times of a trajectory. Out: positions.
Idea: the road decides the shape of the path, the driver the speed along it. Predicting both apart and joining them
here by geometry spares the network the product of the two: a bend stays the same bend at any speed, and what vision
sees at a distance maps to an output at that distance. Everything is differentiable.
Not here: the network that predicts both (`heads.py`).
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

KNOTS = 24
"""Distances at which the heading is predicted, dense near the vehicle."""

REACH_M = 320.0
"""Beyond it the path goes straight on. Assumed: 10 s at 32 m/s."""

_STEP_M = 2.0  # Assumed: chords of 2 m in a bend of 30 m radius stay within 2 cm of the arc.


class PathFollower(nn.Module):
    """Turns headings at the knots and distances travelled into positions."""

    knots_m: Tensor
    blend: Tensor
    summed: Tensor

    def __init__(self) -> None:
        super().__init__()
        knots = REACH_M * (torch.arange(KNOTS, dtype=torch.float64) / (KNOTS - 1)) ** 2
        middles = torch.arange(0, REACH_M, _STEP_M, dtype=torch.float64) + _STEP_M / 2
        right = torch.searchsorted(knots, middles).clamp(1, KNOTS - 1)
        fraction = (middles - knots[right - 1]) / (knots[right] - knots[right - 1])
        blend = torch.zeros(KNOTS, len(middles), dtype=torch.float64)
        blend[right - 1, torch.arange(len(middles))] = 1 - fraction
        blend[right, torch.arange(len(middles))] += fraction
        # A running sum as a matrix: its gradient is another product, the same on every run and every device.
        summed = _STEP_M * torch.ones(len(middles), len(middles) + 1).triu(1)
        self.register_buffer("knots_m", knots.float(), persistent=False)
        self.register_buffer("blend", blend.float(), persistent=False)
        self.register_buffer("summed", summed, persistent=False)

    def forward(
        self, heading_rad: Float[Tensor, "*n knots"], travelled_m: Float[Tensor, "*n times"]
    ) -> tuple[Float[Tensor, "*n times"], Float[Tensor, "*n times"]]:
        """x and y in the ego frame; a negative distance goes straight back."""
        with torch.autocast(heading_rad.device.type, enabled=False):  # centimetres at 100 m need all 24 bits
            fine = heading_rad @ self.blend
            forward_m, left_m = torch.cos(fine) @ self.summed, torch.sin(fine) @ self.summed
            cell = (travelled_m.detach() / _STEP_M).long().clamp(0, fine.shape[-1] - 1)
            along = travelled_m - cell * _STEP_M  # beyond either end the last chord is prolonged
            chosen = fine.gather(-1, cell)
            x = forward_m.gather(-1, cell) + along * torch.cos(chosen)
            y = left_m.gather(-1, cell) + along * torch.sin(chosen)
            return x, y
