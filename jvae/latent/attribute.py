"""A direction in; steps and shifts of latents along it, in any unit, out."""

import dataclasses
import warnings
from collections.abc import Sequence
from functools import cached_property
from typing import Any, Literal, get_args

import numpy as np

from jvae.errors import InputError, InputWarning, unknown
from jvae.latent.kinds import classes, scatter
from jvae.latent.statistics import Totals

Unit = Literal["unit", "raw", "sd", "probability"]
UNITS: tuple[str, ...] = get_args(Unit)
UNIT_NAMES = {"unit": "unit lengths", "raw": "raw vectors", "sd": "standard deviations", "probability": "probabilities"}
ALIKE = 1e-3  # singular value of unit vectors, up to which float32 latents tell them too badly apart
BEYOND = 6.0  # standard deviations: one of 500 million draws from a normal distribution lies as far out


@dataclasses.dataclass(frozen=True, eq=False)
class AttributeVector:
    """The direction from faces without an attribute to faces with it.

    Attributes:
      name: name of the attribute.
      vector: [d] float64, of the length that its kind gives it; a "difference" is mean latent with, minus mean without.
      n_with: number of rows that have the attribute.
      n_without: number of rows that do not.
      standard_error: [d] float64, standard error of `vector` in each dimension; NaN when a side has one row only.
      spread: standard deviation of all rows along `unit`.
      mean: mean of all rows along `unit`.
      separation: distance between the two classes along `unit`, in standard deviations within a class (d′).
      slope: slope, along `unit`, of the logit of the attribute's probability. It and `intercept` are those of two
        normal classes of one variance, with the rows' shares for priors.
      intercept: value of that logit at 0 along `unit`.
      split_half: cosine between the vectors of two halves of the rows; NaN without halves.
      digest: of the weights that the latents came from, see `jvae.trained.TrainedModel.digest`; "" where not known.
    """

    name: str
    vector: np.ndarray
    n_with: int
    n_without: int
    standard_error: np.ndarray
    spread: float
    mean: float = np.nan
    separation: float = np.nan
    slope: float = np.nan
    intercept: float = np.nan
    split_half: float = np.nan
    digest: str = ""

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """`vector` [d], so that NumPy takes the attribute vector for it."""
        return np.array(self.vector, dtype, copy=copy)

    @cached_property
    def length(self) -> float:
        """The norm of `vector`."""
        return float(np.linalg.norm(self.vector))

    @cached_property
    def unit(self) -> np.ndarray:
        """[d], `vector` at length 1."""
        return self.vector / self.length

    @cached_property
    def error(self) -> float:
        """The norm of `standard_error`: about how long a vector of pure noise would be."""
        return float(np.linalg.norm(self.standard_error))

    def step(self, unit: Unit = "unit") -> np.ndarray:
        """What a factor of 1 adds to a latent.

        Args:
          unit: "unit" for length 1 (the book's), "raw" for the vector itself (a difference leads from the mean face
            without to the mean face with), "sd" for one standard deviation of the data along it.

        Returns:
          [d] float64.

        Raises:
          InputError: another unit; "probability" too, which names where to go and not a step: see `shift`.
        """
        if unit not in UNITS:
            raise unknown("unit", unit, UNITS)
        if unit == "probability":
            raise InputError('unit="probability" says where to go, not how far, so it has no step: use unit, raw or sd')
        return {"unit": self.unit, "raw": self.vector, "sd": self.unit * self.spread}[unit]

    def shift(self, z: np.ndarray, factors: Sequence[float] | np.ndarray, unit: Unit = "unit") -> np.ndarray:
        """What each factor adds to each latent.

        Args:
          z: latents [n,d].
          factors: [f], multiples of the step; with "probability", probabilities of the attribute to go to, each
            between 0 and 1.
          unit: unit of `step`, or "probability": along the vector to where the latents with the attribute are that
            share of all, wherever the latent starts from.

        Returns:
          [n,f,d] float64.

        Raises:
          InputError: no or not finite factors, probabilities that are none, an unknown unit.
        """
        z, factors = np.asarray(z, np.float64), check_factors(factors)
        if unit != "probability":
            return np.broadcast_to(factors[None, :, None] * self.step(unit), (len(z), len(factors), z.shape[1]))
        return shift_together(z, [self], factors[:, None])

    def places(self, probabilities: np.ndarray) -> np.ndarray:
        """Where along `unit` the latents with the attribute are these shares of all: [f] float64 -> [f].

        Raises:
          InputError: probabilities that are none, or along the vector the probability does not change.
        """
        if not ((probabilities > 0) & (probabilities < 1)).all():
            raise InputError(f"factors {probabilities} must lie between 0 and 1, both excluded: they are probabilities")
        if not abs(self.slope) > 0:
            raise InputError(f"along the vector of {self.name} its probability does not change: use another unit")
        return (np.log(probabilities / (1 - probabilities)) - self.intercept) / self.slope

    def deviations(self, z: np.ndarray) -> np.ndarray:
        """How far latents [...,d] are from the mean of the data along the vector, in its standard deviations: [...]."""
        return np.abs(z @ self.unit - self.mean) / self.spread


