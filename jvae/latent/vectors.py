"""Statistics in; attribute vectors, with their scales and errors, out. Float64 on the host, closed form."""

import dataclasses
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from jvae.errors import InputError, unknown
from jvae.io.arrays import read_npz
from jvae.io.fields import build, read_object
from jvae.io.files import replacing
from jvae.latent.attribute import AttributeVector, scales
from jvae.latent.kinds import JOINT, Kind, as_kind, directions
from jvae.latent.statistics import Statistics, Totals, add_totals, totals

if TYPE_CHECKING:
    import pandas as pd

FORMAT = "jvae attribute vectors 3"
LEARNED = "learned"  # in the file


@dataclasses.dataclass(frozen=True)
class Origin:
    """Where vectors come from: which latents, of which rows, by which model."""

    latent: str = "mean"  # "mean" or "sample"
    split: str = ""
    stop: str = "none"  # "none": all rows; "book": the book's early stop
    run: str = ""  # name of the run's directory
    step: int = -1  # of its checkpoint
    digest: str = ""  # of its parameters, see `jvae.trained.TrainedModel.digest`
    store: str = ""  # name of the store's directory
    mirror: bool = False  # whether every row counts by half mirrored


class Learned(NamedTuple):
    """Vectors that were trained through a decoder, see `jvae.training.learned`.

    Attributes:
      vectors: [a,d] float64, NaN where there is none.
      judges: digests of the judges that they were trained by, which cannot score them.
    """

    vectors: np.ndarray
    judges: tuple[str, ...]


