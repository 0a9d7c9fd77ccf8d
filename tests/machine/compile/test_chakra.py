"""Chakra traces."""

from __future__ import annotations

import pytest

from dojo.errors import ConfigError
from dojo.machine.compile.batches import Batches
from dojo.machine.compile.chakra import COLLECTIVE, COMPUTE, Node, nodes_of, read_trace, write_trace
from dojo.machine.compile.graph import WEIGHT_GRADIENT, Graph, Kind, Operator, Phase

GRAPH = Graph(
    "two",
    3,
    6,
    (
        Operator("aten.mm", Kind.MATMUL, Phase.FORWARD, 100.0, 40.0, 20.0, "bfloat16", (1, 5, 2, 5)),
        Operator("aten.mm" + WEIGHT_GRADIENT, Kind.MATMUL, Phase.BACKWARD, 100.0, 40.0, 12.0, "bfloat16", after=(0,)),
        Operator("aten.sgd", Kind.OPTIMISER, Phase.OPTIMISER, 6.0, 24.0, 12.0, "float32", after=(1,)),
    ),
)


def test_what_is_written_is_read_again() -> None:
    nodes = nodes_of(GRAPH, [1e-6, 2e-6, 3e-6], ranks=8)
    assert read_trace(write_trace(GRAPH, nodes)) == nodes


def test_a_real_model_comes_back_whole(resnet: Batches) -> None:
    graph = resnet.few
    nodes = read_trace(write_trace(graph, nodes_of(graph)))
    assert len(nodes) == len(graph.operators)
    assert [node.after for node in nodes] == [one.after for one in graph.operators]
    assert sum(int(node.attributes["num_ops"]) for node in nodes) == pytest.approx(graph.flops, rel=1e-9)


def test_bytes_are_those_of_the_schema() -> None:
    # By hand from et_def.proto: field number << 3 | wire type; a length before each message.
    data = write_trace(GRAPH, [Node(number=1, name="a", kind=COMPUTE, after=(0, 300), duration_us=5)])
    start = data[0] + 1
    assert data[1:8] == bytes([0x0A, 5]) + b"0.0.4"
    assert data[start:] == bytes([14, 0x08, 1, 0x12, 1]) + b"a" + bytes([0x18, 4, 0x2A, 3, 0, 0xAC, 2, 0x38, 5])


def test_gradients_are_summed_over_ranks_before_the_optimiser() -> None:
    alone, together = nodes_of(GRAPH), nodes_of(GRAPH, ranks=2)
    assert [node.kind for node in alone] == [COMPUTE] * 3
    assert [node.kind for node in together] == [COMPUTE, COMPUTE, COLLECTIVE, COMPUTE]
    assert together[2].attributes == {"comm_type": 0, "comm_size": 12, "is_cpu_op": False}
    assert together[3].after == (2,)


def test_a_file_that_is_cut_off_is_refused() -> None:
    data = write_trace(GRAPH, nodes_of(GRAPH))
    with pytest.raises(ConfigError, match=r"Chakra trace: expected \d+ bytes at \d+, got \d+; it is cut off"):
        read_trace(data[:-1])
    with pytest.raises(ConfigError, match="expected messages of its schema, got 3 bytes of others"):
        read_trace(bytes([2, 0xFF, 0xFF]))
    with pytest.raises(ConfigError, match="expected a length, got the end of the file"):
        read_trace(bytes([0x80]))
