"""A mesh of nodes on dies on tiles: how far apart its ends are, and how much comes in at each node.

In: a machine whose accelerators are meshes and lie in meshes. Out: seconds from the edge to the middle, bytes a second
for each node.
Idea: everything here is a published figure or a count of hops. A node takes one packet a cycle from its router into its
memory; where data crosses the edge of a die or a tile, the rows of nodes along it share its links. A message costs a
cycle for each node that it passes and the die's latency for each edge.
Not here: rings (`collectives.py`), what is sent (`compile/place.py`).
"""

from __future__ import annotations

from dataclasses import dataclass

from dojo.errors import ConfigError
from dojo.machine.chip.spec import Grid, Level, Link, Machine, Sram


@dataclass(frozen=True)
class Mesh:
    """Some neighbouring dies as one mesh of nodes.

    Args:
        die_rows, die_columns: how the dies lie.
        rows, columns: sites of nodes, the empty ones included.
        nodes: that work.
        hop_s, crossing_s: from node to node, from die to die.
        node_bytes_per_s: into one node from the mesh, while all nodes are fed.
        sram_bytes: of all nodes.
    """

    die_rows: int
    die_columns: int
    rows: int
    columns: int
    nodes: int
    hop_s: float
    crossing_s: float
    node_bytes_per_s: float
    sram_bytes: float

    @property
    def dies(self) -> int:
        """How many."""
        return self.die_rows * self.die_columns

    @property
    def reach_s(self) -> float:
        """From the farthest node to the middle, one packet."""
        hops = self.rows // 2 + self.columns // 2
        return hops * self.hop_s + (self.die_rows // 2 + self.die_columns // 2) * self.crossing_s

    def small_all_reduce_s(self, size_bytes: float) -> float:
        """A sum that every node has a part of, and gets: to the middle along both axes and back.

        The latency of the way, and the bytes once along each axis each way, adding as they pass.
        """
        return 2 * (self.reach_s + 2 * size_bytes / self.node_bytes_per_s)


def mesh_of(machine: Machine, dies: int) -> Mesh:
    """So many dies in one piece: part of a row, whole rows of a tile, or whole tiles side by side.

    Raises:
        ConfigError: the machine is no mesh, or so many dies do not make a rectangle.
    """
    die, node, tile = mesh_levels(machine)
    die_rows, die_columns = _rectangle(machine, tile, dies)
    assert die.grid is not None, "mesh_levels asks for it"
    router, edge = _link(node), _link(die)
    longest = max(die.grid.rows, die.grid.columns)
    into_node = router.bandwidth_bytes_per_s
    if dies > 1:
        into_node = min(into_node, edge.bandwidth_bytes_per_s / longest)
    if dies > machine.count(machine.accelerator, tile.name):
        into_node = min(into_node, _link(tile).bandwidth_bytes_per_s / (_grid(tile).rows * longest))
    nodes = dies * machine.count(node.name, machine.accelerator)
    return Mesh(
        die_rows=die_rows,
        die_columns=die_columns,
        rows=die_rows * die.grid.rows,
        columns=die_columns * die.grid.columns,
        nodes=nodes,
        hop_s=router.latency_s or 0.0,
        crossing_s=edge.latency_s or 0.0,
        node_bytes_per_s=into_node,
        sram_bytes=nodes * _sram(node).capacity_bytes,
    )


def mesh_levels(machine: Machine) -> tuple[Level, Level, Level]:
    """The accelerator, what it is made of, and what it lies in.

    Raises:
        ConfigError: one of them is no mesh.
    """
    die = machine.levels[machine.accelerator]
    inside = [machine.levels[name] for name in die.parts]
    around = [machine.levels[link.within] for link in die.links.values() if link.within]
    if die.grid is None or not inside or inside[0].sram is None or not around or around[0].grid is None:
        raise ConfigError(
            f"machine {machine.name}: expected {machine.accelerator}s that are meshes of nodes with SRAM and lie in a "
            "mesh, such as d1; a machine with memory beside each chip is timed by its roofline instead"
        )
    return die, inside[0], around[0]


def _grid(level: Level) -> Grid:
    assert level.grid is not None, "mesh_levels asks for it"
    return level.grid


def _sram(level: Level) -> Sram:
    assert level.sram is not None, "mesh_levels asks for it"
    return level.sram


def _link(level: Level) -> Link:
    return next(iter(level.links.values()))


def _rectangle(machine: Machine, tile: Level, dies: int) -> tuple[int, int]:
    """Rows and columns of dies. Assumed: tiles lie in a row, which gives a tray the 30 dies that HC34 speaks of."""
    grid = _grid(tile)
    if 1 <= dies <= grid.columns:
        return 1, dies
    if 1 <= dies <= grid.rows * grid.columns and dies % grid.columns == 0:
        return dies // grid.columns, grid.columns
    tiles, rest = divmod(dies, grid.rows * grid.columns)
    reached = [machine.count(tile.name, link.within) for link in tile.links.values() if link.within]
    if rest or not 1 <= tiles <= max(reached, default=1):
        raise ConfigError(
            f"{machine.accelerator}s of {machine.name}: expected part of a row (1 to {grid.columns}), whole rows of "
            f"{grid.columns} or one to {max(reached, default=1)} whole tiles of {grid.rows * grid.columns}, got {dies}"
        )
    return grid.rows, grid.columns * tiles
