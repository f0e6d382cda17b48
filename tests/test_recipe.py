"""The comparison of recipes: its arithmetic, and its parts on a small store. No speed is asserted."""

import functools

import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

from benchmarks import bench_recipe
from benchmarks.bench_recipe import ADAM, BOOK, OURS, TORCH, TORCH_NO_DROPOUT, Point
from benchmarks.edits import FACTORS, Edits, edit, fit_judge, judged_attributes, thumbnails
from jvae.data.packed import pack
from jvae.data.sources.rendered import RenderedFaces
from jvae.training.presets import preset
from jvae.training.tasks.vae import BOOK_FACTOR

CURVE = [Point(1, 10.0, 0.03, 0.0), Point(2, 20.0, 0.02, 0.0), Point(3, 30.0, 0.01, 50.0)]  # 300, 200, 150


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("recipe") / "store"
    return pack(RenderedFaces(600, size=64), folder, size=64, crop="center", progress=False)


def test_objective_is_the_books():
    assert [p.objective for p in CURVE] == pytest.approx([300, 200, 150])
    assert BOOK_FACTOR == preset("book").objective.weight(128)


def test_times_and_objectives_lie_on_lines_between_points():
    assert bench_recipe.seconds_to(CURVE, 250) == pytest.approx(15)
    assert bench_recipe.seconds_to(CURVE, 150) == pytest.approx(30)
    assert bench_recipe.seconds_to(CURVE, 400) == 10
    assert bench_recipe.seconds_to(CURVE, 149) is None
    assert bench_recipe.objective_at(CURVE, 25) == pytest.approx(175)


def test_runs_are_scored_evenly_and_at_the_ends_of_the_books_epochs():
    assert bench_recipe.score_steps(total=1000, per_epoch=50, count=4) == [250, 300, 500, 750, 1000]
    assert bench_recipe.score_steps(total=100, per_epoch=50, count=1) == [100]


def test_rows_compare_with_every_peer():
    book = [p._replace(epoch=2 * p.epoch) for p in CURVE]  # ends after 6 epochs, at 150
    ours = [Point(p.epoch, p.seconds / 4, p.error, p.kl) for p in CURVE]
    ours.append(Point(4, 40.0, 0.01, 20.0))  # 120
    slow = [p._replace(seconds=2 * p.seconds) for p in CURVE[:2]]
    rows = bench_recipe.curve_rows({BOOK: book, OURS: ours, TORCH: slow})
    times, equal = rows[:4], rows[4:]
    assert [(r.ours, r.peer) for r in times] == [(7.5, 30.0), (7.5, None), (7.5, None), (7.5, None)]
    assert [r.peer_name for r in times] == [BOOK, f"{TORCH} (not reached in 40 s)", TORCH_NO_DROPOUT, ADAM]
    assert times[0].ratio == 4 and times[0].target and not times[1].target
    at_30 = 150 - 30 * (30 - 7.5) / (40 - 7.5)
    assert [r.ours for r in equal] == pytest.approx([at_30] * len(equal))
    assert [r.peer for r in equal[:3]] == pytest.approx([150, 250, None])
    assert len({r.case for r in rows}) == 3  # nothing measured is in the name of a case


def test_latents_are_compared_where_both_have_a_figure():
    aucs = {OURS: pd.Series({"Smiling": 0.8, "Male": 0.9}), BOOK: pd.Series({"Male": 0.9, "Smiling": 0.7, "Bald": 1})}
    landed = np.repeat(FACTORS[None] >= 2, 2, axis=0).astype(float)
    never = landed * [[1], [0]]
    edits = {OURS: Edits(landed, 0.1 * landed), BOOK: Edits(never, 0.2 * landed)}
    auc, reached, leak = bench_recipe.latent_rows(aucs, edits)
    assert (auc.ours, auc.peer) == pytest.approx((0.85, 0.8))
    assert (reached.ours, reached.peer, reached.ratio) == (2, 1, 2)
    assert leak.ratio == pytest.approx(2)


