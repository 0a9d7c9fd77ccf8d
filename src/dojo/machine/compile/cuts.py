"""How one operator is divided over the nodes of a mesh.

In: an operator, a machine that is a mesh, how many dies. Out: the `Cut` that takes the least time.
Idea: a product has three sides, and each can be cut. Cut by rows, which are samples or places in their pictures,
nothing moves but weights. Where there are fewer rows than nodes it pays to cut columns or the sum too, although
activations then have to be shared or parts of sums added. All ways are computed at once, and the cheapest is taken.
Not here: what lies where (`place.py`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from dojo.machine.chip.spec import Machine
from dojo.machine.compile.graph import WEIGHT_GRADIENT, Operator
from dojo.machine.network.mesh import Mesh, mesh_levels


@dataclass(frozen=True)
class Cut:
    """How an operator is divided over the nodes of a replica.

    Args:
        batch, rows, columns, depth: pieces of its matrix along each side; all 1 for what has none.
        cycles: of the slowest node, its operands at hand.
        inbound_bytes: that the mesh brings to each node.
        moves_activations: whether some of them wait for the operator before; weights are sent for ahead.
    """

    batch: int = 1
    rows: int = 1
    columns: int = 1
    depth: int = 1
    cycles: float = 0.0
    inbound_bytes: float = 0.0
    moves_activations: bool = False

    @property
    def pieces(self) -> int:
        """Nodes that have a part."""
        return self.batch * self.rows * self.columns * self.depth


@dataclass(frozen=True)
class _Ways:
    """Ways to divide a product, one in each place: pieces along each side, and the largest piece's sides."""

    batch: int
    rows: np.ndarray
    columns: np.ndarray
    depth: np.ndarray
    m: np.ndarray
    n: np.ndarray
    k: np.ndarray


def cut(operator: Operator, machine: Machine, mesh: Mesh) -> Cut:
    """The division of an operator that takes its nodes and the mesh the least time."""
    _, node, _ = mesh_levels(machine)
    assert node.clock is not None, "a node that multiplies has a clock"
    assert node.ports is not None, "D1's ports are published"
    if not operator.matrix:
        # Two vectors in and one out a cycle, and one operation on each number of them.
        loads = operator.read_bytes / node.ports.vector_load_bytes
        stores = operator.written_bytes / node.ports.vector_store_bytes
        return Cut(rows=mesh.nodes, cycles=max(loads, stores) / mesh.nodes)
    ways = _ways(operator, mesh)
    times = math.ceil(operator.matrix[0] / ways.batch)
    cycles, inbound = times * _cycles(operator, machine, ways), times * _inbound(operator, ways)
    moves = ways.columns * (ways.rows if _sums(operator) else ways.depth) > 1
    seconds = np.maximum(cycles / node.clock.clock_hz, inbound / mesh.node_bytes_per_s) + moves * mesh.reach_s
    # Of those that take as long, the one with the fewest nodes.
    best = int(np.lexsort((ways.rows * ways.columns * ways.depth, seconds))[0])
    return Cut(
        batch=ways.batch,
        rows=int(ways.rows[best]),
        columns=int(ways.columns[best]),
        depth=int(ways.depth[best]),
        cycles=float(cycles[best]),
        inbound_bytes=float(inbound[best]),
        moves_activations=bool(moves[best]),
    )


def _sums(operator: Operator) -> bool:
    """Whether samples are summed over, and so lie along the depth."""
    return operator.name.endswith(WEIGHT_GRADIENT)


def _ways(operator: Operator, mesh: Mesh) -> _Ways:
    """Pieces of two sides by powers of two, and of the side along which samples lie as many as are left."""
    batch, m, n, k = operator.matrix
    batches = min(batch, mesh.nodes)
    left = mesh.nodes // batches
    columns, other = (
        side.ravel() for side in np.meshgrid(_powers(min(left, n)), _powers(min(left, m if _sums(operator) else k)))
    )
    possible = columns * other <= left
    columns, other = columns[possible], other[possible]
    along = np.clip(left // (columns * other), 1, k if _sums(operator) else m)
    rows, depth = (other, along) if _sums(operator) else (along, other)
    return _Ways(batches, rows, columns, depth, -(-m // rows), -(-n // columns), -(-k // depth))


def _powers(largest: int) -> np.ndarray:
    return 2 ** np.arange(max(1, largest).bit_length())


def _cycles(operator: Operator, machine: Machine, ways: _Ways) -> np.ndarray:
    """Of one node: blocks of its matrix unit, or of its vector unit where numbers are 32 bits wide."""
    _, node, _ = mesh_levels(machine)
    assert node.matrix is not None, "mesh nodes multiply"
    assert node.vector is not None, "and have a vector unit"
    batch, m, n, k = operator.matrix
    # What a causal mask hides is not computed, and of a convolution's border not all.
    real = operator.flops / (2.0 * batch * m * n * k)
    if operator.dtype == "float32":
        return real * ways.m * np.ceil(ways.n * 4 / node.vector.width_bytes) * ways.k
    unit = node.matrix
    blocks = np.ceil(ways.m / unit.rows) * np.ceil(ways.n / unit.columns) * np.ceil(ways.k / unit.depth)
    return real * blocks / unit.units


def _inbound(operator: Operator, ways: _Ways) -> np.ndarray:
    """Bytes that come to a node, of one product of the batch: operands that lie elsewhere, and parts of sums.

    Samples lie by rows, or by depth where they are summed over. The right factor of what is neither a batch of products
    nor a gradient is a weight, and lies all over the mesh. Pieces of its columns lie one below the other, so that a row
    of the mesh carries one of them to all its nodes, and a column the activations that its nodes share: no wire carries
    more than a node takes. A convolution's halo is left out: with 6 x 6 places a node it is as large as the places
    themselves, some kilobytes, which come in while the node computes a hundred times as long.
    """
    size = 4.0 if operator.dtype == "float32" else 2.0
    parts = 4.0 * ways.m * ways.n * (ways.depth - 1) / ways.depth
    if _sums(operator):
        shared = 1 - 1 / (ways.rows * ways.columns)
        return shared * size * ways.k * (ways.m + ways.n) + parts
    left = size * ways.m * ways.k * (1 - 1 / (ways.columns * ways.depth))
    elsewhere = 1 - 1 / ways.rows if operator.matrix[0] > 1 else 1.0
    return left + size * ways.k * ways.n * elsewhere + parts
