"""Statistics in; attribute vectors, with their scales and errors, out. Float64 on the host, closed form."""

import dataclasses
import json
import os
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Literal, get_args

import numpy as np
import pandas as pd

from jvae.errors import InputError, unknown
from jvae.files import replacing
from jvae.latent.statistics import Statistics, Totals, totals

Unit = Literal["unit", "raw", "sd"]
UNITS: tuple[str, ...] = get_args(Unit)
FORMAT = "jvae attribute vectors 1"


@dataclasses.dataclass(frozen=True, eq=False)
class AttributeVector:
    """The direction from faces without an attribute to faces with it.

    Attributes:
      name: of the attribute.
      vector: [d] float64, mean latent with, minus mean latent without.
      n_with: rows that have the attribute.
      n_without: rows that do not.
      standard_error: [d] float64, sqrt(var_with / n_with + var_without / n_without) per dimension, variances
        unbiased; NaN when a side has one row only.
      spread: standard deviation of all rows along `unit`.
    """

    name: str
    vector: np.ndarray
    n_with: int
    n_without: int
    standard_error: np.ndarray
    spread: float

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
          unit: "unit" is length 1 (the book's), "raw" the vector itself (from the mean face without to the mean face
            with), "sd" one standard deviation of the data along it.

        Returns:
          [d] float64.

        Raises:
          InputError: another unit.
        """
        if unit not in UNITS:
            raise unknown("unit", unit, UNITS)
        return {"unit": self.unit, "raw": self.vector, "sd": self.unit * self.spread}[unit]


@dataclasses.dataclass(frozen=True)
class Origin:
    """Where vectors come from: which latents, of which rows, by which model."""

    latent: str = "mean"  # "mean" or "sample"
    split: str = ""
    stop: str = "none"  # "none": all rows; "book": the book's early stop
    run: str = ""  # name of the run's directory
    step: int = -1  # of its checkpoint
    store: str = ""  # name of the store's directory


class AttributeVectors:
    """All the attribute vectors of one pass, by name: `vectors["Eyeglasses"]`.

    Attributes:
      totals: the sums they come from.
      attribute_names: all attributes, in the columns' order, those without a vector included.
      origin: where the sums come from.
      missing: attribute -> why it has no vector.
    """

    def __init__(self, sums: Totals, attribute_names: Sequence[str], origin: Origin | None = None):
        """Computes the vectors of every attribute for which there are rows with it and rows without it."""
        self.totals = sums
        self.attribute_names = tuple(attribute_names)
        self.origin = origin or Origin()
        self.missing: dict[str, str] = {}
        self._vectors: dict[str, AttributeVector] = {}
        if len(self.attribute_names) != len(sums.counts):
            raise InputError(f"{len(self.attribute_names)} attribute names for {len(sums.counts)} columns")
        for i, name in enumerate(self.attribute_names):
            found = _difference(name, i, sums)
            if isinstance(found, str):
                self.missing[name] = found
            else:
                self._vectors[name] = found

    @classmethod
    def from_statistics(
        cls, stats: Statistics, attribute_names: Sequence[str], origin: Origin | None = None
    ) -> "AttributeVectors":
        """The vectors of `stats`, brought to the host."""
        return cls(totals(stats), attribute_names, origin)

    @property
    def names(self) -> tuple[str, ...]:
        """The attributes that have a vector."""
        return tuple(self._vectors)

    def __getitem__(self, name: str) -> AttributeVector:
        """The vector of `name`.

        Raises:
          InputError: there is none, with the reason or the nearest names, and those there are.
        """
        if name in self._vectors:
            return self._vectors[name]
        if name in self.missing:
            there_are = ", ".join(self.names) or "none"
            raise InputError(f"no vector for {name}: {self.missing[name]}; there are: {there_are}")
        raise unknown("attribute", name, self.names)

    def __contains__(self, name: object) -> bool:
        """Whether `name` has a vector."""
        return name in self._vectors

    def __iter__(self) -> Iterator[str]:
        """Over `names`."""
        return iter(self._vectors)

    def __len__(self) -> int:
        """The number of vectors."""
        return len(self._vectors)

    def table(self) -> pd.DataFrame:
        """One row a vector, the clearest first.

        Columns: rows with and without it; length; error (norm of the standard error); signal (length / error); spread
        (standard deviation of the data along it); effect (length / spread: the two means' distance in such deviations).
        """
        rows = [
            (v.name, v.n_with, v.n_without, v.length, v.error, v.length / v.error if v.error else np.nan, v.spread)
            for v in self._vectors.values()
        ]
        columns = ["attribute", "with", "without", "length", "error", "signal", "spread"]
        table = pd.DataFrame(rows, columns=columns).set_index("attribute")  # pyright: ignore[reportArgumentType]
        table["effect"] = table["length"] / table["spread"]
        return table.sort_values("signal", ascending=False)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes an .npz without pickles, whole or not at all.

        It holds the sums, from which `load` computes everything anew, and for other readers `vector_names` [v] and
        `vectors` [v,d].

        Raises:
          OSError: it cannot be written; what was there is as it was.
        """
        d = len(self.totals.z)
        arrays = {name: np.asarray(value) for name, value in self.totals._asdict().items()}
        vectors = np.array([v.vector for v in self._vectors.values()]).reshape(-1, d)
        with replacing(path) as part, open(part, "wb") as file:
            np.savez(
                file,
                format=np.array(FORMAT),
                origin=np.array(json.dumps(dataclasses.asdict(self.origin))),
                attribute_names=np.array(self.attribute_names, dtype=np.str_),
                vector_names=np.array(self.names, dtype=np.str_),
                vectors=vectors,
                **arrays,  # pyright: ignore[reportArgumentType]
            )

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "AttributeVectors":
        """Reads what `save` wrote.

        Raises:
          InputError: there is no such file, or it is damaged or not of this kind.
        """
        try:
            with open(path, "rb") as file, np.load(file, allow_pickle=False) as npz:
                if str(npz["format"]) != FORMAT:
                    raise InputError(f"{path} is of format {str(npz['format'])!r}, not {FORMAT!r}: estimate it again")
                sums = Totals(int(npz["n"]), *(npz[name] for name in Totals._fields[1:]))
                origin = Origin(**json.loads(str(npz["origin"])))
                names = tuple(str(name) for name in npz["attribute_names"])
        except InputError:
            raise
        except FileNotFoundError as error:
            raise InputError(f"there are no attribute vectors at {path}: experiments/attribute_vectors.py") from error
        except (ValueError, KeyError, TypeError, AttributeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            raise InputError(f"{path} is damaged or holds no attribute vectors: {error}") from error
        a, d = len(names), len(sums.z)
        expected = Totals(0, *map(np.empty, [(a,), (a, a), (d,), (d, d), (a, d), (a, d)]))
        for field, value, like in zip(Totals._fields[1:], sums[1:], expected[1:], strict=True):
            if value.shape != like.shape:
                raise InputError(f"{path} is damaged: {field} has shape {value.shape}, not {like.shape}")
        return cls(sums, names, origin)


def one_sided(n: int, n_with: int) -> str | None:
    """Why an attribute that `n_with` of `n` images have gives no vector; None when there are images on both sides."""
    if n_with == 0:
        return f"none of the {n:,} images has it"
    return f"all of the {n:,} images have it" if n_with == n else None


def _difference(name: str, i: int, sums: Totals) -> AttributeVector | str:
    """The vector of column `i`, or why there is none."""
    n, n_with = sums.n, int(sums.counts[i])
    n_without = n - n_with
    if reason := one_sided(n, n_with):
        return reason
    mean_with = sums.attr_z[i] / n_with
    mean_without = (sums.z - sums.attr_z[i]) / n_without
    vector = mean_with - mean_without
    if not (length := np.linalg.norm(vector)):
        return "the images with it and those without it have the same mean latent"
    squares_without = np.diagonal(sums.zz) - sums.attr_zz[i]
    errors = _variance(sums.attr_zz[i], mean_with, n_with) / n_with
    errors = errors + _variance(squares_without, mean_without, n_without) / n_without
    unit = vector / length
    spread = np.sqrt(_variance(unit @ sums.zz @ unit, unit @ sums.z / n, n))
    return AttributeVector(name, vector, n_with, n_without, np.sqrt(errors), float(spread))


def _variance(squares: np.ndarray, mean: np.ndarray, n: int) -> np.ndarray:
    """Unbiased variance from a sum of squares; NaN for one row. Rounding may take a tiny one below zero."""
    if n == 1:
        return np.full_like(squares, np.nan)
    return np.maximum(squares - n * mean**2, 0) / (n - 1)
