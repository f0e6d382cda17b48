import itertools

import jax
import numpy as np
import pytest

from jvae.errors import InputError
from jvae.latent.book import HEADER, book_statistics
from jvae.latent.vectors import AttributeVectors
from jvae.runtime.mesh import make_mesh
from tests.test_statistics import LinearModel

N = 2300


def faces(share=0.1, seed=0, n=N):
    rng = np.random.default_rng(seed)
    has = rng.random(n) < share
    images = rng.integers(0, 200, (n, 4, 4, 3), dtype=np.uint8)
    images[has, :2] += 55
    return images, has


def batches(indices, size, seed):
    """Shuffled anew each epoch, the last of an epoch short."""
    for epoch in itertools.count():
        order = np.random.default_rng([seed, epoch]).permutation(indices)
        yield from (order[i : i + size] for i in range(0, len(order), size))


def by_definition(z, has, indices, size=500, tolerance=0.08, limit=10_000, seed=0):
    """The procedure word by word, in float64, for data with both sides in every batch."""
    sums, counts, means = np.zeros((2, z.shape[1])), [0, 0], np.zeros((2, z.shape[1]))
    distance, rows = 0.0, []
    for batch in batches(indices, size, seed):
        moves = []
        for side, members in enumerate((z[batch][has[batch]], z[batch][~has[batch]])):
            sums[side] += members.sum(0)
            counts[side] += len(members)
            moves.append(np.linalg.norm(sums[side] / counts[side] - means[side]))
            means[side] = sums[side] / counts[side]
        vector = means[0] - means[1]
        rows.append((counts[0], *moves, np.linalg.norm(vector), np.linalg.norm(vector) - distance))
        distance = np.linalg.norm(vector)
        if sum(moves) < tolerance or counts[0] >= limit:
            return rows, vector / distance, sum(moves) < tolerance
    raise AssertionError


def latents(model, images):
    return images.reshape(len(images), -1) / 255.0 @ model.variables["weights"].astype(np.float64)


def unit(outcome):
    return AttributeVectors.from_statistics(outcome.stats, ["Eyeglasses"])["Eyeglasses"].unit


@pytest.mark.parametrize("devices", [1, 2])
def test_row_by_row(devices, traced_once):
    images, has = faces()
    model = LinearModel(mesh=make_mesh(jax.devices()[:devices]), wrap=traced_once)
    indices = np.arange(N)[50:]
    expected, vector, settled = by_definition(latents(model, images), has, indices, seed=3)
    lines = []
    found = book_statistics(model, images, has, indices, label="Eyeglasses", seed=3, report=lines.append)
    assert len(found.rows) == len(expected) > 2
    np.testing.assert_allclose(found.rows, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(unit(found), vector, atol=1e-5)
    assert found.settled and settled
    assert lines[0] == HEADER == "n : POS move : NEG move : distance : Δ distance"
    n, *rest = expected[-1]
    assert lines[-1] == f"{n} : " + " : ".join(f"{x:.3f}" for x in rest)
    assert found.rows[-1].positive_move + found.rows[-1].negative_move < 0.08
    assert all(row.positive_move + row.negative_move >= 0.08 for row in found.rows[:-1])


def test_over_several_epochs_to_the_limit():
    images, has = faces()
    model = LinearModel()
    indices = np.arange(N)
    args = {"tolerance": 0.0, "limit": 700}  # of about 230 a pass
    expected, vector, settled = by_definition(latents(model, images), has, indices, **args)
    found = book_statistics(model, images, has, indices, label="Eyeglasses", **args)
    np.testing.assert_allclose(found.rows, expected, rtol=1e-4, atol=1e-5)
    assert len(found.rows) > 2 * 5 and found.rows[-1].n >= 700 > found.rows[-2].n
    assert not settled and not found.settled
    np.testing.assert_allclose(np.linalg.norm(unit(found)), 1)  # at the limit too
    np.testing.assert_allclose(unit(found), vector, atol=1e-5)


def test_batches_with_nobody_on_one_side():
    images, _ = faces()
    has = np.zeros(N, bool)
    has[[17, 400]] = True
    model = LinearModel()
    found = book_statistics(model, images, has, np.arange(N), label="Bald", batch_size=10, tolerance=1e-2, limit=6)
    first = next(i for i, row in enumerate(found.rows) if row.n)
    assert first > 0
    assert all(np.isnan(row.positive_move) for row in found.rows[:first])  # it did not stop before having seen anyone
    z = latents(model, images)
    seen = np.concatenate(list(itertools.islice(batches(np.arange(N), 10, 0), len(found.rows))))
    vector = z[seen][has[seen]].mean(0) - z[seen][~has[seen]].mean(0)
    np.testing.assert_allclose(unit(found), vector / np.linalg.norm(vector), atol=1e-5)
    # A batch without anybody keeps the move that was.
    kept = [(a, b) for a, b in itertools.pairwise(found.rows[first:]) if a.n == b.n]
    assert kept and all(a.positive_move == b.positive_move for a, b in kept)


def test_nobody_or_everybody():
    images, has = faces()
    model = LinearModel()
    with pytest.raises(InputError, match="no vector for Bald: none of the 2,300 images has it"):
        book_statistics(model, images, np.zeros(N, bool), np.arange(N), label="Bald")
    with pytest.raises(InputError, match=r"no vector for Young: all of the \d+ images have it"):
        book_statistics(model, images, has, np.flatnonzero(has), label="Young")


@pytest.mark.parametrize("size", [0, -5])
def test_batches_hold_an_image_at_least(size):
    images, has = faces(n=20)
    with pytest.raises(InputError, match=f"batch_size={size} must be at least 1"):
        book_statistics(LinearModel(), images, has, np.arange(20), label="Bald", batch_size=size, limit=1)


def test_sampled_latents_differ_between_epochs():
    images, has = faces(n=400)
    model = LinearModel()
    args = {"label": "Eyeglasses", "tolerance": 0.0, "limit": 2 * int(has.sum()), "latent": "sample"}
    found = book_statistics(model, images, has, np.arange(400), **args)
    assert len(found.rows) == 2
    assert found.rows[1].positive_move > 1e-3  # the same rows again, other draws
    again = book_statistics(model, images, has, np.arange(400), **args)
    assert again.rows == found.rows
