"""Latents and factors of several attributes in; latents moved along all of them, and what attributes they show, out."""

import contextlib
from collections.abc import Mapping

import numpy as np
from scipy.special import expit

from jvae.errors import InputError
from jvae.latent.attribute import Unit
from jvae.latent.trajectories import apply_vector
from jvae.latent.vectors import AttributeVectors


def move(z: np.ndarray, known: AttributeVectors, factors: Mapping[str, float], unit: Unit = "unit") -> np.ndarray:
    """Latents moved along one attribute after the other, each by its factor; each leaves alone what `known` keeps.

    Args:
      z: latents [n,d] float32.
      known: the vectors; see `AttributeVectors.moving`.
      factors: attribute -> multiple of its vector; 0 leaves a latent as it is, and needs no vector.
      unit: what a factor multiplies; see `AttributeVector.shift`.

    Returns:
      [n,d] float32.

    Raises:
      InputError: an attribute without a vector, or see `apply_vector`.
    """
    for name, factor in factors.items():
        if factor or unit == "probability":
            z = apply_vector(z, known.moving(name), [factor], unit)[:, 0]
    return z


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