class AttributeVectors:
    """All the attribute vectors of one pass, by name: `vectors["Eyeglasses"]`.

    Attributes:
      totals: sums from which the vectors follow.
      attribute_names: names of all attributes, in the columns' order, those without a vector included.
      columns: names of all columns: the attributes, and the joint ones ("Male&Young") that were counted with them.
      origin: model, store and split that the sums come from.
      kind: kind of the vectors.
      learned: those of the kind "learned"; None where none were.
      missing: attribute -> why it has no vector.
      notes: attribute -> what its vector leaves out.
    """

    def __init__(
        self,
        sums: Totals | Sequence[Totals],
        columns: Sequence[str],
        origin: Origin | None = None,
        kind: Kind | str | None = None,
        learned: Learned | None = None,
    ):
        """Computes the vectors of every attribute for which there are rows with it and rows without it.

        Args:
          sums: sums of all rows, or of each of two halves.
          columns: names of the columns, attributes first, then joint ones.
          origin: model, store and split that the sums come from.
          kind: kind of the vectors, or its name; None is "difference".
          learned: those of the kind "learned", where there are some.

        Raises:
          InputError: the names or the learned vectors do not fit, or see `jvae.latent.kinds.directions`.
        """
        self.parts = (sums,) if isinstance(sums, Totals) else tuple(sums)
        self.totals = add_totals(self.parts)
        self.columns = tuple(columns)
        self.attribute_names = tuple(name for name in self.columns if JOINT not in name)
        self.origin, self.kind, self.learned = origin or Origin(), as_kind(kind), learned
        self._of_kind: dict[Kind, AttributeVectors] = {}
        if len(self.columns) != len(self.totals.counts):
            raise InputError(f"{len(self.columns)} attribute names for {len(self.totals.counts)} columns")
        if not self.attribute_names:
            raise InputError("there are no attributes, so there are no vectors: pack the data with labels")
        for i, name in enumerate(self.columns):
            parts = name.split(JOINT)
            if len(parts) > 1 and (i < len(self.attribute_names) or not set(parts) <= set(self.attribute_names)):
                raise InputError(f"the column {name} is of no attributes before it: rename it, and pack again")
        shape = (len(self.attribute_names), len(self.totals.z))
        if learned is not None and learned.vectors.shape != shape:
            raise InputError(f"learned vectors must be {list(shape)}, not {list(learned.vectors.shape)}")
        own = None if learned is None else learned.vectors
        found = directions(self.kind, self.totals, self.columns, len(self.attribute_names), own)
        self.missing: dict[str, str] = {}
        self._vectors: dict[str, AttributeVector] = {}
        halves = self._halves()
        along = scales(self.totals, found.vectors)
        for i, name in enumerate(self.attribute_names):
            if reason := self._why_none(i, found.vectors[i]):
                self.missing[name] = reason
                continue
            n_with = int(self.totals.counts[i])
            vector, error, sides = found.vectors[i], found.errors[i], (n_with, self.totals.n - n_with)
            self._vectors[name] = AttributeVector(
                name, vector, *sides, error, *along[i], float(halves[i]), self.origin.digest
            )
        self.notes = {self.attribute_names[i]: note for i, note in found.notes.items()}

    @classmethod
    def from_statistics(
        cls,
        stats: Statistics | Sequence[Statistics],
        columns: Sequence[str],
        origin: Origin | None = None,
        kind: Kind | str | None = None,
    ) -> "AttributeVectors":
        """The vectors of `stats`, or of both halves of them, brought to the host."""
        parts = (stats,) if isinstance(stats, Statistics) else stats
        return cls([totals(part) for part in parts], columns, origin, kind)

    def of_kind(self, kind: Kind | str) -> "AttributeVectors":
        """The vectors of another kind, of the same sums; found once."""
        if (kind := as_kind(kind)) not in self._of_kind:
            self._of_kind[kind] = AttributeVectors(self.parts, self.columns, self.origin, kind, self.learned)
        return self._of_kind[kind]

    def with_learned(self, learned: Learned | None) -> "AttributeVectors":
        """These, with such of the kind "learned"."""
        return AttributeVectors(self.parts, self.columns, self.origin, self.kind, learned)

    def moving(self, name: str) -> AttributeVector:
        """The vector of `name` that leaves alone what the kind keeps, but for `name` itself, which it is to move.

        Raises:
          InputError: there is none, see `__getitem__`.
        """
        kept = tuple(each for each in self.kind.keep if each != name)
        if kept == self.kind.keep:
            return self[name]
        plain = not kept and self.kind.name == "conditional"
        kind = Kind() if plain else dataclasses.replace(self.kind, keep=kept)
        return self.of_kind(kind)[name]

    @property
    def names(self) -> tuple[str, ...]:
        """The attributes that have a vector."""
        return tuple(self._vectors)

    def __getitem__(self, name: str) -> AttributeVector:
        """The vector of `name`.

        Raises:
          InputError: there is none, with the reason or the nearest names, and those there are.
        """
        there_are = ", ".join(self.names) or "none"
        if not isinstance(name, str):
            raise InputError(f"attribute vectors are found by name, not by {name!r}: there are {there_are}")
        if name in self._vectors:
            return self._vectors[name]
        if name in self.missing:
            raise InputError(f"no vector for {name}: {self.missing[name]}; there are: {there_are}")
        raise unknown("attribute", name, self.names)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """The vectors [v,d] float64, in the order of `names`."""
        if copy is False:
            raise ValueError("attribute vectors become an array only by a copy")
        return np.array([v.vector for v in self._vectors.values()], dtype).reshape(-1, len(self.totals.z))

    def __contains__(self, name: object) -> bool:
        """Whether `name` has a vector."""
        return name in self._vectors

    def __iter__(self) -> Iterator[str]:
        """Over `names`."""
        return iter(self._vectors)

    def __len__(self) -> int:
        """The number of vectors."""
        return len(self._vectors)

    def table(self) -> "pd.DataFrame":
        """One row a vector, the clearest first.

        Columns: rows with and without it; length; error (norm of the standard error); signal (length / error); spread
        (standard deviation of the data along it); separation (distance of the classes along it, in standard deviations
        within a class), and best, the separation of the "lda" vector, which no other exceeds by more than its
        shrinkage; split half (cosine between the vectors of two halves).
        """
        lda = self if self.kind == Kind("lda") else self.of_kind(Kind("lda"))
        rows = {
            v.name: {
                "with": v.n_with,
                "without": v.n_without,
                "length": v.length,
                "error": v.error,
                "signal": v.length / v.error if v.error else np.nan,
                "spread": v.spread,
                "separation": v.separation,
                "best": lda[v.name].separation if v.name in lda else np.nan,
                "split half": v.split_half,
            }
            for v in self._vectors.values()
        }
        import pandas as pd  # here, since all that loads a model comes by, and its import takes half a second

        table = pd.DataFrame.from_dict(rows, orient="index").rename_axis("attribute")
        return table.sort_values("signal", ascending=False) if rows else table

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes an .npz without pickles, whole or not at all.

        It holds the sums of each part, from which `load` computes everything anew, in any kind, and for other readers
        `vector_names` [v] and `vectors` [v,d].

        Raises:
          OSError: it cannot be written; what was there is as it was.
        """
        arrays: dict[str, Any] = {
            name: np.stack([getattr(part, name) for part in self.parts]) for name in Totals._fields
        }
        if self.learned is not None:
            arrays |= {LEARNED: self.learned.vectors, f"{LEARNED}_judges": np.array(self.learned.judges, np.str_)}
        with replacing(path) as part, open(part, "wb") as file:
            np.savez(
                file,
                format=np.array(FORMAT),
                origin=np.array(json.dumps(dataclasses.asdict(self.origin))),
                kind=np.array(json.dumps(dataclasses.asdict(self.kind))),
                columns=np.array(self.columns, dtype=np.str_),
                vector_names=np.array(self.names, dtype=np.str_),
                vectors=np.asarray(self),
                **arrays,  # pyright: ignore[reportArgumentType]
            )

    @classmethod
    def load(cls, path: str | os.PathLike[str], kind: Kind | str | None = None) -> "AttributeVectors":
        """Reads what `save` wrote.

        Args:
          path: file to read.
          kind: kind of the vectors, or its name; None is the kind that they were saved as.

        Raises:
          InputError: there is no such file, or it is damaged or not of this kind.
        """
        try:
            npz = read_npz(path)
        except FileNotFoundError as error:
            raise InputError(f"there are no attribute vectors at {path}: `jvae vectors` estimates them") from error
        if lacking := {"format", "origin", "kind", "columns", *Totals._fields} - npz.keys():
            raise InputError(f"{path} is damaged or holds no attribute vectors: it has no {min(lacking)}")
        if str(npz["format"]) != FORMAT:
            raise InputError(
                f"{path} is of format {str(npz['format'])!r} and this jvae reads {FORMAT!r}, which says of what "
                "checkpoint the vectors are: estimate them anew with `jvae vectors`"
            )
        origin = build(Origin, read_object(str(npz["origin"]), f"origin in {path}"), f"origin in {path}")
        saved = build(Kind, read_object(str(npz["kind"]), f"kind in {path}"), f"kind in {path}")
        columns = tuple(np.atleast_1d(npz["columns"]).astype(str).ravel().tolist())
        _check_sums(npz, columns, str(path))
        n, *arrays = (npz[name] for name in Totals._fields)
        parts = [Totals(int(n[k]), *(value[k] for value in arrays)) for k in range(len(n))]
        learned = None
        if LEARNED in npz:
            judges = npz.get(f"{LEARNED}_judges", np.array([], np.str_))
            learned = Learned(npz[LEARNED].astype(np.float64), tuple(np.atleast_1d(judges).astype(str).tolist()))
        return cls(parts, columns, origin, saved if kind is None else kind, learned)

    def _why_none(self, i: int, vector: np.ndarray) -> str | None:
        """Why column `i` has no vector; None when it has."""
        if reason := one_sided(self.totals.n, int(self.totals.counts[i])):
            return reason
        if not np.isfinite(vector).all():
            if self.kind.name == "learned":
                return "none was learned, as no other kind has one or the judges do not tell it"
            if self.kind.balance:
                return f"in no group by {' and '.join(self.kind.balance)} do some have it and some not"
            return "the latents do not vary"
        if not np.linalg.norm(vector):
            if self.kind.keep:
                return f"nothing is left of it when {' and '.join(self.kind.keep)} must not change"
            return "the images with it and those without it have the same mean latent"
        return None

    def _halves(self) -> np.ndarray:
        """[a], cosines between the vectors of the two halves; NaN where a half has none, or there are not two."""
        nowhere = np.full(len(self.attribute_names), np.nan)
        if len(self.parts) != 2 or not all(part.n for part in self.parts) or self.kind.name == "learned":
            return nowhere
        try:
            found = [directions(self.kind, part, self.columns, len(self.attribute_names)) for part in self.parts]
        except InputError:  # of a half alone: nothing to keep
            return nowhere
        first, second = (half.vectors for half in found)
        with np.errstate(invalid="ignore", divide="ignore"):
            return (first * second).sum(1) / np.linalg.norm(first, axis=1) / np.linalg.norm(second, axis=1)


def _check_sums(npz: Mapping[str, np.ndarray], columns: Sequence[str], path: str) -> None:
    """Raises InputError unless the arrays are sums over p parts for these columns: of their shapes, and possible."""
    p, a, d = npz["n"].size, len(columns), npz["z"].shape[-1] if npz["z"].ndim else 0
    shapes = [(p,), (p, a), (p, a, a), (p, d), (p, d, d), (p, a, d), (p, a, d), (p, a, a, d)]
    for field, shape in zip(Totals._fields, shapes, strict=True):
        value = npz[field]
        if value.shape != shape or value.dtype.kind not in ("i" if field in ("n", "counts", "pairs") else "f"):
            raise InputError(f"{path} is damaged: {field} is {value.dtype} {list(value.shape)}, not {list(shape)}")
        if not np.isfinite(value).all():
            raise InputError(f"{path} is damaged: {field} is not finite")
    if not p or not d or not columns or len(set(columns)) < a:
        raise InputError(f"{path} is damaged: {p} parts, {a} columns, {d} dimensions")
    n, counts, pairs = npz["n"][:, None], npz["counts"], npz["pairs"]
    most = np.minimum(counts[:, :, None], counts[:, None])
    if (
        (n < 0).any()
        or not n.any()
        or (counts < 0).any()
        or (counts > n).any()
        or (pairs < 0).any()
        or (pairs > most).any()
    ):
        raise InputError(f"{path} is damaged: more rows have an attribute, or two, than there are")


def one_sided(n: int, n_with: int) -> str | None:
    """Why an attribute that `n_with` of `n` images have gives no vector; None when there are images on both sides."""
    if n_with == 0:
        return f"none of the {n:,} images has it"
    return f"all of the {n:,} images have it" if n_with == n else None
