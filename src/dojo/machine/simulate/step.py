"""How long a training step takes, in closed form, for many splits at once.

In: a model, its software, a machine, splits. Out: seconds by what they are spent on.
Idea: a step is as many micro-batches as go through the slowest stage, the way in and out of the pipeline, what of the
exchange of gradients nothing hides, and the optimiser. Within a block, the host launches operators while the
accelerator runs earlier ones: the longer hides the shorter, but not entirely. All fields are arrays over splits.
Not here: proof (`events.py` plays the same step message by message, and the tests hold the two together), choice
(`machine/plan/search.py`).
Source: Narayanan et al. 2021, section 2.2 (pipelines), 3.2 (tensor groups); Korthikanti et al. 2022 (sequence
parallelism); Rajbhandari et al. 2020 (sharding).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float64

from dojo.machine.chip.spec import Machine
from dojo.machine.compile.memory import parameters_per_accelerator
from dojo.machine.compile.partition import Columns, Recompute
from dojo.machine.compile.transformer import Gpt, Software
from dojo.machine.simulate.constants import Constants
from dojo.machine.simulate.fabric import Fabric
from dojo.machine.simulate.operators import memory_bytes_per_s
from dojo.machine.simulate.work import Graphs, Work

Seconds = Float64[np.ndarray, " splits"]

_WEIGHT_BYTES = 2


@dataclass(frozen=True)
class Pass:
    """One micro-batch through one block in one direction: what its time is spent on."""

    products: Seconds
    others: Seconds
    exchange: Seconds
    experts: Seconds
    waiting: Seconds

    @property
    def total(self) -> Seconds:
        """All of it."""
        return self.products + self.others + self.exchange + self.experts + self.waiting


@dataclass(frozen=True)
class Stage:
    """What `events.py` and the closed form are both made from: the pieces of a step, before they are put in order.

    Args:
        forward, backward: of one micro-batch in one block.
        blocks: how many a stage has.
        ends_forward, ends_backward: of one micro-batch at the last stage, on top.
        launch: of the host for a micro-batch.
        send: of one micro-batch between stages.
        scatter, gather: of gradients after, and of weights before, a step.
        optimiser: of the update.
    """

    forward: Pass
    backward: Pass
    blocks: Seconds
    ends_forward: Seconds
    ends_backward: Seconds
    launch: Seconds
    send: Seconds
    scatter: Seconds
    gather: Seconds
    weights_each_pass: Seconds
    optimiser: Seconds


@dataclass(frozen=True)
class Step:
    """Seconds of a step, by what they are spent on."""

    products: Seconds
    memory_bound: Seconds
    launching: Seconds
    tensor_exchange: Seconds
    expert_exchange: Seconds
    pipeline_sends: Seconds
    pipeline_bubble: Seconds
    gradient_exchange: Seconds
    optimiser: Seconds

    @property
    def total(self) -> Seconds:
        """The step."""
        return sum(vars(self).values(), np.zeros_like(self.products))

    def at(self, place: int) -> dict[str, float]:
        """The parts of one split, longest first."""
        parts = {name: float(value[place]) for name, value in vars(self).items()}
        return dict(sorted(parts.items(), key=lambda part: -part[1]))


@dataclass
class Simulator:
    """A model and its software on a machine; graphs that others built of the same model and software may be given."""

    model: Gpt
    software: Software
    machine: Machine
    constants: Constants
    graphs: Graphs = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.fabric = Fabric.of(self.machine, self.constants.wires)
        self.work = Work(self.model, self.software, self.machine, self.constants, self.graphs)

    def step(self, splits: Columns) -> Step:
        """Each split's step."""
        return _in_order(self.stage(splits), splits, self.software)

    def stage(self, splits: Columns) -> Stage:
        """The pieces of each split's step."""
        forward, backward = self._passes(splits)
        ends = self.work.heads(splits)
        blocks = self.model.layers / splits.pipeline
        scatter, gather, each_pass = self._shards(splits)
        return Stage(
            forward=forward,
            backward=backward,
            blocks=blocks,
            ends_forward=ends.products_forward + ends.others_forward,
            ends_backward=ends.products_backward + ends.others_backward,
            launch=np.full(len(blocks), self.constants.micro_batch_s),
            send=self._send(splits),
            scatter=scatter,
            gather=gather,
            weights_each_pass=each_pass,
            optimiser=self._optimiser(splits),
        )

    def _passes(self, splits: Columns) -> tuple[Pass, Pass]:
        """A block's forward and backward pass; the backward pass has what is recomputed."""
        costs = self.work.blocks(splits)
        half, exchange = self._tensor_exchange(splits), self._expert_exchange(splits)
        full, core = splits.recompute == Recompute.FULL, splits.recompute == Recompute.SELECTIVE
        again = [
            np.select([full, core], [getattr(costs, f"{part}_forward"), getattr(costs, f"{part}_core")], 0.0)
            for part in ("products", "others", "count")
        ]
        forward = self._pass(
            splits, costs.products_forward, costs.others_forward, costs.count_forward, 4 * half, 2 * exchange
        )
        halves = np.where(splits.sequence_parallel == 1, 6, 4) + 4 * full
        backward = self._pass(
            splits,
            costs.products_backward + again[0],
            costs.others_backward + again[1],
            costs.count_backward + again[2],
            halves * half,
            (2 + 2 * full) * exchange,
        )
        return forward, backward

    def _pass(
        self, splits: Columns, products: Seconds, others: Seconds, count: Seconds, exchange: Seconds, experts: Seconds
    ) -> Pass:
        busy = products + others + exchange + experts
        host = count * self.constants.launch_s * (1 + self.constants.rank_skew * np.log2(splits.tensor))
        power = self.constants.mixing
        both = (busy**power + host**power) ** (1 / power)
        return Pass(products, others, exchange, experts, both - busy)

    def _tensor_exchange(self, splits: Columns) -> Seconds:
        """One gathering or scattering of a hidden state over a tensor group: half of an all-reduce."""
        size = 2.0 * splits.micro_batch * self.model.sequence * self.model.hidden
        return _each(lambda t, s: self.fabric.all_reduce_s(int(t), 1, s) / 2, splits.tensor, size)

    def _expert_exchange(self, splits: Columns) -> Seconds:
        """Tokens to the experts that they chose, or back."""
        tokens = splits.micro_batch * self.model.sequence * self.model.active_experts
        size = 2.0 * tokens * self.model.hidden / splits.tensor
        return _each(lambda e, t, s: self.fabric.exchange_s(int(e), int(t), s), splits.expert, splits.tensor, size)

    def _send(self, splits: Columns) -> Seconds:
        size = 2.0 * splits.micro_batch * self.model.sequence * self.model.hidden
        size = size / np.where(splits.sequence_parallel == 1, splits.tensor, 1)
        seconds = _each(lambda d, s: self.fabric.send_s(int(d), s), splits.tensor * splits.data, size)
        return np.where(splits.pipeline > 1, seconds, 0.0)

    def _shards(self, splits: Columns) -> tuple[Seconds, Seconds, Seconds]:
        """Gradients to their sums; weights to where they are sharded from; weights of one pass, where those are."""
        parameters = parameters_per_accelerator(self.model, splits)

        def over(cost: Callable[[int, int, float], float], size: Seconds) -> Seconds:
            return _each(lambda d, t, s: cost(int(d), int(t), s), splits.data, splits.tensor, size)

        sums = over(self.fabric.all_reduce_s, self.software.gradient_bytes * parameters)
        scattered = over(self.fabric.half_s, self.software.gradient_bytes * parameters)
        gathered = over(self.fabric.half_s, _WEIGHT_BYTES * parameters)
        sharded = splits.zero >= 1
        return (
            np.where(sharded, scattered, sums),
            np.where(sharded & (splits.zero < 3), gathered, 0.0),
            np.where(splits.zero == 3, gathered, 0.0),
        )

    def _optimiser(self, splits: Columns) -> Seconds:
        bandwidth = memory_bytes_per_s(self.machine) * self.work.efficiency.memory
        own = parameters_per_accelerator(self.model, splits) / np.where(splits.zero >= 1, splits.data, 1)
        return self.constants.optimiser_bytes * own / bandwidth


