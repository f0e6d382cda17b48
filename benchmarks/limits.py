"""What the device could do: operations and bytes of a compiled function over rates measured on the same device."""

import functools
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from benchmarks.timing import by_platform, device, measure
from jvae.errors import InputError


class Limits(NamedTuple):
    """What this device was measured to do: operations a second by dtype, and bytes a second, read or written."""

    matmul_float32: float
    matmul_bfloat16: float
    copy_bytes: float

    def matmul(self, dtype: str) -> float:
        """Operations a second in `dtype`, "float32" or "bfloat16"."""
        return self.matmul_float32 if dtype == "float32" else self.matmul_bfloat16


@functools.cache
def limits(quick: bool = False, smallest: bool = False) -> Limits:
    """Measures the limits of the device: products of large matrices, and an array changed in place.

    float32 products are at JAX's default precision, as the model's are (TensorFloat-32 on a GPU that has it).

    Args:
      quick: fewer rounds.
      smallest: arrays so small that the figures mean nothing, to try out what asks for them.
    """
    rounds = 3 if quick else 7

    def least(function: Callable[[jax.Array], jax.Array], x: jax.Array) -> float:
        compiled = jax.jit(function, donate_argnums=0)  # in place: a new buffer's first touch takes longer than a copy

        def run() -> None:
            nonlocal x
            x = compiled(x).block_until_ready()

        return measure(run, rounds=rounds).least

    def rate(dtype: str) -> float:
        n = 64 if smallest else by_platform(1024, 8192)
        x = jnp.full((n, n), 1 / n, dtype)  # its own square, so the numbers stay what they are
        return 4 * 2 * n**3 / least(lambda x: x @ x @ x @ x @ x, x)

    x = jnp.ones(2**16 if smallest else by_platform(2**25, 2**30), jnp.float32)  # far more than any cache
    return Limits(rate("float32"), rate("bfloat16"), 2 * x.nbytes / least(lambda x: x + 1, x))


def cost(compiled: Any) -> tuple[float, float]:
    """Operations and bytes of a compiled function. A loop's body counts once, however often it runs."""
    found = compiled.cost_analysis()
    if isinstance(found, list | tuple):  # one for each program, in older versions
        found = found[0]
    return float(found.get("flops", 0.0)), float(found.get("bytes accessed", 0.0))


def written_flops(lowered: Any) -> float:
    """Operations of `jax.jit(f).lower(…)`, as it is written; a loop's body counts once.

    A GPU's convolutions and products end up as calls of libraries, of which the count of a compiled program knows
    nothing. 0, and a line, where the backend does not count.
    """
    try:
        return float((lowered.cost_analysis() or {}).get("flops", 0.0))
    except (NotImplementedError, RuntimeError) as error:  # a limit by traffic alone is better than no figure
        print(f"operations are not counted: {error}".splitlines()[0], file=sys.stderr)
        return 0.0


def limit_seconds(compiled: Any, limits: Limits, dtype: str, *, least_flops: float = 0.0) -> float:
    """The least time one run of a compiled function could take on this device.

    Args:
      compiled: `jax.jit(f).lower(…).compile()`.
      limits: of the device.
      dtype: of the matrix work, "float32" or "bfloat16".
      least_flops: operations counted by hand; a library call that the analysis does not see into counts for none there.

    Returns:
      Seconds: operations over their rate, or bytes over theirs, whichever takes longer.
    """
    flops, moved = cost(compiled)
    return max(max(flops, least_flops) / limits.matmul(dtype), moved / limits.copy_bytes)


def check_dtype(dtype: str) -> None:
    """Raises `InputError` where the device has no matrix products in `dtype`."""
    try:
        jnp.dot(jnp.ones((8, 8), dtype), jnp.ones((8, 8), dtype)).block_until_ready()
    except Exception as error:
        raise InputError(f"{dtype} is not supported on {device()}: {str(error).splitlines()[0]}") from error
