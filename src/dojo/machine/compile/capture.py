"""Capture: any PyTorch training step as a graph of operators, without weights and without a GPU.

In: a model on any device (`meta` for one that has no room), a function that computes its loss, an optimiser. Out:
`Graph`.
Idea: the step is run once, forward, backward and optimiser, on fake tensors: they have shapes and number formats but no
memory, so a trillion parameters take none. Every operator that reaches PyTorch's dispatcher is written down with the
shapes that it saw. That is where AOTAutograd and `torch.export` trace too, and a test holds the two together; here the
optimiser and what a loss does in Python are seen as well. A tensor is its storage: views cost nothing, and an operator
waits for whoever wrote the storages that it reads. What is not known is counted by its bytes and named `unknown`.
Not here: what several operators cost as one kernel (`fuse.py`), other batch sizes (`batches.py`).
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch._C._autograd import _get_sequence_nr
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from dojo.machine.compile.graph import WEIGHT_GRADIENT, Graph, Kind, Operator, Phase, Weight
from dojo.machine.compile.products import KINDS, Product, kind_of, products_of

Loss = Callable[[Any], Tensor]
Optimise = Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer]


def adamw(parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
    """AdamW in one kernel: what most models are trained with."""
    return torch.optim.AdamW(parameters, lr=1e-3, fused=True)


def capture(
    name: str,
    model: nn.Module,
    loss: Loss,
    samples: int,
    *,
    optimise: Optimise = adamw,
    autocast: torch.dtype | None = None,
) -> Graph:
    """One training step of a model.

    Args:
        model: stays as it is. Built under `torch.device("meta")` it takes no memory, however large.
        loss: of the model that it is given, on a batch that it makes up itself, as a scalar; what numbers tensors hold
            does not matter.
        samples: how many that batch has.
        autocast: the format of products where the step runs under `torch.autocast`; none without.
    """
    recorder = _Recorder()
    with FakeTensorMode(allow_non_fake_inputs=True), recorder:
        twin = _twin(model)
        named = {name: parameter for name, parameter in twin.named_parameters() if parameter.requires_grad}
        parameters = list(named.values())
        recorder.begin(twin.parameters(), parameters)
        with _precision(autocast):
            value = loss(twin)
        recorder.phase = Phase.BACKWARD
        value.backward()  # type: ignore[no-untyped-call]
        recorder.name_gradients(parameters)
        recorder.phase = None  # The first step of an optimiser makes its state.
        stepper = optimise(parameters)
        stepper.step()
        recorder.phase = Phase.OPTIMISER
        stepper.step()
    weights = tuple(Weight(called, parameter.numel()) for called, parameter in named.items())
    return Graph(name, samples, sum(one.numbers for one in weights), tuple(recorder.operators), weights)


def _twin(model: nn.Module) -> nn.Module:
    """The same model with tensors that have no memory; to be called where tensors are fake."""
    shapes: dict[int, Any] = {}
    for tensor in itertools.chain(model.parameters(), model.buffers()):
        fake = torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype)
        learned = isinstance(tensor, nn.Parameter)
        shapes[id(tensor)] = nn.Parameter(fake, requires_grad=tensor.requires_grad) if learned else fake
    return copy.deepcopy(model, shapes)


def _precision(autocast: torch.dtype | None) -> AbstractContextManager[Any]:
    return nullcontext() if autocast is None else torch.autocast("cpu", dtype=autocast)


@dataclass(frozen=True)
class _Call:
    """One call of an operator: its arguments by name, what it reads, and what it writes."""

    function: torch._ops.OpOverload
    arguments: Mapping[str, Any]
    read: Sequence[Tensor]
    written: Sequence[Tensor]


class _Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Writes down every operator that runs while there is a phase."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.phase: Phase | None = None
        self.operators: list[Operator] = []
        self._writers: dict[int, int] = {}
        self._weights: dict[int, frozenset[int]] = {}  # Storages, and which of what is learned they hold.
        self._made_by: dict[int, int] = {}  # Autograd's numbers of what it will go back through, and their operators.
        self._current: int | None = None
        self._alive: list[Any] = []  # Storages, so that none gets the name of another.

    def begin(self, parameters: Iterable[nn.Parameter], learned: Sequence[nn.Parameter]) -> None:
        """From here on; what these hold are weights, and the latter are numbered."""
        self.phase = Phase.FORWARD
        self._weights = dict.fromkeys(map(self._storage, parameters), frozenset())
        for place, parameter in enumerate(learned):
            storage = self._storage(parameter)
            self._weights[storage] |= {place}

    def name_gradients(self, parameters: Sequence[nn.Parameter]) -> None:
        """Say of the products whose results end as gradients of weights that they are such."""
        for parameter in parameters:
            if parameter.grad is None:
                continue
            at = self._writers.get(self._storage(parameter.grad))
            for place in self._products_behind(at, parameter.numel()):
                operator = self.operators[place]
                if not operator.name.endswith(WEIGHT_GRADIENT):
                    self.operators[place] = replace(operator, name=operator.name + WEIGHT_GRADIENT)

    def _products_behind(self, at: int | None, numbers: int) -> list[int]:
        """Products of this many numbers, behind copies and sums, that ended in what was written there."""
        found, waiting = [], [] if at is None else [at]
        while waiting:
            place = waiting.pop()
            operator = self.operators[place]
            if operator.matrix:
                batch, m, n, _ = operator.matrix
                found += [place] if batch * m * n == numbers else []
            elif operator.kind in (Kind.COPY, Kind.ELEMENTWISE) and operator.phase is Phase.BACKWARD:
                waiting += operator.after
        return found

    def __torch_dispatch__(
        self,
        func: torch._ops.OpOverload,
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Run it, and write it down."""
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        if self.phase is not None:
            self._go_to(self.phase)
            self._write_down(_call(func, args, kwargs, result, self._storage))
        return result

    def _go_to(self, phase: Phase) -> None:
        """Note which forward operator is being computed, or gone back through.

        Autograd numbers what it will go back through as it is made, so the last number is the running operator's.
        """
        node = torch._C._current_autograd_node() if phase is Phase.BACKWARD else None
        if node is not None:
            self._current = self._made_by.get(node._sequence_nr(), self._current)
        if phase is Phase.FORWARD:
            self._made_by.setdefault(_get_sequence_nr() - 1, len(self.operators))
        elif node is not None and torch.is_grad_enabled() and self._current is not None:  # It is computed again.
            self._made_by.setdefault(_get_sequence_nr() - 1, self._current)

    def _storage(self, tensor: Tensor) -> int:
        storage = tensor.untyped_storage()
        self._alive.append(storage)
        return int(storage._cdata)

    def _write_down(self, call: _Call | None) -> None:
        if call is None:
            return
        read = {self._storage(tensor): tensor for tensor in call.read}
        if KINDS.get(call.function.overloadpacket) is Kind.COPY and read and read.keys() <= self._weights.keys():
            copied = frozenset[int]().union(*(self._weights[storage] for storage in read))
            self._weights |= dict.fromkeys(map(self._storage, call.written), copied)
        after = tuple(sorted({self._writers[storage] for storage in read if storage in self._writers}))
        products = products_of(call.function.overloadpacket, call.arguments, call.written)
        for operator, results in self._operators(call, products, read, after):
            for tensor in results:
                self._writers[self._storage(tensor)] = len(self.operators)
            self.operators.append(operator)

    def _operators(
        self, call: _Call, products: Sequence[Product], read: Mapping[int, Tensor], after: tuple[int, ...]
    ) -> list[tuple[Operator, Sequence[Tensor]]]:
        """What was called, as one operator or, where it is several products, as so many."""
        assert self.phase is not None, "nothing is written down outside of a phase"
        kind = Kind.OPTIMISER if self.phase is Phase.OPTIMISER else kind_of(call.function)
        name = f"{call.function.namespace}.{call.function.overloadpacket.__name__}"
        if not products:
            numbers = max((tensor.numel() for tensor in (*call.read, *call.written)), default=0)
            return [(self._one(name, kind, float(numbers), call.read, call.written, (), after), call.written)]
        return [
            (
                self._one(name + part.says, kind, part.flops, part.read, part.written, part.matrix, after),
                part.written,
            )
            for part in products
        ]

    def _one(
        self,
        name: str,
        kind: Kind,
        flops: float,
        read: Sequence[Tensor],
        written: Sequence[Tensor],
        matrix: tuple[int, ...],
        after: tuple[int, ...],
    ) -> Operator:
        assert self.phase is not None
        by_storage = self._by_storage(read)
        return Operator(
            name=name,
            kind=kind,
            phase=self.phase,
            flops=flops,
            read_bytes=sum(by_storage.values(), 0.0),
            written_bytes=sum(self._by_storage(written).values(), 0.0),
            dtype=_dtype([*read, *written]),
            matrix=matrix,
            weight_bytes=sum((size for storage, size in by_storage.items() if storage in self._weights), 0.0),
            after=after,
            weights=tuple(sorted({at for storage in by_storage for at in self._weights.get(storage, ())})),
            belongs_to=self._current if self.phase is Phase.BACKWARD else None,
        )

    def _by_storage(self, tensors: Sequence[Tensor]) -> dict[int, float]:
        """Bytes touched of each storage: of several views those of all, of a number repeated by a view one."""
        touched: dict[int, float] = {}
        for tensor in tensors:
            storage = self._storage(tensor)
            size = touched.get(storage, 0.0) + tensor.numel() * tensor.element_size()
            touched[storage] = min(size, float(tensor.untyped_storage().nbytes()))
        return touched


