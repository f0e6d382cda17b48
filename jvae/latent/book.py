"""The book's way to an attribute vector: running means over shuffled batches until they stand still.

Generative Deep Learning (Foster, 1st edition), chapter 3, "Latent Space Arithmetic".
"""

import itertools
from collections.abc import Callable, Iterator
from typing import NamedTuple

import jax
import numpy as np

from jvae.errors import InputError
from jvae.io.arrays import row_numbers
from jvae.latent.encoding import Encodes, Latent, check_finite, encode_step, start, stream
from jvae.latent.statistics import Statistics, totals
from jvae.latent.vectors import one_sided
from jvae.runtime.hashing import random_key
from jvae.runtime.mesh import put, replicated

HEADER = "n : POS move : NEG move : distance : Δ distance"


class Movement(NamedTuple):
    """How things stand after a batch."""

    n: int  # rows with the attribute so far
    positive_move: float  # how far the mean of those went, in the last batch that had any; NaN when none has yet
    negative_move: float  # likewise of those without
    distance: float  # between the two means
    change: float  # of the distance, since the batch before

    def __str__(self) -> str:
        """The row as the book prints it, under `HEADER`."""
        return f"{self.n} : " + " : ".join(f"{x:.3f}" for x in self[1:])


class BookEstimate(NamedTuple):
    """What the procedure saw until it stopped."""

    stats: Statistics  # of the rows seen, for one attribute; a row seen in two epochs counts twice
    rows: list[Movement]
    settled: bool  # the means stood still; False: it stopped at the limit


def book_statistics(
    model: Encodes,
    images: np.ndarray,
    has: np.ndarray,
    indices: np.ndarray,
    *,
    label: str,
    batch_size: int = 500,
    tolerance: float = 0.08,
    limit: int = 10_000,
    latent: Latent = "mean",
    seed: int = 0,
    mesh: jax.sharding.Mesh | None = None,
    report: Callable[[str], None] | None = None,
) -> BookEstimate:
    """Runs the procedure for one attribute. Its vector is that of the returned statistics, at unit length.

    Both means start at zero. After each batch the moves of the two means are taken; below `tolerance` together, or
    with `limit` rows that have the attribute, it stops. A batch without anybody on one side leaves that side's move as
    it was, since it says nothing about it; nor does it stop before both sides have been seen. Data that run out are
    shuffled again.

    Args:
      model: its `encode_fn`, `variables` and `latent_dim` are used.
      images: [n,h,w,3] uint8, as a rule a memory map.
      has: [n] bool, the attribute.
      indices: [m] int rows to take, or a mask.
      label: the attribute's name, for messages.
      batch_size: rows a batch; the last of an epoch may be short.
      tolerance: stop below it, in latent units.
      limit: stop at so many rows with the attribute.
      latent: "mean", or "sample" as the book's encoder gives.
      seed: of order and draws.
      mesh: the devices; None takes the model's.
      report: called with `HEADER` and then each row as text.

    Raises:
      InputError: nobody or everybody has the attribute, `batch_size` is not positive, or a latent is not finite.
    """
    if batch_size < 1:
        raise InputError(f"batch_size={batch_size} must be at least 1")
    indices = row_numbers(indices, len(images))
    if reason := one_sided(len(indices), int(has[indices].sum())):
        raise InputError(f"no vector for {label}: {reason}")
    mesh = model.mesh if mesh is None else mesh
    size = min(batch_size, len(indices))
    per_epoch = -(-len(indices) // size)

    def groups() -> Iterator[np.ndarray]:
        for epoch in itertools.count():
            order = np.random.default_rng([seed, epoch]).permutation(indices)
            for i in range(0, len(order), size):
                yield np.sort(order[i : i + size])  # a batch has no order of its own, and sorted reads faster

    report = report or (lambda line: None)
    report(HEADER)
    key = put(random_key(seed), replicated(mesh))
    stats, first_bad = start(1, model.latent_dim, mesh)
    means = [np.zeros(model.latent_dim), np.zeros(model.latent_dim)]
    counts, moves, distance = [0, 0], [np.nan, np.nan], 0.0
    rows: list[Movement] = []
    batches = stream(images, has[:, None], groups(), size, mesh)
    try:
        for number, batch in enumerate(batches):
            epoch_key = jax.random.fold_in(key, number // per_epoch)
            stats, first_bad = encode_step(
                stats, first_bad, model.variables, batch, epoch_key, encode_fn=model.encode_fn, latent=latent, mesh=mesh
            )
            found = totals(stats)
            n_with, positive = int(found.counts[0]), found.attr_z[0]
            for side, (count, sums) in enumerate([(n_with, positive), (found.n - n_with, found.z - positive)]):
                if count > counts[side]:
                    mean = sums / count
                    moves[side] = float(np.linalg.norm(mean - means[side]))
                    counts[side], means[side] = count, mean
            before, distance = distance, float(np.linalg.norm(means[0] - means[1]))
            rows.append(Movement(counts[0], moves[0], moves[1], distance, distance - before))
            report(str(rows[-1]))
            check_finite(stats, first_bad)
            settled = moves[0] + moves[1] < tolerance
            if settled or (counts[0] >= limit and counts[1] > 0):
                return BookEstimate(stats, rows, settled)
    finally:
        batches.close()  # pyright: ignore[reportAttributeAccessIssue]
    raise AssertionError("the batches never end")
