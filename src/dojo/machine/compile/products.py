"""What PyTorch's operators are: which compute products, of which shapes, and which move bytes.

In: an operator of the dispatcher, its arguments, its results. Out: its `Kind`; for products, their matrices and flops.
Idea: a convolution is the product of every place in the picture with every filter, its two gradients are two more.
Flops follow from the matrices; a test holds them against PyTorch's own counter.
Not here: who runs them (`capture.py`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from dojo.machine.compile.graph import Kind

aten = torch.ops.aten


@dataclass(frozen=True)
class Product:
    """One product: its matrix (batch, m, n, k), what it reads and writes, and what to add to its name."""

    matrix: tuple[int, int, int, int]
    flops: float
    read: Sequence[Tensor]
    written: Sequence[Tensor]
    says: str = ""


def _names(kind: Kind, *names: str) -> dict[Any, Kind]:
    """Those of the operators that this PyTorch has."""
    return {getattr(aten, name): kind for name in names if hasattr(aten, name)}


_ATTENTION = {
    f"_scaled_dot_product_{how}_attention{tail}": backward
    for how in ("flash", "efficient", "cudnn", "fused")
    for tail, backward in (("", False), ("_backward", True), ("_for_cpu", False), ("_for_cpu_backward", True))
}

KINDS: dict[Any, Kind] = {
    **_names(Kind.MATMUL, "mm", "addmm", "bmm", "baddbmm", "mv", "dot"),
    **_names(Kind.CONVOLUTION, "convolution", "convolution_backward"),
    **_names(Kind.ATTENTION, *_ATTENTION),
    **_names(Kind.NORMALISATION, "native_layer_norm", "native_layer_norm_backward", "native_batch_norm"),
    **_names(Kind.NORMALISATION, "native_batch_norm_backward", "native_group_norm", "native_group_norm_backward"),
    **_names(Kind.NORMALISATION, "cudnn_batch_norm", "cudnn_batch_norm_backward", "_native_batch_norm_legit"),
    **_names(Kind.NORMALISATION, "_batch_norm_with_update", "batch_norm_backward", "_fused_rms_norm"),
    **_names(Kind.NORMALISATION, "_fused_rms_norm_backward"),
    **_names(Kind.REDUCTION, "_softmax", "_log_softmax", "_softmax_backward_data", "_log_softmax_backward_data"),
    **_names(Kind.REDUCTION, "sum", "mean", "amax", "amin", "max", "min", "argmax", "argmin", "logsumexp", "var_mean"),
    **_names(Kind.REDUCTION, "nll_loss_forward", "nll_loss_backward", "cumsum", "sort", "topk", "linalg_vector_norm"),
    **_names(Kind.REDUCTION, "max_pool2d_with_indices", "max_pool2d_with_indices_backward", "avg_pool2d", "any"),
    **_names(Kind.REDUCTION, "avg_pool2d_backward", "_adaptive_avg_pool2d", "_adaptive_avg_pool2d_backward", "all"),
    **_names(Kind.REDUCTION, "upsample_bilinear2d", "upsample_bilinear2d_backward", "upsample_nearest2d"),
    **_names(Kind.REDUCTION, "upsample_linear1d", "upsample_linear1d_backward", "upsample_nearest2d_backward"),
    **_names(Kind.REDUCTION, "mse_loss", "mse_loss_backward", "smooth_l1_loss", "smooth_l1_loss_backward"),
    **_names(Kind.REDUCTION, "huber_loss", "huber_loss_backward", "nll_loss2d_forward", "nll_loss2d_backward"),
    **_names(Kind.REDUCTION, "binary_cross_entropy", "binary_cross_entropy_backward"),
    **_names(Kind.COPY, "_to_copy", "clone", "copy_", "cat", "stack", "constant_pad_nd", "zeros", "zeros_like", "ones"),
    **_names(Kind.COPY, "ones_like", "full", "full_like", "fill_", "zero_", "arange", "scalar_tensor", "contiguous"),
    **_names(Kind.COPY, "new_zeros", "new_full", "new_ones", "select_backward", "slice_backward", "repeat", "flip"),
    **_names(
        Kind.COPY, "_reshape_copy", "roll", "_unsafe_view", "linspace", "fill", "triu", "tril", "split_with_sizes"
    ),
    **_names(Kind.LOOKUP, "embedding", "embedding_dense_backward", "index", "index_put", "index_put_", "gather"),
    **_names(Kind.LOOKUP, "scatter", "scatter_add", "_unsafe_index", "_index_put_impl_", "index_select", "scatter_"),
    **_names(Kind.LOOKUP, "grid_sampler_2d", "grid_sampler_2d_backward", "_unsafe_index_put", "index_add"),
    **_names(Kind.ELEMENTWISE, "native_dropout", "native_dropout_backward", "bernoulli_", "rand", "randn", "rand_like"),
    **_names(
        Kind.ELEMENTWISE, "normal_", "uniform_", "randn_like", "where", "masked_fill", "masked_fill_", "bernoulli"
    ),
}
"""What each operator is, whatever it is tagged as; `kind_of` knows more."""


def kind_of(function: torch._ops.OpOverload) -> Kind:
    """What an operator is: by name, by what PyTorch says of it, else unknown."""
    known = KINDS.get(function.overloadpacket)
    if known is not None:
        return known
    if torch.Tag.pointwise in function.tags or function.overloadpacket.__name__.startswith("_foreach_"):
        return Kind.ELEMENTWISE
    return Kind.REDUCTION if torch.Tag.reduction in function.tags else Kind.UNKNOWN


def products_of(packet: Any, arguments: Mapping[str, Any], written: Sequence[Tensor]) -> list[Product]:
    """The products of a call; none for what moves bytes."""
    kind = KINDS.get(packet)
    if kind is Kind.MATMUL:
        return [_matrix(arguments, written)]
    if kind is Kind.ATTENTION:
        return [_attention(arguments, written, backward=_ATTENTION[packet.__name__])]
    if packet is aten.convolution:
        return [_convolution(arguments, written[0], written)]
    return _convolution_gradients(arguments, written) if packet is aten.convolution_backward else []


def _tensors(arguments: Mapping[str, Any]) -> list[Tensor]:
    return [value for value in arguments.values() if isinstance(value, Tensor)]


def _matrix(arguments: Mapping[str, Any], written: Sequence[Tensor]) -> Product:
    """mm, bmm and their kin: the last two tensors are the factors."""
    tensors = _tensors(arguments)
    left, right = tensors[-2], tensors[-1]
    batch = left.shape[0] if left.dim() == 3 else 1
    m = left.shape[-2] if left.dim() > 1 else 1
    n, k = (right.shape[-1] if right.dim() > 1 else 1), left.shape[-1]
    return Product((batch, m, n, k), 2.0 * batch * m * n * k, tensors, written)


def _attention(arguments: Mapping[str, Any], written: Sequence[Tensor], backward: bool) -> Product:
    """Attention in one kernel; what a causal mask hides is skipped. Backward does two and a half times as much.

    Source: Dao 2023, "FlashAttention-2", section 4.1.
    """
    query, key = arguments["query"], arguments["key"]
    batch, (rows, width), columns = math.prod(query.shape[:-2]), query.shape[-2:], key.shape[-2]
    seen = 0.5 if arguments.get("is_causal") else 1.0
    flops = 4.0 * batch * rows * columns * width * seen * (2.5 if backward else 1.0)
    return Product((batch, rows, columns, width), flops, _tensors(arguments), written)


def _convolution(arguments: Mapping[str, Any], places: Tensor, written: Sequence[Tensor]) -> Product:
    """Every place of the result by every filter; transposed, every place of the input."""
    picture, weight, groups = arguments["input"], arguments["weight"], int(arguments["groups"])
    taps = math.prod(weight.shape[2:])
    if arguments["transposed"]:
        m, n, k = _places(picture), weight.shape[1] * taps, weight.shape[0] // groups
    else:
        m, n, k = _places(places), weight.shape[0] // groups, weight.shape[1] * taps
    return Product((groups, m, n, k), 2.0 * groups * m * n * k, _tensors(arguments), written)


def _places(picture: Tensor) -> int:
    return picture.shape[0] * math.prod(picture.shape[2:])


def _convolution_gradients(arguments: Mapping[str, Any], written: Sequence[Tensor]) -> list[Product]:
    """The gradient of the input and that of the weight: two products with as many flops as forward each."""
    gradient, picture, weight = (arguments[name] for name in ("grad_output", "input", "weight"))
    flops = _convolution({**arguments, "bias": None}, gradient, ()).flops
    groups, wanted, results = int(arguments["groups"]), arguments["output_mask"], list(written)
    found = []
    if wanted[0]:
        n = picture.shape[1] // groups
        m = _places(picture)
        k = round(flops / (2.0 * groups * m * n))
        says = ", gradient of input"
        found.append(Product((groups, m, n, max(k, 1)), flops, [gradient, weight], [results.pop(0)], says))
    if wanted[1] or wanted[2]:
        rows, columns = weight.shape[0] // groups, math.prod(weight.shape[1:])
        k = round(flops / (2.0 * groups * rows * columns))
        found.append(Product((groups, rows, columns, max(k, 1)), flops, [gradient, picture], results))
    return found