def _call(
    function: torch._ops.OpOverload,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    result: Any,
    storage: Callable[[Tensor], int],
) -> _Call | None:
    """The call, or nothing where it moves nothing: views, and questions about shapes."""
    declared = function._schema.arguments
    arguments = {argument.name: value for argument, value in zip(declared, args, strict=False)} | dict(kwargs)
    changes = {
        argument.name for argument in declared if argument.alias_info is not None and argument.alias_info.is_write
    }
    changed = [leaf for name in changes for leaf in tree_leaves(arguments.get(name)) if isinstance(leaf, Tensor)]
    read = [leaf for leaf in tree_leaves(list(arguments.values())) if isinstance(leaf, Tensor)]
    results = [leaf for leaf in tree_leaves(result) if isinstance(leaf, Tensor)]
    known = {storage(tensor) for tensor in read}
    new = [tensor for tensor in results if storage(tensor) not in known]
    free = function.overloadpacket in _FREE or not (changed or new)
    if free:
        return None
    overwritten = changed if function.overloadpacket in _OVERWRITES else []
    read = [tensor for tensor in read if not any(tensor is other for other in overwritten)]
    return _Call(function, arguments, read, [*changed, *new])


_FREE = {
    torch.ops.aten.empty,
    torch.ops.aten.empty_like,
    torch.ops.aten.empty_strided,
    torch.ops.aten.new_empty,
    torch.ops.aten.new_empty_strided,
    torch.ops.aten.detach,
    torch.ops.aten.lift_fresh,
    torch.ops.aten._local_scalar_dense,
}
"""Get memory or give it another name."""

_OVERWRITES = {torch.ops.aten.copy_, torch.ops.aten.zero_, torch.ops.aten.fill_, torch.ops.aten.normal_}
"""Do not read what they change."""


def _dtype(tensors: Sequence[Tensor]) -> str:
    """The format of the first that has fractions, else of the first."""
    formats = [tensor.dtype for tensor in tensors]
    chosen = next((one for one in formats if one.is_floating_point), formats[0] if formats else torch.float32)
    return str(chosen).removeprefix("torch.")
