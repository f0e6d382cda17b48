"""Sums of latents in; the directions of all attributes, in several closed forms, out. Float64 on the host."""

import dataclasses
import itertools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from jvae.errors import InputError, unknown
from jvae.latent.regression import regression, still
from jvae.latent.statistics import Totals

JOINT = "&"  # between the names of a column that stands for several attributes at once
BALANCE_MOST = 5  # attributes at once
NAMED = 5  # attributes in a line
SHRINKAGE = 0.05
NOTHING_LEFT = 1e-6  # of a vector's length, after what it shares with others is taken from it


@dataclasses.dataclass(frozen=True)
class Kind:
    """How an attribute's direction is found.

    Attributes:
      name: one of `KINDS`.
        "difference" is the mean latent with the attribute minus the mean without (the book's). "balanced" averages that
        difference over the groups that the attributes `balance` make. "regression" is each attribute's own effect
        with all others held fixed (least squares of the latents on all labels), but for those whose labels determine
        its own. "lda" separates best those with it from
        those without, under the covariance they share (Fisher 1936). "conditional" is "difference" with `keep`.
        "learned" was trained through the decoder, see `jvae.training.learned`.
      balance: attributes by which "balanced" groups the rows.
      keep: attributes along whose directions nothing shall change: what a vector shares with them is projected out of
        it (Shen et al. 2020, "Interpreting the Latent Space of GANs", section 3.3, for any number); of "regression",
        what moves their readouts, see `jvae.latent.regression.still`.
    """

    name: str = "difference"
    balance: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for field in ("balance", "keep"):
            names = getattr(self, field)
            object.__setattr__(self, field, (names,) if isinstance(names, str) else tuple(names))
        if self.name not in KINDS:
            raise unknown("kind", self.name, KINDS)
        if (self.name == "balanced") != bool(self.balance):
            raise InputError('attributes to balance and the kind "balanced" go together: give both or neither')
        if self.name == "conditional" and not self.keep:
            raise InputError('the kind "conditional" needs attributes to keep; any other kind may have some')

    def __str__(self) -> str:
        """For titles: "regression, keeping Male and Young"."""
        balanced = f" over {' and '.join(self.balance)}" if self.balance else ""
        return self.name + balanced + (f", keeping {' and '.join(self.keep)}" if self.keep else "")


def as_kind(kind: Kind | str | None) -> Kind:
    """A kind as it is, or of this name; None is "difference". Raises `InputError` where there is none of this name."""
    return kind if isinstance(kind, Kind) else Kind() if kind is None else Kind(str(kind))


def find_kind(name: str | None, balance: Sequence[str] = (), keep: Sequence[str] = ()) -> Kind | None:
    """The kind that a command's flags name; None when they name none, which leaves it to the file of the vectors."""
    if name is None and not balance and not keep:
        return None
    return Kind(name or ("balanced" if balance else "conditional"), tuple(balance), tuple(keep))


class Directions(NamedTuple):
    """The vectors of a attributes in d dimensions, NaN where there is none.

    Attributes:
      vectors: [a,d], at their raw length.
      errors: [a,d], their standard errors.
      notes: attribute's column -> what was left out.
      bound: [a,a] bool, the others that determine an attribute's label, and it theirs; None where that is no matter.
    """

    vectors: np.ndarray
    errors: np.ndarray
    notes: dict[int, str]
    bound: np.ndarray | None = None


class Classes(NamedTuple):
    """Those with an attribute (index 0) and those without it (1): a side without rows has NaN."""

    n: np.ndarray  # [2,a]
    mean: np.ndarray  # [2,a,d]
    variance: np.ndarray  # [2,a,d] unbiased, per dimension; NaN for one row

    @property
    def difference(self) -> np.ndarray:
        """[a,d], mean with minus mean without."""
        return self.mean[0] - self.mean[1]