def shift_together(
    z: np.ndarray, vectors: Sequence[AttributeVector], probabilities: Sequence[Sequence[float]] | np.ndarray
) -> np.ndarray:
    """What brings each latent to a probability of every one of k attributes at once, by the shortest way there.

    Shifts one after the other would not: each changes what the vectors before it read, unless they are orthogonal.

    Args:
      z: latents [n,d].
      vectors: k vectors.
      probabilities: [f,k], where to go: a probability of each attribute.

    Returns:
      [n,f,d] float64.

    Raises:
      InputError: probabilities that are none, or vectors that point (nearly) the same way, or of which one follows from
        the others.
    """
    wanted = np.stack([check_factors(each) for each in np.transpose(probabilities)])  # [k,f]
    there = np.stack([vector.places(each) for vector, each in zip(vectors, wanted, strict=True)], axis=-1)  # [f,k]
    units = np.stack([vector.unit for vector in vectors])  # [k,d]
    if np.linalg.matrix_rank(units, tol=ALIKE) < len(units):
        raise InputError(
            f"the vectors of {' and '.join(vector.name for vector in vectors)} do not point different ways, so their "
            "probabilities cannot be chosen apart: leave one out, or use another unit"
        )
    return (there[None] - (np.asarray(z, np.float64) @ units.T)[:, None]) @ np.linalg.pinv(units).T


def check_factors(factors: Sequence[float] | np.ndarray) -> np.ndarray:
    """Factors as [f] float64; raises InputError unless they are one or more finite numbers."""
    found = np.asarray(factors, np.float64)
    if found.ndim != 1 or not len(found) or not np.isfinite(found).all():
        raise InputError(f"factors must be one or more finite numbers, not {factors}")
    return found


def check_same_weights(vector: AttributeVector, model: Any) -> None:
    """Raises InputError where a vector and the model that is to decode its edits are known to be of other weights."""
    if vector.digest and getattr(model, "digest", vector.digest) != vector.digest:
        raise InputError(
            f"the vector of {vector.name} was estimated with other weights than the model's, whose latents mean other "
            "things: take the vectors of the model's own run, or estimate them with `jvae vectors`"
        )


def factor_names(factors: Sequence[float] | np.ndarray, unit: Unit) -> list[str]:
    """What a picture calls factors: "+2", "0", or "99.5%" where they are probabilities."""
    form = "{:.6g}%" if unit == "probability" else "{:+g}"
    return [form.format(100 * f if unit == "probability" else f) if f else "0" for f in factors]


def warn_beyond(vector: AttributeVector, z: np.ndarray) -> None:
    """Warns when latents [...,d] lie farther out along a vector than the decoder can have seen in training."""
    if (most := float(np.max(vector.deviations(z)))) > BEYOND:
        warnings.warn(
            f"the edits go to {most:.1f} standard deviations from the mean along {vector.name}, where the decoder was "
            f"never trained (beyond {BEYOND:g}): smaller factors are safer",
            InputWarning,
            stacklevel=2,
        )


def scales(sums: Totals, vectors: np.ndarray) -> list[tuple[float, float, float, float, float]]:
    """Spread, mean, separation, slope and intercept along each of the vectors [a,d]; NaN where there is no vector."""
    both, total, n = classes(sums), scatter(sums), sums.n
    found = []
    with np.errstate(invalid="ignore", divide="ignore"):
        for i, vector in enumerate(vectors):
            u = vector / np.linalg.norm(vector)
            around = max(float(u @ total @ u), 0.0) if np.isfinite(u).all() else np.nan
            centre, ends = float(u @ sums.z / n), both.mean[:, i] @ u
            distance = ends[0] - ends[1]
            within = max(around - both.n[:, i].prod() / n * distance**2, 0.0) / (n - 2) if n > 2 else np.nan
            slope = distance / within if within > 0 else np.nan
            prior = np.log(both.n[0, i] / both.n[1, i])
            found.append(
                (
                    float(np.sqrt(around / (n - 1))) if n > 1 else np.nan,
                    centre,
                    float(distance / np.sqrt(within)) if within > 0 else np.nan,
                    float(slope),
                    float(prior - slope * ends.mean()),
                )
            )
    return found
