"""What is exported in; a folder of ONNX graphs, held against the model in onnxruntime, out."""

import importlib.util
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax import export

from jvae.errors import InputError
from jvae.export.bundle import Bundle
from jvae.export.functions import Function, functions
from jvae.export.graph import Graph
from jvae.export.primitives import FORMS
from jvae.runtime.provenance import versions

OPSET, IR = 18, 9  # of ONNX 1.14, which every runtime since 2023 reads
WITHIN = 1e-3  # of the largest value: how far what onnxruntime gives may lie from what jvae gives
CHECKED = 8  # images


def check_installed() -> None:
    """Raises InputError where the extra export is not installed."""
    missing = [name for name in ("onnx", "onnxruntime") if not importlib.util.find_spec(name)]
    if missing:
        raise InputError(
            f"ONNX needs the packages onnx and onnxruntime, and {' and '.join(missing)} is not installed: "
            "pip install 'jvae[export]'"
        )


def write_onnx(folder: Path, bundle: Bundle, *, half: bool, only: Sequence[str] = ()) -> list[str]:
    """Writes NAME.onnx for each function into a folder, each held against the model in onnxruntime.

    Args:
      folder: that is there.
      bundle: what is exported.
      half: whether weights are stored as float16.
      only: names of the functions; none means all.

    Returns:
      A line on each.

    Raises:
      InputError: the extra is not installed, a layer has no form in ONNX, or a graph's values lie too far off.
    """
    check_installed()
    lines = []
    for function in functions(bundle):
        if not only or function.name in only:
            path = folder / f"{function.name}.onnx"
            path.write_bytes(to_onnx(function, half=half, about=_about(bundle)).SerializeToString())
            lines.append(f"{path.name}: {_checked(path, function, bundle, half)}")
    return lines


def to_onnx(function: Function, *, half: bool, about: Mapping[str, str]) -> Any:
    """The ONNX model of a function.

    Args:
      function: what is exported.
      half: whether weights are stored as float16; they are used in float32 all the same.
      about: what the model says of itself.

    Raises:
      InputError: a layer has no form in ONNX; it is named.
    """
    import onnx  # pyright: ignore[reportMissingImports]
    from onnx import helper, numpy_helper  # pyright: ignore[reportMissingImports]

    (batch,) = export.symbolic_shape("b", constraints=["b >= 1"])
    shapes = {name: tuple(batch if d is None else d for d in shape) for name, shape in function.inputs.items()}
    traced = jax.make_jaxpr(function.call)(*(jax.ShapeDtypeStruct(shape, np.float32) for shape in shapes.values()))
    sizes, graph = [value.shape for value in traced.out_avals], Graph(FORMS, batch, half=half)
    given = [graph.input(name, shape) for name, shape in shapes.items()]
    made: list[Any] = []

    def build(constants: list[jax.Array]) -> dict[str, jax.Array]:
        found = graph.run(traced.jaxpr, constants, list(shapes))
        made.extend(graph.output(*each) for each in zip(function.outputs, found, sizes, strict=True))
        return {name: value for name, value in graph.constants.items() if isinstance(value, jax.Array)}

    known = graph.constants | jax.device_get(jax.jit(build)(traced.consts))
    constants = [numpy_helper.from_array(np.asarray(value), name) for name, value in known.items()]
    model = helper.make_model(
        helper.make_graph(graph.nodes, function.name, given, made, constants),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR,
        producer_name="jvae",
        doc_string=function.says,
    )
    helper.set_model_props(model, dict(about))
    onnx.checker.check_model(model, full_check=True)
    return model


def _about(bundle: Bundle) -> dict[str, str]:
    model, vectors = bundle.model, bundle.vectors
    about = {"run": bundle.name, "step": str(model.step), "data": bundle.source, "crop": model.crop or "unknown"}
    if vectors is not None:
        about |= {"attributes": json.dumps(vectors.names), "kind": str(vectors.kind)}
    return about | {"jax": versions()["jax"]}


def session(graph: Path | bytes) -> Any:
    """Onnxruntime with a graph, a file or its bytes, on the CPU."""
    import onnxruntime  # pyright: ignore[reportMissingImports]

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def differences(graph: Any, function: Function, inputs: Sequence[np.ndarray]) -> list[float]:
    """How far each output of a graph lies from what jvae gives for the same inputs, at most.

    Args:
      graph: `session`.
      function: whose graph it is.
      inputs: float32.

    Returns:
      The largest difference of each, in units of its largest value, or of 1 where that is less.
    """
    with jax.default_matmul_precision("highest"):
        wanted = jax.device_get(jax.jit(function.call)(*inputs))
    found = graph.run(list(function.outputs), dict(zip(function.inputs, inputs, strict=True)))
    off = [np.where(one == other, 0, np.abs(one - other)) for one, other in zip(wanted, found, strict=True)]
    sizes = [np.abs(one, where=np.isfinite(one), out=np.zeros_like(one)).max(initial=1) for one in wanted]
    return [float(each.max() / size) for each, size in zip(off, sizes, strict=True)]


def samples(bundle: Bundle, count: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Something to give to the functions, by the names of their inputs: latents of the prior, and their images."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(count, bundle.model.latent_dim)).astype(np.float32)
    found = {"z": z, "image": bundle.model.decode(z).astype(np.float32) / 255}
    if bundle.vectors is not None:
        found["factors"] = rng.uniform(-1, 1, len(bundle.vectors)).astype(np.float32)
    return found


def _checked(path: Path, function: Function, bundle: Bundle, half: bool) -> str:
    """A line on a graph. Raises `InputError` where its values lie further than `WITHIN` from the model's."""
    given = samples(bundle, CHECKED)
    worst = max(differences(session(path), function, [given[name] for name in function.inputs]))
    if not worst <= WITHIN:
        way = "export with --weights float32" if half else "use --format stablehlo, and report this as a bug"
        raise InputError(
            f"the ONNX graph of the {function.name} is off by {worst:.2g}, and {WITHIN:g} is the most: {way}"
        )
    return f"{path.stat().st_size / 1e6:.2f} MB, within {worst:.1g} of jvae"