def classes(sums: Totals) -> Classes:
    """Counts, means and variances of the two classes of every column."""
    n = np.stack([sums.counts, sums.n - sums.counts]).astype(np.float64)
    z = np.stack([sums.attr_z, sums.z - sums.attr_z])
    squares = np.stack([sums.attr_zz, np.diagonal(sums.zz) - sums.attr_zz])
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = z / n[..., None]
        variance = np.maximum(squares - n[..., None] * mean**2, 0) / (n[..., None] - 1)
    variance[n < 2] = np.nan
    return Classes(n, mean, variance)


def scatter(sums: Totals) -> np.ndarray:
    """[d,d], the sum of (z - mean)(z - mean)ᵀ over all rows."""
    return sums.zz - np.outer(sums.z, sums.z) / sums.n


def with_joint(names: Sequence[str], attrs: np.ndarray, balance: Sequence[str]) -> tuple[tuple[str, ...], np.ndarray]:
    """Columns [n,a'] for statistics from which "balanced" over several attributes follows, and their names.

    Args:
      names: of the attributes.
      attrs: [n,a] bool, their labels.
      balance: attributes; every combination of two or more of them becomes a column, which those have that have all.

    Raises:
      InputError: an unknown attribute, or more than BALANCE_MOST of them; or none, or one of a joint column's name.
    """
    if not names:
        raise InputError("the data has no attributes, so there are no vectors: pack it with labels")
    if joint := next((name for name in names if JOINT in name), None):  # of a store that an older jvae packed
        raise InputError(f"attribute {joint!r} holds {JOINT}, which joins two attributes: rename it, and pack again")
    if len(balance) > BALANCE_MOST:
        raise InputError(f"{len(balance)} attributes make {2 ** len(balance):,} groups: balance {BALANCE_MOST} at most")
    for name in balance:
        if name not in names:
            raise unknown("attribute", name, names)
    sets = [c for k in range(2, len(balance) + 1) for c in itertools.combinations(sorted(set(balance)), k)]
    joint = [attrs[:, [names.index(name) for name in c]].all(1) for c in sets]
    return (*names, *map(JOINT.join, sets)), np.stack([*attrs.T, *joint], axis=1) if joint else attrs


def directions(
    kind: Kind, sums: Totals, columns: Sequence[str], a: int, learned: np.ndarray | None = None
) -> Directions:
    """The directions of the first `a` columns.

    Args:
      kind: how they are found.
      sums: over all columns.
      columns: their names: attributes, then joint ones ("Male&Young").
      a: how many are attributes.
      learned: [a,d], those of the kind "learned", NaN where there is none.

    Raises:
      InputError: an attribute of `kind` is unknown, has no direction to keep, or was not counted jointly; or the kind
        is "learned", and none were.
    """
    for name in (*kind.balance, *kind.keep):
        if name not in columns[:a]:
            raise unknown("attribute", name, columns[:a])
    if kind.name == "balanced":
        found = _balanced(sums, columns, a, kind.balance)
    elif kind.name == "learned":
        if learned is None:
            raise InputError("no vectors were learned: `jvae vectors --kind learned --judges JUDGE …` trains them")
        found = Directions(learned, np.full_like(learned, np.nan), {})
    else:
        found = FUNCTIONS[kind.name](sums, a)
    if found.bound is not None:
        for i in np.flatnonzero(found.bound.any(1)).tolist():
            found.notes[i] = _inseparable([columns[j] for j in np.flatnonzero(found.bound[i]).tolist()])
    return _keeping(found, sums, kind, columns) if kind.keep else found


def _inseparable(others: Sequence[str]) -> str:
    listed = [*others[:NAMED], *([f"{len(others) - NAMED} others"] if len(others) > NAMED else [])]
    return (
        f"inseparable from {', '.join(listed)}, as their labels determine one another: "
        "its vector is the direction that they share"
    )


def _difference(sums: Totals, a: int) -> Directions:
    both = classes(_first(sums, a))
    return Directions(both.difference, np.sqrt((both.variance / both.n[..., None]).sum(0)), {})


