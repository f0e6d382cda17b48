"""What is exported in; a folder of StableHLO programs for the CPU, CUDA and TPU, out."""

import importlib.util
from pathlib import Path

import jax
import numpy as np
from jax import export

from jvae.errors import InputError
from jvae.export.bundle import Bundle
from jvae.export.functions import functions

PLATFORMS = ("cpu", "cuda", "tpu")


def write_stablehlo(folder: Path, bundle: Bundle) -> list[str]:
    """Writes NAME.stablehlo for each function into a folder: one program for any batch and every platform.

    Returns:
      A line on each.

    Raises:
      InputError: the extra export is not installed.
    """
    if not importlib.util.find_spec("flatbuffers"):
        raise InputError("StableHLO needs the package flatbuffers, which is not installed: pip install 'jvae[export]'")
    lines = []
    for function in functions(bundle):
        (batch,) = export.symbolic_shape("b", constraints=["b >= 1"])
        shapes = [tuple(batch if d is None else d for d in shape) for shape in function.inputs.values()]
        program = export.export(jax.jit(function.call), platforms=PLATFORMS)(
            *(jax.ShapeDtypeStruct(shape, np.float32) for shape in shapes)
        )
        path = folder / f"{function.name}.stablehlo"
        path.write_bytes(program.serialize())
        lines.append(f"{path.name}: {path.stat().st_size / 1e6:.2f} MB, for {', '.join(PLATFORMS)}")
    return lines