def _each(cost: Callable[..., float], *arguments: np.ndarray) -> Seconds:
    """A scalar cost of each row of arguments, computed once for rows that are alike."""
    rows = np.stack([np.asarray(argument, dtype=np.float64) for argument in arguments], axis=1)
    different, places = np.unique(rows, axis=0, return_inverse=True)
    return np.array([cost(*row) for row in different.tolist()])[places.ravel()]


def _in_order(stage: Stage, splits: Columns, software: Software) -> Step:
    """The pieces put together: rounds at the slowest stage, the way in and out, what nothing hides."""
    rounds = splits.micro_batches.astype(np.float64)
    passes = stage.blocks * rounds
    blocks = stage.blocks * (stage.forward.total + stage.backward.total) + stage.launch
    ends, sends = ends_and_sends(stage, splits, software)
    fill = (splits.pipeline - 1) * (blocks / splits.interleave + 2 * stage.send)
    both = (stage.forward, stage.backward)
    return Step(
        products=passes * sum(one.products for one in both) + rounds * ends,
        memory_bound=passes * sum(one.others for one in both),
        launching=passes * sum(one.waiting for one in both) + rounds * stage.launch,
        tensor_exchange=passes * sum(one.exchange for one in both),
        expert_exchange=passes * sum(one.experts for one in both),
        pipeline_sends=rounds * sends,
        pipeline_bubble=fill,
        gradient_exchange=_exposed(stage, software) + rounds * _weights_exposed(stage, software),
        optimiser=stage.optimiser,
    )


def ends_and_sends(stage: Stage, splits: Columns, software: Software) -> tuple[Seconds, Seconds]:
    """What a micro-batch costs the slowest stage beyond its blocks.

    The last stage has the ends of the model; one in the middle waits for its sends both ways, where they are not
    overlapped, and the last for one. The slower of the two sets the pace.
    """
    ends = stage.ends_forward + stage.ends_backward
    if software.overlap_pipeline:
        return ends, np.zeros_like(ends)
    one = stage.send * splits.interleave
    middle = np.where(splits.pipeline > 2, 2 * one, one)
    last_is_slower = ends + one >= middle
    return np.where(last_is_slower, ends, 0.0), np.where(last_is_slower, one, middle)


def _exposed(stage: Stage, software: Software) -> Seconds:
    """What of the exchange of gradients and weights a step waits for.

    Overlapped, it travels block by block under the last backward and the first forward pass; a block's part is left.
    """
    if not software.overlap_data:
        return stage.scatter + stage.gather
    backward, forward = stage.blocks * stage.backward.total, stage.blocks * stage.forward.total
    return np.maximum(stage.scatter / stage.blocks, stage.scatter - backward) + np.maximum(
        stage.gather / stage.blocks, stage.gather - forward
    )


def _weights_exposed(stage: Stage, software: Software) -> Seconds:
    """What each micro-batch waits for weights that are sharded, once forward and once backward."""
    each = stage.weights_each_pass
    if not software.overlap_data:
        return 2 * each
    passes = (stage.forward, stage.backward)
    return sum(
        (np.maximum(each / stage.blocks, each - stage.blocks * one.total) for one in passes), np.zeros_like(each)
    )
