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

_STEP_M = 2.0  # Chords of 2 m cut a bend of 30 m radius by less than 2 cm.


class PathFollower(nn.Module):
    """Turns headings at the knots and distances travelled into positions."""

    knots_m: Tensor
    spread: Tensor

    def __init__(self) -> None:
        super().__init__()
        knots = REACH_M * (torch.arange(KNOTS, dtype=torch.float64) / (KNOTS - 1)) ** 2
        middles = torch.arange(0, REACH_M, _STEP_M, dtype=torch.float64) + _STEP_M / 2
        right = torch.searchsorted(knots, middles).clamp(1, KNOTS - 1)
        fraction = (middles - knots[right - 1]) / (knots[right] - knots[right - 1])
        spread = torch.zeros(KNOTS, len(middles), dtype=torch.float64)
        spread[right - 1, torch.arange(len(middles))] = 1 - fraction
        spread[right, torch.arange(len(middles))] += fraction
        self.register_buffer("knots_m", knots.float(), persistent=False)
        self.register_buffer("spread", spread.float(), persistent=False)

    def forward(
        self, heading_rad: Float[Tensor, "*n knots"], travelled_m: Float[Tensor, "*n times"]
    ) -> tuple[Float[Tensor, "*n times"], Float[Tensor, "*n times"]]:
        """x and y in the ego frame; a negative distance goes straight back."""
        fine = heading_rad @ self.spread
        east = torch.cumsum(torch.cos(fine), -1) * _STEP_M
        north = torch.cumsum(torch.sin(fine), -1) * _STEP_M
        zero = torch.zeros_like(east[..., :1])
        east, north = torch.cat([zero, east], -1), torch.cat([zero, north], -1)
        cell = (travelled_m.detach() / _STEP_M).long().clamp(0, fine.shape[-1] - 1)
        along = travelled_m - cell * _STEP_M  # outside the path the first or last chord is prolonged
        chosen = fine.gather(-1, cell)
        x = east.gather(-1, cell) + along * torch.cos(chosen)
        y = north.gather(-1, cell) + along * torch.sin(chosen)
        return x, y
