"""A graph as an MLCommons Chakra execution trace, which simulators such as ASTRA-sim read.

In: a graph, seconds of its operators where they are known. Out: bytes; and back, for whoever wants to check.
Idea: a trace is a file of protobuf messages, each after its length as a varint: `GlobalMetadata`, then one `Node` for
each operator, with what it waits for. Written down here are the messages and fields that are used, under the numbers
that the schema gives them, so any reader of the schema reads them. A replaying simulator takes `duration_micros`, one
with a roofline `num_ops` and `tensor_size`; gradients of weights end in an all-reduce where there are several ranks.
Not here: simulation of the trace.
Source: mlcommons/chakra 6dc63e1, schema/protobuf/et_def.proto (messages, numbers) and src/generator (attributes);
astra-sim/astra-sim 2aa2bbd, astra-sim/workload/feeder_v3/et_feeder_node_attr.h.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.descriptor_pb2 import FieldDescriptorProto as Field
from google.protobuf.message import DecodeError, Message

from dojo.errors import ConfigError
from dojo.machine.compile.graph import WEIGHT_GRADIENT, Graph, Operator

COMPUTE, COLLECTIVE = 4, 7
"""COMP_NODE and COMM_COLL_NODE of the schema's NodeType."""
_ALL_REDUCE = 0
_VERSION = "0.0.4"
Value = int | float | bool | str


@dataclass(frozen=True)
class Node:
    """A node of a trace, as this module writes it."""

    number: int
    name: str
    kind: int
    after: tuple[int, ...] = ()
    duration_us: int = 0
    attributes: Mapping[str, Value] = field(default_factory=dict)


_FIELDS: Mapping[str, Mapping[str, tuple[int, int, str]]] = {
    "AttributeProto": {
        "name": (1, Field.TYPE_STRING, ""),
        "double_val": (3, Field.TYPE_DOUBLE, "value"),
        "int64_val": (9, Field.TYPE_INT64, "value"),
        "uint64_val": (13, Field.TYPE_UINT64, "value"),
        "bool_val": (27, Field.TYPE_BOOL, "value"),
        "string_val": (29, Field.TYPE_STRING, "value"),
    },
    "GlobalMetadata": {"version": (1, Field.TYPE_STRING, ""), "attr": (2, Field.TYPE_MESSAGE, "many")},
    "Node": {
        "id": (1, Field.TYPE_UINT64, ""),
        "name": (2, Field.TYPE_STRING, ""),
        "type": (3, Field.TYPE_INT32, ""),  # An enumeration in the schema: the same bytes.
        "data_deps": (5, Field.TYPE_UINT64, "many"),
        "duration_micros": (7, Field.TYPE_UINT64, ""),
        "attr": (10, Field.TYPE_MESSAGE, "many"),
    },
}
"""Name, number, type and, where it is one, repetition or choice, of the fields that are used."""


def _messages() -> dict[str, type[Message]]:
    """Classes of the schema's messages."""
    file = descriptor_pb2.FileDescriptorProto(name="dojo_chakra.proto", package="ChakraProtoMsg", syntax="proto3")
    for message, fields in _FIELDS.items():
        described = file.message_type.add(name=message)
        if any(how == "value" for *_, how in fields.values()):
            described.oneof_decl.add(name="value")
        for name, (number, kind, how) in fields.items():
            label = Field.LABEL_REPEATED if how == "many" else Field.LABEL_OPTIONAL
            added = described.field.add(name=name, number=number, type=kind, label=label)
            if kind == Field.TYPE_MESSAGE:
                added.type_name = ".ChakraProtoMsg.AttributeProto"
            if how == "value":
                added.oneof_index = 0
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"ChakraProtoMsg.{name}")) for name in _FIELDS
    }


_CLASSES = _messages()


