"""The comparison of recipes: its arithmetic, and its parts on a small store. No speed is asserted."""

import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks import bench_recipe
from benchmarks.bench_recipe import BOOK, OURS, TORCH, Point
from benchmarks.edits import FACTORS, Edits, edit, fit_judge, judged, thumbnails
from jvae.config import preset
from jvae.data.packed import pack
from jvae.data.synthetic import RenderedFaces
from jvae.evaluate.reconstruction import BOOK_FACTOR

CURVE = [Point(1, 10.0, 0.03, 0.0), Point(2, 20.0, 0.02, 0.0), Point(3, 30.0, 0.01, 50.0)]  # 300, 200, 150


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("recipe") / "store"
    return pack(RenderedFaces(600), folder, size=32, crop="center", progress=False)


def test_objective_is_the_books():
    assert [p.objective for p in CURVE] == pytest.approx([300, 200, 150])
    assert BOOK_FACTOR == preset("book").r_loss_factor


def test_times_and_objectives_lie_on_lines_between_points():
    assert bench_recipe.seconds_to(CURVE, 250) == pytest.approx(15)
    assert bench_recipe.seconds_to(CURVE, 150) == pytest.approx(30)
    assert bench_recipe.seconds_to(CURVE, 400) == 10
    assert bench_recipe.seconds_to(CURVE, 149) is None
    assert bench_recipe.objective_at(CURVE, 25) == pytest.approx(175)


def test_runs_are_scored_evenly_and_at_the_ends_of_the_books_epochs():
    assert bench_recipe.moments(total=1000, per_epoch=50, count=4) == [250, 300, 500, 750, 1000]
    assert bench_recipe.moments(total=100, per_epoch=50, count=1) == [100]


def test_rows_compare_with_every_peer():
    ours = [Point(p.epoch, p.seconds / 4, p.error, p.kl) for p in CURVE]
    slow = [p._replace(epoch=2 * p.epoch) for p in CURVE]  # ends after 6 epochs
    aucs = {OURS: {"Smiling": 0.8, "Male": 0.9}, BOOK: {"Smiling": 0.7, "Male": 0.9}}
    landed = np.repeat(FACTORS[None] >= 2, 2, axis=0).astype(float)
    edits = {OURS: Edits(landed, 0.1 * landed), BOOK: Edits(landed, 0.2 * landed)}
    rows = bench_recipe.rows_of({BOOK: slow, OURS: ours}, aucs, edits, epochs=6)
    first = rows[0]
    assert (first.ours, first.peer, first.ratio) == pytest.approx((7.5, 30, 4))
    assert [r.peer for r in rows if r.peer_name == TORCH] == [None] * 2
    assert [r.ratio for r in rows[-2:]] == pytest.approx([0.85 / 0.8, 2])


def test_a_curve_is_trained_and_scored(store):
    cfg = preset("book").replace(
        image_size=32, widths=(4, 8), latent_dim=6, batch_size=32, epochs=6, learning_rate=5e-3, chunk_steps=4
    )
    found = list(bench_recipe.our_curve(cfg, store, 2))
    points = [point for point, _ in found]
    assert [p.epoch for p in points] == pytest.approx([3, 6])
    assert points[0].seconds < points[1].seconds
    assert points[1].objective < points[0].objective
    model = found[-1][1]
    vectors = bench_recipe.attribute_vectors(model, store)
    aucs = bench_recipe.attribute_aucs(model, vectors, store)
    assert aucs and set(aucs) <= set(vectors) and all(0 <= auc <= 1 for auc in aucs.values())
    train = store.indices("train")
    judge = fit_judge(store.images[train], np.asarray(store.attrs[train]))
    edits = edit(model, vectors, store, judge, faces=20)
    assert edits.hits.shape == edits.leaks.shape and edits.hits.shape[1] == len(FACTORS)
    assert (edits.hits[:, 0] == 0).all() and (edits.leaks[:, 0] == 0).all()  # a factor of 0 is no edit
    assert edits.hits[:, -1].max() > 0.5


def test_a_judge_tells_what_thumbnails_show():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 100, (400, 16, 16, 3), dtype=np.uint8)
    attrs = rng.random((400, 2)) < 0.5
    images[attrs[:, 0], :8] += 100  # the first shows, the second does not
    judge = fit_judge(images, attrs)
    assert judged(judge, images[:100], attrs[:100]) == [0]
    says = np.asarray(judge.scores(jnp.asarray(images / 255, jnp.float32)) > judge.thresholds[None])
    assert (says[:, 0] == attrs[:, 0]).all()


def test_thumbnails_are_means_of_squares():
    images = np.arange(2 * 8 * 4 * 3, dtype=np.float32).reshape(2, 8, 4, 3)
    expected = np.stack([images[:, :4].mean((1, 2)), images[:, 4:].mean((1, 2))], axis=1).reshape(2, -1)
    np.testing.assert_allclose(thumbnails(images), expected, rtol=1e-6)


def test_the_leak_is_read_where_enough_edits_land():
    edits = Edits(np.array([[0, 0.5, 0.9], [0, 0.1, 0.2]]), np.array([[0, 0.1, 0.3], [0, 0.2, 0.4]]))
    np.testing.assert_array_equal(edits.leak_at(0.8), [0.3, np.nan])
    np.testing.assert_array_equal(edits.leak_at(0.5), [0.1, np.nan])
