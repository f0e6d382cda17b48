"""Latents and factors of several attributes in; latents moved along all of them, and what attributes they show, out."""

import contextlib
from collections.abc import Mapping, Sequence

import numpy as np
from scipy.special import expit

from jvae.errors import InputError
from jvae.latent.attribute import AttributeVector, Unit, shift_together
from jvae.latent.trajectories import apply_vector
from jvae.latent.vectors import AttributeVectors


def move(z: np.ndarray, known: AttributeVectors, factors: Mapping[str, float], unit: Unit = "unit") -> np.ndarray:
    """Latents moved along one attribute after the other, each by its factor; each leaves alone what `known` keeps.

    With probabilities, they are moved along all at once, to where each is as asked.

    Args:
      z: latents [n,d] float32.
      known: the vectors; see `AttributeVectors.moving`.
      factors: attribute -> multiple of its vector; 0 leaves a latent as it is, and needs no vector.
      unit: what a factor multiplies; see `AttributeVector.shift`.

    Returns:
      [n,d] float32.

    Raises:
      InputError: an attribute without a vector, or see `apply_vector` and `shift_together`.
    """
    if unit == "probability" and factors:
        return move_to(z, [known.moving(name) for name in factors], [[*factors.values()]])[:, 0]
    for name, factor in factors.items():
        if factor:
            z = apply_vector(z, known.moving(name), [factor], unit)[:, 0]
    return z


def move_to(
    z: np.ndarray, vectors: Sequence[AttributeVector], probabilities: Sequence[Sequence[float]] | np.ndarray
) -> np.ndarray:
    """Latents [n,d] moved to probabilities [f,k] of k attributes at once: [n,f,d] float32, see `shift_together`."""
    return (z[:, None] + shift_together(z, vectors, probabilities)).astype(np.float32)


def chances(z: np.ndarray, known: AttributeVectors) -> dict[str, float]:
    """The probability of every attribute that a latent [d] shows it, by the logit of its own vector.

    An attribute whose vector `known` lacks, or along whose vector the probability does not change, is left out.
    """
    found = {}
    for name in known.attribute_names:
        with contextlib.suppress(InputError):
            vector = known.moving(name)
            logit = vector.slope * float(vector.unit @ z) + vector.intercept
            if np.isfinite(logit):
                found[name] = float(expit(logit))
    return found