def _balanced(sums: Totals, columns: Sequence[str], a: int, balance: tuple[str, ...]) -> Directions:
    """The differences within the groups, each weighted by n₁n₀/(n₁+n₀), as is best where the groups agree.

    Standard errors take each class's variance for that of its part in a group, which is no larger as a rule.
    """
    both = classes(_first(sums, a))
    vectors, squares = np.full_like(both.difference, np.nan), np.full_like(both.difference, np.nan)
    notes: dict[int, str] = {}
    for i in range(a):
        others = sorted(set(balance) - {columns[i]})
        n_with, z_with = _cells(sums, columns, others, i)
        n_all, z_all = _cells(sums, columns, others, None)
        n_without, z_without = n_all - n_with, z_all - z_with
        there = (n_with > 0) & (n_without > 0)
        if empty := int((~there & (n_all > 0)).sum()):
            notes[i] = f"{empty} of {int((n_all > 0).sum())} groups have it on one side only and are left out"
        if not there.any():
            continue
        weights = np.where(there, n_with * n_without / np.maximum(n_all, 1), 0)
        weights /= weights.sum()
        n_with, n_without, z_with, z_without = (v[there] for v in (n_with, n_without, z_with, z_without))
        differences = z_with / n_with[:, None] - z_without / n_without[:, None]
        vectors[i] = weights[there] @ differences
        shares = [(weights[there] ** 2 / n).sum() for n in (n_with, n_without)]
        squares[i] = shares @ both.variance[:, i]
    return Directions(vectors, np.sqrt(squares), notes)


def _cells(sums: Totals, columns: Sequence[str], groups: list[str], i: int | None) -> tuple[np.ndarray, np.ndarray]:
    """Counts [2^k] and latent sums [2^k,d] of the groups by k attributes, among the rows with attribute i (or all).

    From sums over the rows that have all of a subset of the attributes, those over the rows that have exactly it follow
    by taking away, attribute by attribute, the rows that have it from those that may.
    """
    k = len(groups)
    n, z = np.zeros([2] * k), np.zeros([2] * k + [len(sums.z)])
    for has in itertools.product((0, 1), repeat=k):
        subset = [name for name, there in zip(groups, has, strict=True) if there]
        if not subset:
            n[has], z[has] = (sums.n, sums.z) if i is None else (sums.counts[i], sums.attr_z[i])
            continue
        if (name := JOINT.join(subset)) not in columns:
            raise InputError(
                f"{' and '.join(subset)} were not counted together: "
                f"estimate the vectors with --balance {' '.join(groups)}"
            )
        j = columns.index(name)
        n[has], z[has] = (sums.counts[j], sums.attr_z[j]) if i is None else (sums.pairs[i, j], sums.pair_z[i, j])
    for axis in range(k):
        for cells in (n, z):
            without, with_it = (np.take(cells, side, axis) for side in (0, 1))
            np.moveaxis(cells, axis, 0)[0] = without - with_it
    return n.reshape(-1), z.reshape(-1, len(sums.z))


def _regression(sums: Totals, a: int) -> Directions:
    sums = _first(sums, a)
    vectors, errors, bound = regression(sums, np.diagonal(scatter(sums)))
    return Directions(vectors, errors, {}, bound)