def nodes_of(graph: Graph, seconds: Sequence[float] | None = None, *, ranks: int = 1) -> list[Node]:
    """The nodes of one rank's trace.

    Args:
        seconds: of each operator; without, a simulator has to know a roofline.
        ranks: with several, each gradient of a weight is summed over all of them.
    """
    times = seconds or [0.0] * len(graph.operators)
    nodes: list[Node] = []
    after: dict[int, int] = {}
    for place, (operator, time) in enumerate(zip(graph.operators, times, strict=True)):
        waits = tuple(sorted({after[before] for before in operator.after}))
        nodes.append(_compute(len(nodes), operator, waits, time))
        after[place] = len(nodes) - 1
        if ranks > 1 and operator.name.endswith(WEIGHT_GRADIENT):
            size = {"comm_type": _ALL_REDUCE, "comm_size": round(operator.written_bytes), "is_cpu_op": False}
            nodes.append(Node(len(nodes), f"sum of {operator.name}", COLLECTIVE, (after[place],), 0, size))
            after[place] = len(nodes) - 1
    return nodes


def _compute(number: int, operator: Operator, waits: tuple[int, ...], seconds: float) -> Node:
    attributes: dict[str, Value] = {
        "is_cpu_op": False,
        "num_ops": round(operator.flops),
        "tensor_size": round(operator.read_bytes + operator.written_bytes),
        "dtype": operator.dtype,
        "phase": str(operator.phase),
        "kind": str(operator.kind),
    }
    return Node(number, operator.name, COMPUTE, waits, round(seconds * 1e6), attributes)


def write_trace(graph: Graph, nodes: Sequence[Node]) -> bytes:
    """The file of one rank: `model.0.et` for ASTRA-sim."""
    model = _attribute("model", graph.model)
    samples = _attribute("samples", graph.samples)
    out = io.BytesIO()
    _append(out, _CLASSES["GlobalMetadata"](version=_VERSION, attr=[model, samples]))
    for node in nodes:
        message = _CLASSES["Node"](
            id=node.number,
            name=node.name,
            type=node.kind,
            data_deps=node.after,
            duration_micros=node.duration_us,
            attr=[_attribute(name, value) for name, value in node.attributes.items()],
        )
        _append(out, message)
    return out.getvalue()


def read_trace(data: bytes) -> list[Node]:
    """The nodes of a trace.

    Raises:
        ConfigError: it is no trace, or ends in the middle of a message.
    """
    pieces = _pieces(data)
    try:
        _CLASSES["GlobalMetadata"].FromString(next(pieces))
        return [_node(_CLASSES["Node"].FromString(piece)) for piece in pieces]
    except (DecodeError, StopIteration) as error:
        raise ConfigError(f"Chakra trace: expected messages of its schema, got {len(data)} bytes of others") from error


def _attribute(name: str, value: Value) -> Message:
    kind = "bool_val" if isinstance(value, bool) else "string_val" if isinstance(value, str) else ""
    # The generator that comes with the schema writes the kind of a collective signed, and sizes unsigned.
    kind = kind or ("double_val" if isinstance(value, float) else "int64_val" if name == "comm_type" else "uint64_val")
    return _CLASSES["AttributeProto"](name=name, **{kind: value})


def _node(message: Message) -> Node:
    read: dict[str, Value] = {
        attribute.name: getattr(attribute, attribute.WhichOneof("value")) for attribute in message.attr
    }
    return Node(
        number=message.id,
        name=message.name,
        kind=message.type,
        after=tuple(message.data_deps),
        duration_us=message.duration_micros,
        attributes=read,
    )


def _append(out: io.BytesIO, message: Message) -> None:
    data = message.SerializeToString()
    length = len(data)
    while length > 0x7F:
        out.write(bytes([length & 0x7F | 0x80]))
        length >>= 7
    out.write(bytes([length]) + data)


def _pieces(data: bytes) -> Iterator[bytes]:
    """Each message without its length."""
    at = 0
    while at < len(data):
        length = shift = 0
        while True:
            if at >= len(data):
                raise ConfigError("Chakra trace: expected a length, got the end of the file; it is cut off")
            byte = data[at]
            length |= (byte & 0x7F) << shift
            at, shift = at + 1, shift + 7
            if byte < 0x80:
                break
        if at + length > len(data):
            raise ConfigError(f"Chakra trace: expected {length} bytes at {at}, got {len(data) - at}; it is cut off")
        yield data[at : at + length]
        at += length