@pytest.fixture
def tiny(monkeypatch, tmp_path):
    """The presets made small, and the benchmark's files in `tmp_path`."""
    small = {"widths": (2,), "latent_dim": 4, "steps": None, "chunk_steps": 4}

    def preset_of(name):
        return preset(name).replace(**small | {"epochs": 1.0} if name == "celeba64" else small)

    monkeypatch.setattr(bench_recipe, "preset", preset_of)
    monkeypatch.setattr(bench_recipe, "EPOCHS", (1,))
    monkeypatch.setattr(bench_recipe.table, "ROOT", tmp_path)
    monkeypatch.setattr(bench_recipe.timing, "RESULTS", tmp_path / "results")
    written = []
    monkeypatch.setattr(bench_recipe.timing, "write", written.extend)
    return written


def test_the_whole_comparison(tiny, store, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(bench_recipe, "edit", functools.partial(edit, faces=5))
    monkeypatch.setattr(bench_recipe, "pytorch_curve", lambda cfg, store, count: iter([(CURVE[0], None)]))
    bench_recipe.main(path=store.path, epochs=1, points=2)
    curves = pd.read_csv(tmp_path / "results" / f"recipe-{bench_recipe.timing.platform()}.csv")
    assert curves.groupby("recipe").size().to_dict() == {BOOK: 2, OURS: 2, ADAM: 2, TORCH: 1, TORCH_NO_DROPOUT: 1}
    assert (tmp_path / "docs" / f"recipe-{bench_recipe.timing.platform()}.png").stat().st_size > 1000
    assert {r.bench for r in tiny} == {"recipe"} and len(tiny) >= 6
    assert "training to the objective of jvae book after 1 epochs" in capsys.readouterr().out


def test_without_images_it_says_what_it_needs(capsys):
    bench_recipe.main()
    assert capsys.readouterr().out.startswith("recipe: not measured: give --path")


def test_a_curve_is_trained_and_scored(store):
    cfg = preset("book").replace(
        image_size=64, widths=(4,), latent_dim=6, batch_size=32, epochs=6, learning_rate=5e-3, chunk_steps=4
    )
    found = list(bench_recipe.our_curve(cfg, store, 2))
    points, model = [point for point, _ in found], found[-1][1]
    assert [p.epoch for p in points] == pytest.approx([3, 6])
    assert points[0].seconds < points[1].seconds
    assert points[1].objective < points[0].objective
    train, test = store.indices("train"), store.indices("test")
    attrs, vectors = np.asarray(store.attrs), bench_recipe.attribute_vectors(model, store)
    z = model.encode(store.images[test])
    aucs = bench_recipe.attribute_aucs(z, attrs[test], vectors, store.attribute_names)
    assert len(aucs) and set(aucs.index) <= set(vectors) and aucs.between(0, 1).all()
    judge = fit_judge(store.images[train], attrs[train])
    edits = edit(model, z, vectors, store, judge, faces=20)
    assert edits.hits.shape == edits.leaks.shape and edits.hits.shape[1] == len(FACTORS)
    assert (edits.hits[:, 0] == 0).all() and (edits.leaks[:, 0] == 0).all()  # a factor of 0 is no edit
    assert edits.hits[:, -1].max() > 0.5


def test_a_judge_tells_what_thumbnails_show():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 100, (400, 16, 16, 3), dtype=np.uint8)
    attrs = rng.random((400, 2)) < 0.5
    images[attrs[:, 0], :8] += 100  # the first shows, the second does not
    judge = fit_judge(images, attrs)
    assert judged_attributes(judge, images[:100], attrs[:100]) == [0]
    says = np.asarray(judge.scores(jnp.asarray(images / 255, jnp.float32)) > judge.thresholds[None])
    assert (says[:, 0] == attrs[:, 0]).all()


def test_thumbnails_are_means_of_squares():
    images = np.arange(2 * 8 * 4 * 3, dtype=np.float32).reshape(2, 8, 4, 3)
    expected = np.stack([images[:, :4].mean((1, 2)), images[:, 4:].mean((1, 2))], axis=1).reshape(2, -1)
    np.testing.assert_allclose(thumbnails(images), expected, rtol=1e-6)


def test_the_leak_is_read_where_enough_edits_land():
    edits = Edits(np.array([[0, 0.5, 0.9], [0, 0.1, 0.2]]), np.array([[0, 0.1, 0.3], [0, 0.2, 0.4]]))
    np.testing.assert_allclose(edits.leak_at(0.8), [0.25, np.nan])  # by a line from .1 at .5 to .3 at .9
    np.testing.assert_allclose(edits.leak_at(0.5), [0.1, np.nan])