def _lda(sums: Totals, a: int) -> Directions:
    """S⁻¹(m₁ − m₀) with S = (1 − s)·W + s·tr(W)/d·I, at the length that leads from mean to mean along it.

    W is the pooled within-class covariance and s is SHRINKAGE. The standard errors take S as known (delta method). W
    is the scatter of all rows less a rank-one term of the attribute's own, so in the eigenbasis of that scatter S is
    diagonal less rank one, and one eigendecomposition serves all attributes.
    """
    both = classes(_first(sums, a))
    n, d = sums.n, len(sums.z)
    vectors, errors = np.full((a, d), np.nan), np.full((a, d), np.nan)
    used = np.flatnonzero((both.n > 0).all(0) & (n > 2))
    values, basis = np.linalg.eigh(scatter(sums))
    values = np.maximum(values, 0) / (n - 2 if n > 2 else 1)
    between = (both.n.prod(0) / n / max(n - 2, 1))[used, None]  # [a',1]: W is diag(values) - between·δδᵀ
    delta = both.difference[used] @ basis  # [a',d], as are all below
    trace = values.sum() - between * (delta**2).sum(1, keepdims=True)
    used = used[(positive := trace[:, 0] > 1e-12 * values.sum())]
    delta, between, trace = delta[positive], between[positive], trace[positive]
    diagonal = (1 - SHRINKAGE) * values + SHRINKAGE * trace / d  # S is diag(diagonal) - rank·δδᵀ
    rank = (1 - SHRINKAGE) * between

    def dot(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return (x * y).sum(1, keepdims=True)

    u = delta / diagonal
    grow = 1 / (1 - rank * dot(delta, u))  # Sherman and Morrison (1950): S⁻¹ is diag(1/diagonal) + grow·rank·uuᵀ
    w = grow * u
    length = dot(w, w)
    there = length[:, 0] > 0
    length = np.where(length > 0, length, 1)
    scale = dot(w, delta) / length
    gradient = 2 * (w - scale * (w / diagonal + grow * rank * dot(u, w) * u)) / length  # of `scale`, by δ
    # The vector's derivative by δ is diag(m) + u·hᵀ.
    m, h = scale / diagonal, scale * grow * rank * u + grow * gradient
    spread = values * h - between * dot(delta, h) * delta  # W·h
    back = basis.T
    squares = (m**2 * values) @ back**2 - between * ((m * delta) @ back) ** 2
    squares += 2 * (u @ back) * ((m * spread) @ back) + dot(h, spread) * (u @ back) ** 2
    squares *= (1 / both.n[:, used]).sum(0)[:, None]
    vectors[used] = np.where(there[:, None], (scale * w) @ back, 0)
    errors[used] = np.sqrt(np.maximum(squares, 0))
    return Directions(vectors, errors, {})


def _keeping(found: Directions, sums: Totals, kind: Kind, columns: Sequence[str]) -> Directions:
    """`found` without what its vectors share with those of the attributes that `kind` keeps.

    From vectors of "regression", which are cleared of the other labels but not of what goes with them in the latents,
    it takes what moves the kept readouts, see `jvae.latent.regression.still`. On CelebA, keeping Male and Young, their
    judgements so turned over on 8 % of the faces where half had the attribute, and on 14 % by an orthogonal projection,
    with as many hits. Other kinds had as many hits by it or fewer, and are projected orthogonally.
    """
    kept, own = [columns.index(name) for name in kind.keep], found.vectors
    if kind.name == "regression":
        own = _lda(sums, len(own)).vectors
    for j in kept:
        if not np.isfinite([found.vectors[j], own[j]]).all():
            raise InputError(f"{columns[j]} has no vector, so there is nothing to keep")
    if kind.name == "regression":
        leaves = still(own[kept], _difference(sums, len(own)).vectors[kept])  # [d,d]
        vectors = found.vectors @ leaves.T
        left, whole = (np.abs((own * each).sum(1)) for each in (vectors, found.vectors))
    else:
        basis, weights, _ = np.linalg.svd(own[kept].T, full_matrices=False)  # [d,k]
        basis = basis[:, weights > NOTHING_LEFT * weights[0]]
        leaves = np.eye(len(basis)) - basis @ basis.T
        vectors = found.vectors @ leaves
        left, whole = (np.linalg.norm(each, axis=1) for each in (vectors, found.vectors))
    vectors[left <= NOTHING_LEFT * whole] = 0
    return Directions(vectors, np.sqrt(found.errors**2 @ leaves.T**2), found.notes)


def _first(sums: Totals, a: int) -> Totals:
    """The sums of the first `a` columns."""
    return Totals(
        sums.n,
        sums.counts[:a],
        sums.pairs[:a, :a],
        sums.z,
        sums.zz,
        sums.attr_z[:a],
        sums.attr_zz[:a],
        sums.pair_z[:a, :a],
    )


# Kind -> function of the sums and of a, the number of attributes; to add a kind, write its function above, and its line
# here. Only "balanced" and "learned", which need more, are called by name.
FUNCTIONS: dict[str, Callable[[Totals, int], Directions]] = {
    "difference": _difference,
    "regression": _regression,
    "lda": _lda,
    "conditional": _difference,
}
KINDS = (*FUNCTIONS, "balanced", "learned")
