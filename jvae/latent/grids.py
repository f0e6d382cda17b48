"""Latents in; grids of latents out: between four faces, of an analogy, around a face. As latents or as pictures."""

from collections.abc import Sequence

import numpy as np

from jvae.errors import InputError
from jvae.latent.attribute import AttributeVector, Unit, check_factors, check_same_weights, shift_together
from jvae.latent.trajectories import Decodes, Trajectory, decoded, morph


def between_four(
    corners: np.ndarray, rows: int = 8, columns: int = 8, trajectory: Trajectory = "lerp", model: Decodes | None = None
) -> np.ndarray:
    """What lies between four latents: the `morph`s of the left and the right edge, and in each row that between them.

    Its edges are morphs of their corners. On a bent trajectory the inside depends on rows being filled, not columns.

    Args:
      corners: latents [4,d] or [2,2,d] float32: top left, top right, bottom left, bottom right.
      rows: number of rows, at least 2.
      columns: number of columns, at least 2.
      trajectory: shape of the ways, "lerp", "slerp" or "gaussian".
      model: model that decodes the points, all at once; None gives latents.

    Returns:
      [rows,columns,d] float32, the corners bit for bit; with a model uint8 [rows,columns,h,w,3].

    Raises:
      InputError: fewer rows or columns, an unknown trajectory, or corners of another shape.
    """
    corners = np.asarray(corners, np.float32)
    if corners.shape[:-1] not in ((4,), (2, 2)):
        raise InputError(f"corners must be latents [4,d] or [2,2,d], not {corners.shape}")
    if rows < 2 or columns < 2:
        raise InputError(f"rows={rows} and columns={columns} must be at least 2: the edges are among them")
    (top, bottom) = corners.reshape(2, 2, -1)
    left, right = morph(top, bottom, rows, trajectory)
    return decoded(morph(left, right, columns, trajectory), model)


def analogy(
    a: np.ndarray,
    b: np.ndarray,
    c: np.ndarray,
    steps: int = 10,
    trajectory: Trajectory = "lerp",
    model: Decodes | None = None,
    even: Decodes | None = None,
) -> np.ndarray:
    """What is to c as b is to a: the way from c to c + (b - a).

    Args:
      a: latent [d] float32.
      b: latent [d], what a becomes.
      c: latent [d], to which the same is done.
      steps: number of points, both ends included.
      trajectory: shape of the way, "lerp", "slerp" or "gaussian".
      model: model that decodes the points, all at once; None gives latents.
      even: model by whose pictures the points are spaced, see `morph`.

    Returns:
      [steps,d] float32, the first bit for bit `c`, the last the answer; with a model uint8 [steps,h,w,3].

    Raises:
      InputError: fewer than 2 steps, an unknown trajectory, or latents that are not of one shape [d].
    """
    return morph(c, _fourth(a, b, c), steps, trajectory, model, even)


def j_diagram(
    a: np.ndarray,
    b: np.ndarray,
    c: np.ndarray,
    rows: int = 8,
    columns: int = 8,
    trajectory: Trajectory = "lerp",
    model: Decodes | None = None,
) -> np.ndarray:
    """The grid of an analogy (White, Sampling Generative Networks, 2016): a and b over c and c + (b - a).

    The first three corners are given, the fourth is inferred, the rest lies between them.

    Args:
      a: latent [d] float32, top left.
      b: latent [d], top right: what a becomes.
      c: latent [d], bottom left, to which the same is done.
      rows: number of rows, at least 2.
      columns: number of columns, at least 2.
      trajectory: shape of the ways, "lerp", "slerp" (White's) or "gaussian".
      model: model that decodes the points, all at once; None gives latents.

    Returns:
      [rows,columns,d] float32, the corners bit for bit; with a model uint8 [rows,columns,h,w,3].

    Raises:
      InputError: fewer rows or columns, an unknown trajectory, or latents that are not of one shape [d].
    """
    return between_four(np.stack([a, b, c, _fourth(a, b, c)]), rows, columns, trajectory, model)


def neighbourhood(
    z: np.ndarray,
    vector_x: AttributeVector,
    vector_y: AttributeVector,
    factors_x: Sequence[float] | np.ndarray,
    factors_y: Sequence[float] | np.ndarray,
    unit: Unit = "unit",
    model: Decodes | None = None,
) -> np.ndarray:
    """A latent shifted along two attributes at once: z + vector_x.shift(z, x) + vector_y.shift(z, y).

    With probabilities, to where both are as asked: see `jvae.latent.attribute.shift_together`.

    Args:
      z: latent [d] float32.
      vector_x: vector of the attribute that changes along a row.
      vector_y: vector of the attribute that changes down a column.
      factors_x: [columns], multiples of vector_x to add, from left to right.
      factors_y: [rows], multiples of vector_y to add, from top to bottom.
      unit: what a factor multiplies; see `AttributeVector.step` and `shift`.
      model: model that decodes the points, all at once; None gives latents.

    Returns:
      [rows,columns,d] float32, `z` bit for bit where both factors are 0; with a model uint8 [rows,columns,h,w,3].

    Raises:
      InputError: shapes that do not fit, no or not finite factors, an unknown unit, a model of other weights than a
        vector's, or probabilities along vectors that point the same way.
    """
    z, d_x, d_y = np.asarray(z, np.float32), len(vector_x.vector), len(vector_y.vector)
    if d_x != d_y:
        raise InputError(f"{vector_x.name} has {d_x} latents and {vector_y.name} {d_y}: take vectors of one run")
    if z.shape != (d_x,):
        raise InputError(f"z must be a latent [{d_x}], not {z.shape}")
    for vector in (vector_x, vector_y):
        check_same_weights(vector, model)
    if unit == "probability":
        x, y = np.meshgrid(check_factors(factors_x), check_factors(factors_y))  # [rows,columns]
        wanted = np.stack([x.ravel(), y.ravel()], axis=-1)
        shift = shift_together(z[None], [vector_x, vector_y], wanted).reshape(*x.shape, d_x)
    else:
        down, right = vector_y.shift(z[None], factors_y, unit)[0], vector_x.shift(z[None], factors_x, unit)[0]
        shift = down[:, None] + right[None]  # [rows,columns,d]
    return decoded(np.where(shift == 0, z, z + shift).astype(np.float32), model)  # -0.0 + 0 would lose its sign


def _fourth(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> np.ndarray:
    """[d] float32, c + (b - a)."""
    a, b, c = (np.asarray(x, np.float64) for x in (a, b, c))
    if a.ndim != 1 or not a.shape == b.shape == c.shape:
        raise InputError(f"a, b and c must be latents of one shape [d], not {a.shape}, {b.shape} and {c.shape}")
    return (c + (b - a)).astype(np.float32)
