"""A primitive of JAX and what it is given in; the ONNX operators that compute the same, out.

To give a primitive a form, write its function here, or take one of those that need its operator's name alone, and add
its line to FORMS.
"""

import string
from typing import Any

import jax.numpy as jnp
import numpy as np

from jvae.export.graph import Form, Graph, Value

LAST = np.iinfo(np.int64).max  # as the end of a slice: all there is


def _operator(op: str) -> Form:
    """An operator of the same arguments."""
    return lambda graph, eqn, *inputs: graph.add(op, *inputs)


def _reduction(op: str) -> Form:
    return lambda graph, eqn, x: graph.add(op, x, np.asarray(eqn.params["axes"], np.int64), keepdims=0)


def _same(graph: Graph, eqn: Any, x: Value) -> Value:
    return x


def _square(graph: Graph, eqn: Any, x: Value) -> Value:
    return graph.add("Mul", x, x)


def _integer_pow(graph: Graph, eqn: Any, x: Value) -> Value:
    return graph.add("Pow", x, np.float32(eqn.params["y"]))


def _rsqrt(graph: Graph, eqn: Any, x: Value) -> Value:
    return graph.add("Reciprocal", graph.add("Sqrt", x))


def _log1p(graph: Graph, eqn: Any, x: Value) -> Value:
    return graph.add("Log", graph.add("Add", x, np.float32(1)))


def _not_equal(graph: Graph, eqn: Any, x: Value, y: Value) -> Value:
    return graph.add("Not", graph.add("Equal", x, y))


def _select(graph: Graph, eqn: Any, which: Value, *cases: Value) -> Value:
    if len(cases) != 2 or eqn.invars[0].aval.dtype != bool:
        raise graph.refuse(f"select_n of {len(cases)} cases")
    return graph.add("Where", which, cases[1], cases[0])


def _clamp(graph: Graph, eqn: Any, least: Value, x: Value, most: Value) -> Value:
    return graph.add("Min", graph.add("Max", x, least), most)


def _convert(graph: Graph, eqn: Any, x: Value) -> Value:
    from onnx import helper  # pyright: ignore[reportMissingImports]

    return graph.add("Cast", x, to=helper.np_dtype_to_tensor_dtype(np.dtype(eqn.params["new_dtype"])))


def _reshaped(graph: Graph, x: Value, sizes: tuple[Any, ...]) -> Value:
    """`x` in another shape, of which one size may depend on the batch."""
    free = [size for size in sizes if not isinstance(size, int)]
    if len(free) > 1:
        raise graph.refuse(f"a shape of {list(sizes)}")
    return graph.add("Reshape", x, np.asarray([size if isinstance(size, int) else -1 for size in sizes], np.int64))


def _reshape(graph: Graph, eqn: Any, x: Value) -> Value:
    return _reshaped(graph, x, eqn.params["new_sizes"])


def _squeeze(graph: Graph, eqn: Any, x: Value) -> Value:
    return _reshaped(graph, x, eqn.outvars[0].aval.shape)


def _broadcast(graph: Graph, eqn: Any, x: Value) -> Value:
    before, after = eqn.invars[0].aval.shape, eqn.params["shape"]
    sizes = [1] * len(after)
    for size, axis in zip(before, eqn.params["broadcast_dimensions"], strict=True):
        sizes[axis] = size
    aligned = x if tuple(sizes) == before else _reshaped(graph, x, tuple(sizes))
    return aligned if tuple(sizes) == after else graph.add("Expand", aligned, graph.shape(after))


def _transposed(graph: Graph, x: Value, axes: tuple[int, ...]) -> Value:
    if list(axes) == sorted(axes):
        return x
    return graph.add("Transpose", x, perm=list(axes)) if isinstance(x, str) else jnp.transpose(x, axes)


def _transpose(graph: Graph, eqn: Any, x: Value) -> Value:
    return _transposed(graph, x, eqn.params["permutation"])


def _concatenate(graph: Graph, eqn: Any, *parts: Value) -> Value:
    return graph.add("Concat", *parts, axis=eqn.params["dimension"])


def _stack(graph: Graph, eqn: Any, *parts: Value) -> Value:
    axis = eqn.params["axis"]
    return graph.add("Concat", *(graph.add("Unsqueeze", part, np.asarray([axis])) for part in parts), axis=axis)


def _split(graph: Graph, eqn: Any, x: Value) -> Value:
    sizes = np.asarray(eqn.params["sizes"], np.int64)
    return graph.add("Split", x, sizes, count=len(sizes), axis=eqn.params["axis"])


def _slice(graph: Graph, eqn: Any, x: Value) -> Value:
    start, limit, size = eqn.params["start_indices"], eqn.params["limit_indices"], eqn.invars[0].aval.shape
    ends = [LAST if to == whole else to for to, whole in zip(limit, size, strict=True)]
    steps = eqn.params["strides"] or (1,) * len(size)
    return graph.add("Slice", x, *(np.asarray(v, np.int64) for v in (start, ends, range(len(size)), steps)))


