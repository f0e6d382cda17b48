"""What JAX traced of a function in; the nodes of an ONNX graph that computes the same, out.

A primitive is written by its form, see `jvae.export.primitives`. What depends on no input, such as a kernel that is
turned around, is a constant of the graph. The graph is built while JAX traces, so that all constants are computed by
one program.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from jvae.errors import InputError

HALF_FROM = 256  # values of an array from which on it is stored as float16, where that is asked for
CALLS = {"jit": "jaxpr", "pjit": "jaxpr", "closed_call": "call_jaxpr", "remat2": "jaxpr", "checkpoint": "jaxpr"}
CALLS |= {"custom_vjp_call": "call_jaxpr", "custom_jvp_call": "call_jaxpr"}

Value = Any  # the name of a tensor in the graph, or an array that depends on no input
Form = Callable[..., Any]  # graph, JAX's equation, values → the value that comes out, or a list of those that do


class Graph:
    """A graph that grows by nodes.

    Attributes:
      nodes: ONNX's nodes so far, in an order in which they can run.
      constants: name → array, those whose values `jax.jit` has yet to compute included.
    """

    def __init__(self, forms: Mapping[str, Form], batch: Any, *, half: bool) -> None:
        """An empty graph.

        Args:
          forms: primitive → what writes it.
          batch: the size of a batch, a symbol in JAX's shapes.
          half: whether large constants are stored as float16, and cast to float32 by the graph.
        """
        self.nodes: list[Any] = []
        self.constants: dict[str, Any] = {}
        self._forms, self._batch, self._half = forms, batch, half
        self._layer, self._size_of_batch = "", ""
        self._named: dict[Any, str] = {}

    def input(self, name: str, shape: Sequence[Any]) -> Any:
        """Declares an input float32; the first that holds a batch says how large it is."""
        if not self._size_of_batch and self._batch in shape:
            axis = list(shape).index(self._batch)
            self._size_of_batch = self.add("Shape", name, start=axis, end=axis + 1)
        return self._declared(name, shape)

    def output(self, name: str, value: Value, shape: Sequence[Any]) -> Any:
        """Gives a value the name of an output float32."""
        self._emit("Identity", [self.name(value)], [name], {})
        return self._declared(name, shape)

    def _declared(self, name: str, shape: Sequence[Any]) -> Any:
        from onnx import TensorProto, helper  # pyright: ignore[reportMissingImports]

        sizes = [d if isinstance(d, int) else "batch" for d in shape]
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, sizes)

    def add(self, op: str, *inputs: Value, count: int = 1, **attributes: Any) -> Any:
        """A node more: the name of what comes out, or a list of `count` names where they are several."""
        name = f"{self._layer}{op}_{len(self.nodes)}"
        outputs = [name] if count == 1 else [f"{name}:{i}" for i in range(count)]
        self._emit(op, [self.name(value) for value in inputs], outputs, attributes)
        return name if count == 1 else outputs

    def _emit(self, op: str, inputs: list[str], outputs: list[str], attributes: Mapping[str, Any]) -> None:
        from onnx import helper  # pyright: ignore[reportMissingImports]

        self.nodes.append(helper.make_node(op, inputs, outputs, name=outputs[0], **attributes))

    def name(self, value: Value) -> str:
        """The name of a value; an array becomes a constant of the graph, each once."""
        if isinstance(value, str):
            return value
        if isinstance(value, jax.Array):
            key: Any = id(value)
        else:
            value = np.asarray(value)
            key = (value.shape, str(value.dtype), value.tobytes())
        if key not in self._named:
            self._named[key] = self._constant(value)
        return self._named[key]

    def _constant(self, array: Any) -> str:
        from onnx import TensorProto  # pyright: ignore[reportMissingImports]

        name, half = f"constant_{len(self.constants)}", self._half and array.size >= HALF_FROM
        half = half and array.dtype == np.float32
        self.constants[name] = array.astype(np.float16) if half else array
        return self.add("Cast", name, to=TensorProto.FLOAT) if half else name

    def shape(self, dimensions: Sequence[Any]) -> Value:
        """A shape as a tensor int64 [n]."""
        if all(isinstance(d, int) for d in dimensions):
            return np.asarray(dimensions, np.int64)
        parts = [np.asarray([d], np.int64) if isinstance(d, int) else self._times_batch(d) for d in dimensions]
        return self.add("Concat", *parts, axis=0)

    def _times_batch(self, dimension: Any) -> Value:
        times = dimension // self._batch
        if not isinstance(times, int) or times * self._batch != dimension:
            raise self.refuse(f"a size of {dimension} for a batch of {self._batch}")
        return self._size_of_batch if times == 1 else self.add("Mul", self._size_of_batch, np.asarray([times]))

    def refuse(self, what: str) -> InputError:
        """The error for what has no form in ONNX: it names the layer."""
        layer = self._layer.rstrip("/") or "the model's outermost"
        return InputError(
            f"the layer {layer} uses {what}, for which the export to ONNX has no form: use --format stablehlo, "
            "or give it one in jvae/export/primitives.py"
        )

    def run(self, jaxpr: Any, constants: Sequence[Any], inputs: Sequence[Value]) -> list[Value]:
        """The outputs of a traced function of these inputs.

        Args:
          jaxpr: what JAX traced.
          constants: of the function.
          inputs: its arguments.

        Raises:
          InputError: one of its primitives has no form in ONNX; it and its layer are named.
        """
        known = dict(zip((*jaxpr.constvars, *jaxpr.invars), (*constants, *inputs), strict=True))

        def read(atom: Any) -> Value:
            return np.asarray(atom.val, atom.aval.dtype) if hasattr(atom, "val") else known[atom]

        outer = self._layer
        for eqn in jaxpr.eqns:
            self._layer = f"{stack}/" if (stack := str(eqn.source_info.name_stack)) else outer
            found = self._equation(eqn, [read(atom) for atom in eqn.invars])
            known.update(zip(eqn.outvars, found, strict=True))
        self._layer = outer
        return [read(atom) for atom in jaxpr.outvars]

    def _equation(self, eqn: Any, inputs: list[Value]) -> Sequence[Value]:
        name, params = eqn.primitive.name, eqn.params
        if name in CALLS:
            return self._inside(params[CALLS[name]], inputs)
        if name == "platform_index":  # of a computation with a form for some platforms: the one for all others
            return [np.int32(next(i for i, names in enumerate(params["platforms"]) if names is None))]
        if name == "cond" and not isinstance(inputs[0], str):
            return self._inside(params["branches"][int(inputs[0])], inputs[1:])
        sizes = [size for variable in eqn.outvars for size in variable.aval.shape]
        if not any(isinstance(value, str) for value in inputs) and all(isinstance(size, int) for size in sizes):
            found = eqn.primitive.bind(*inputs, **params)
            return found if eqn.primitive.multiple_results else [found]
        if name not in self._forms:
            raise self.refuse(name)
        found = self._forms[name](self, eqn, *inputs)
        return found if isinstance(found, list) else [found]

    def _inside(self, closed: Any, inputs: Sequence[Value]) -> list[Value]:
        if hasattr(closed, "consts"):
            return self.run(closed.jaxpr, closed.consts, inputs)
        return self.run(closed, (), inputs)