def _gather(graph: Graph, eqn: Any, x: Value, indices: Value) -> Value:
    """What `x[:, 0]` and the like become where the size of the batch is a symbol: known places along one axis."""
    numbers, sizes, shape = eqn.params["dimension_numbers"], eqn.params["slice_sizes"], eqn.invars[0].aval.shape
    axis = numbers.start_index_map[0]
    whole = all(size == there for i, (size, there) in enumerate(zip(sizes, shape, strict=True)) if i != axis)
    if len(numbers.start_index_map) > 1 or isinstance(indices, str) or not whole or numbers.operand_batching_dims:
        raise graph.refuse("gather at places that are not known, or along several axes")
    places = jnp.reshape(indices, jnp.shape(indices)[:-1])
    if not numbers.collapsed_slice_dims and not places.ndim:
        return graph.add("Gather", x, places + np.arange(sizes[axis]), axis=axis)
    new = [i for i in range(len(eqn.outvars[0].aval.shape)) if i not in numbers.offset_dims]
    if numbers.collapsed_slice_dims != (axis,) or new != list(range(axis, axis + places.ndim)):
        raise graph.refuse("gather into other axes than it reads")
    return graph.add("Gather", x, places, axis=axis)


def _pad(graph: Graph, eqn: Any, x: Value, value: Value) -> Value:
    before, after, between = zip(*eqn.params["padding_config"], strict=True)
    if any(between):
        raise graph.refuse("padding between values")
    return graph.add("Pad", x, np.asarray([*before, *after], np.int64), value)


def _dot(graph: Graph, eqn: Any, x: Value, y: Value) -> Value:
    (summed_x, summed_y), (batch_x, batch_y) = eqn.params["dimension_numbers"]
    ranks = [len(variable.aval.shape) for variable in eqn.invars]
    if not batch_x and summed_x == (ranks[0] - 1,) and summed_y == (0,) and ranks[1] == 2:
        return graph.add("MatMul", x, y)
    letters = iter(string.ascii_lowercase)
    of_x, of_y = [next(letters) for _ in range(ranks[0])], [""] * ranks[1]
    for one, other in zip((*summed_x, *batch_x), (*summed_y, *batch_y), strict=True):
        of_y[other] = of_x[one]
    of_y = [letter or next(letters) for letter in of_y]
    shared = [of_x[axis] for axis in batch_x]
    bound = {*shared, *(of_x[axis] for axis in summed_x)}
    out = [*shared, *(letter for letter in (*of_x, *of_y) if letter not in bound)]
    return graph.add("Einsum", x, y, equation=f"{''.join(of_x)},{''.join(of_y)}->{''.join(out)}")


def _convolution(graph: Graph, eqn: Any, x: Value, kernel: Value) -> Value:
    params, groups = eqn.params, eqn.params["feature_group_count"]
    numbers, padding = params["dimension_numbers"], np.asarray(params["padding"], np.int64)
    x, kernel = _transposed(graph, x, numbers.lhs_spec), _transposed(graph, kernel, numbers.rhs_spec)
    stride, holes = list(params["window_strides"]), {"group": groups, "dilations": list(params["rhs_dilation"])}
    if params["batch_group_count"] != 1 or padding.min(initial=0) < 0:
        raise graph.refuse("a convolution in groups of the batch, or that cuts its input")
    if max(spread := params["lhs_dilation"]) == 1:
        y = graph.add("Conv", x, kernel, strides=stride, pads=padding.T.ravel().tolist(), **holes)
    else:  # zeros between the pixels: the transpose of a convolution, whose kernel is the other way around
        beyond = (np.asarray(eqn.invars[1].aval.shape)[list(numbers.rhs_spec[2:])] - 1) * params["rhs_dilation"]
        pads = beyond[:, None] - padding
        if isinstance(kernel, str) or groups != 1 or max(stride) > 1 or pads.min() < 0:
            raise graph.refuse("a transposed convolution in groups, with a stride, or by a kernel that depends on x")
        turned = jnp.flip(kernel, tuple(range(2, kernel.ndim))).swapaxes(0, 1)
        y = graph.add("ConvTranspose", x, turned, strides=list(spread), pads=pads.T.ravel().tolist(), **holes)
    return _transposed(graph, y, tuple(np.argsort(numbers.out_spec).tolist()))


FORMS: dict[str, Form] = {
    **dict.fromkeys(("copy", "stop_gradient", "optimization_barrier"), _same),
    **{name: _operator(name.capitalize()) for name in ("add", "sub", "mul", "div", "max", "min", "pow")},
    **{name: _operator(name.capitalize()) for name in ("neg", "exp", "log", "tanh", "sqrt", "abs", "sign", "erf")},
    **{name: _operator(name.capitalize()) for name in ("floor", "ceil", "and", "or", "not", "sin", "cos")},
    "logistic": _operator("Sigmoid"),
    "ge": _operator("GreaterOrEqual"),
    "gt": _operator("Greater"),
    "le": _operator("LessOrEqual"),
    "lt": _operator("Less"),
    "eq": _operator("Equal"),
    "ne": _not_equal,
    "square": _square,
    "integer_pow": _integer_pow,
    "rsqrt": _rsqrt,
    "log1p": _log1p,
    "select_n": _select,
    "clamp": _clamp,
    "convert_element_type": _convert,
    "reshape": _reshape,
    "squeeze": _squeeze,
    "broadcast_in_dim": _broadcast,
    "transpose": _transpose,
    "concatenate": _concatenate,
    "stack": _stack,
    "split": _split,
    "slice": _slice,
    "gather": _gather,
    "pad": _pad,
    "reduce_sum": _reduction("ReduceSum"),
    "reduce_max": _reduction("ReduceMax"),
    "reduce_min": _reduction("ReduceMin"),
    "dot_general": _dot,
    "conv_general_dilated": _convolution,
}
