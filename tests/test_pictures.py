"""The scripts that draw faces in motion and sheets of them, on a tiny run of rendered faces."""

import json
import sys

import jax
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from experiments import (
    analogy,
    attribute_scores,
    attribute_vectors,
    morph,
    neighbourhood,
    sample,
    scorecard,
    sheet,
    traversals,
    vector_map,
)
from jvae import cli
from jvae.errors import InputError
from jvae.trained import load
from jvae.training.checkpoint import Checkpoints
from jvae.training.judge import Recipe, train_judge
from jvae.training.loop import init_state
from jvae.training.run import claim_run
from tests.faces import small_store
from tests.runs import KEYS, ONE, TINY

CFG = TINY.replace(widths=(4, 8))
NAMES = A, B, C, D = [f"rendered-{i:06d}" for i in range(4)]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run that was not trained, of large weights, so that its pictures differ."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    state = jax.device_get(init_state(KEYS[0], cfg=CFG, mesh=ONE))
    large = {"params": jax.tree.map(lambda x: 3 * x, state.params), "batch_stats": state.batch_stats}
    claim_run(folder, CFG)
    with Checkpoints(folder) as checkpoints:
        checkpoints.save(0, jax.device_put(state._replace(**large, average=large)), objective=1.0)
    return folder


@pytest.fixture(scope="module")
def with_vectors(run):
    attribute_vectors.main(run, small_store().path)
    return run


@pytest.fixture(scope="module")
def recon(run):
    """The reconstructions of the four faces, and their originals."""
    model = load(run)
    images = np.asarray(small_store().images[:4])
    return model.decode(model.encode(images)), images


def tiles(path, rows, columns):
    """[r,c,h,w,3] of a bare picture."""
    with Image.open(path) as image:
        picture = np.asarray(image)
    assert picture.shape == (rows * 16, columns * 16, 3)
    return picture.reshape(rows, 16, columns, 16, 3).swapaxes(1, 2)


def script(monkeypatch, main, run, *flags):
    """Runs a script by its command line."""
    monkeypatch.setattr(sys, "argv", ["script.py", "--run", str(run), "--data", str(small_store().path), *flags])
    cli.run(main)


def gif_frames(path):
    with Image.open(path) as image:
        return getattr(image, "n_frames", 1), image.size


def test_morph_of_two(run, recon, tmp_path, monkeypatch):
    out, movie = tmp_path / "a.png", tmp_path / "a.gif"
    flags = f"--start {A} --end {B} --steps 5 --path gaussian --even --raw --out {out} --movie {movie} --frames 6"
    script(monkeypatch, morph.main, run, *flags.split())
    found, (decoded, originals) = tiles(out, 1, 7), recon
    np.testing.assert_array_equal(found[0, [0, -1]], originals[:2])
    np.testing.assert_allclose(found[0, [1, -2]], decoded[:2], atol=1)
    count, size = gif_frames(movie)
    assert size == (192, 192) and 4 <= count <= 10  # frames that look the same are one


def test_morph_round_four(run, recon, tmp_path, monkeypatch):
    out, movie = tmp_path / "a.png", tmp_path / "a.mp4"
    flags = f"--start {A} --through {B} {C} --end {D} --steps 3 --raw --out {out} --movie {movie} --frames 5"
    script(monkeypatch, morph.main, run, *flags.split())
    found, (decoded, originals) = tiles(out, 4, 5), recon
    np.testing.assert_array_equal(found[:, 0], originals)
    np.testing.assert_array_equal(found[:, -1], originals[[1, 2, 3, 0]])
    np.testing.assert_allclose(found[:, 1], decoded, atol=1)
    np.testing.assert_allclose(found[:, -2], decoded[[1, 2, 3, 0]], atol=1)
    import av

    with av.open(str(movie)) as file:
        assert sum(1 for _ in file.decode(video=0)) == 20


def test_sheet(run, recon, tmp_path, monkeypatch):
    out, movie = tmp_path / "a.png", tmp_path / "a.gif"
    flags = ["--faces", *NAMES, *f"--rows 3 --columns 4 --raw --out {out} --movie {movie} --frames 3 --even".split()]
    script(monkeypatch, sheet.main, run, *flags)
    found, (decoded, originals) = tiles(out, 3, 6), recon
    np.testing.assert_array_equal(found[[0, 0, -1, -1], [0, -1, 0, -1]], originals)
    np.testing.assert_allclose(found[[0, 0, -1, -1], [1, -2, 1, -2]], decoded, atol=1)
    assert (found[1, [0, -1]] == 255).all()
    assert gif_frames(movie)[0] > 1


def test_analogy(run, recon, tmp_path, monkeypatch):
    out, movie = tmp_path / "a.png", tmp_path / "a.gif"
    flags = f"--a {A} --b {B} --c {C} --rows 3 --columns 4 --raw --out {out} --movie {movie} --frames 4"
    script(monkeypatch, analogy.main, run, *flags.split())
    found, (decoded, originals) = tiles(out, 3, 6), recon
    np.testing.assert_array_equal(found[[0, 0, -1], [0, -1, 0]], originals[:3])
    np.testing.assert_allclose(found[[0, 0, -1], [1, -2, 1]], decoded[:3], atol=1)
    model = load(run)
    a, b, c = model.encode(originals[:3])
    np.testing.assert_allclose(found[-1, -2], model.decode(c + b - a), atol=1)
    assert (found[-1, -1] == 255).all()  # nobody knows what it should be
    assert gif_frames(movie)[1][0] == 2 * gif_frames(movie)[1][1]


def test_neighbourhood(with_vectors, recon, tmp_path, monkeypatch):
    out = tmp_path / "a.png"
    flags = f"--face {A} --factors-x -1 0 1 2 --factors-y -2 0 2 --unit sd --raw --out {out}"
    script(monkeypatch, neighbourhood.main, with_vectors, *flags.split())
    found, (decoded, originals) = tiles(out, 3, 5), recon
    np.testing.assert_array_equal(found[1, 0], originals[0])
    assert (found[[0, 2], 0] == 255).all()
    np.testing.assert_allclose(found[1, 2], decoded[0], atol=1)


def test_labelled_pictures_go_to_the_run(with_vectors):
    run, data = with_vectors, small_store().path
    morph.main(run, data, A, B, through=(C,), steps=3)
    sheet.main(run, data, (A, B, C, D), rows=2, columns=2)
    analogy.main(run, data, A, B, C, rows=2, columns=2)
    neighbourhood.main(run, data, A, factors_x=(0, 1), factors_y=(0, 1))
    for name in ("morph", "sheet", "analogy", "neighbourhood"):
        with Image.open(run / "figures" / f"{name}.png") as image:
            assert min(image.size) > 2 * 128


@pytest.mark.parametrize(
    ("main", "faces"),
    [
        (morph.main, {"start": A, "end": B}),
        (sheet.main, {"faces": (A, B, C, D)}),
        (analogy.main, {"a": A, "b": B, "c": C}),
        (neighbourhood.main, {"face": A}),
    ],
)
def test_wrong_files_are_refused_before_the_run_is_opened(main, faces, tmp_path):
    with pytest.raises(InputError, match=r"must end in \.png"):
        main(tmp_path / "none", tmp_path, **faces, out=tmp_path / "a.jpg")
    if main is not neighbourhood.main:
        with pytest.raises(InputError, match=r"must end in \.gif or \.mp4"):
            main(tmp_path / "none", tmp_path, **faces, movie=tmp_path / "a.avi")
        with pytest.raises(InputError, match="at least"):
            main(tmp_path / "none", tmp_path, **faces, frames=0)


def test_traversals(run, tmp_path, monkeypatch):
    out = tmp_path / "walks.png"
    script(monkeypatch, traversals.main, run, *f"--dims 3 --steps 5 --raw --image {A} --out {out}".split())
    found, model = tiles(out, 3, 5), load(run)
    z = model.encode(np.asarray(small_store().images[:1]))[0]
    walks = np.stack([model.decode(walk(z, k)) for k in range(6)]).astype(int)
    apart = np.abs(found[:, None].astype(int) - walks[None]).max((2, 3, 4, 5))  # [3,6]
    assert ((apart <= 1).sum(1) == 1).all()  # each row is the walk along one dimension
    with pytest.raises(SystemExit, match="2"):
        script(monkeypatch, traversals.main, run, "--dims", "0")


def walk(z, k):
    points = np.tile(z, (5, 1))
    points[:, k] = np.linspace(-3, 3, 5)
    return points


@pytest.mark.parametrize("flags", ["--prior normal", "--prior aggregate", "--prior mixture --components 2"])
def test_samples_of_every_prior(flags, with_vectors, tmp_path, monkeypatch):
    out = tmp_path / "samples.png"
    words = ["script.py", "--run", str(with_vectors), *f"{flags} --rows 2 --columns 3 --raw --out {out}".split()]
    words += ["--data", str(small_store().path)] if "mixture" in flags else []
    monkeypatch.setattr(sys, "argv", words)
    cli.run(sample.main)
    found = tiles(out, 2, 3).astype(int)
    assert np.abs(found[0, 0] - found[1, 2]).max() > 1


def test_a_mixture_needs_faces(run, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["script.py", "--run", str(run), "--prior", "mixture"])
    with pytest.raises(SystemExit, match="2"):
        cli.run(sample.main)
    assert "--prior mixture and --data go together" in capsys.readouterr().err


def test_scores_and_map(with_vectors, tmp_path, monkeypatch, capsys):
    out = tmp_path / "scores.png"
    flags = f"--kind regression --thresholds train --split train --out {out}".split()
    script(monkeypatch, attribute_scores.main, with_vectors, *flags)
    shown = capsys.readouterr().out
    table = (tmp_path / "scores.csv").read_text()
    assert "attribute,n,share,auc,threshold,accuracy,majority,balanced" in table and "Male" in table
    assert "means: auc 0." in shown and out.stat().st_size > 10_000
    out = tmp_path / "map.png"
    monkeypatch.setattr(sys, "argv", ["script.py", "--run", str(with_vectors), "--kind", "lda", "--out", str(out)])
    cli.run(vector_map.main)
    assert out.stat().st_size > 10_000


def test_a_scorecard(with_vectors, tmp_path, monkeypatch, capsys):
    judge, out = tmp_path / "judge.npz", tmp_path / "card"
    train_judge(small_store(), Recipe(epochs=1, batch_size=32), progress=False).save(judge)
    words = (
        f"--judge {judge} --faces 4 --least-auc 0 --attributes Male Smiling --truth 3 --keep Young --out {out}".split()
    )
    script(monkeypatch, scorecard.main, with_vectors, *words)
    shown = capsys.readouterr().out
    assert "regression, keeping Young" in shown and "Fréchet distance in the features of the judge: the prior" in shown
    card = json.loads((out / "scorecard.json").read_text())
    assert set(card["edits"]["regression"]) <= {"Male", "Smiling"}
    assert -1 < card["reconstruction"]["ssim"] < 1 and card["reconstruction"]["n"] == 6
    assert card["truth"]["lda"]["Smiling"]["faces"] > 10
    table = pd.read_csv(out / "attributes.csv").set_index(["kind", "attribute"])
    assert table.loc[("lda", "Smiling"), "faces"] == card["edits"]["lda"]["Smiling"]["faces"]
    for kind, row in card["summary"].items():
        names = [n for n in card["edits"][kind] if all(n in other for other in card["edits"].values())]
        assert row["attributes"] == len(names)
    assert {path.name for path in out.iterdir()} == {"scorecard.json", "attributes.csv", "page.png", "leakage.png"}
    with pytest.raises(SystemExit, match="2"):
        script(monkeypatch, scorecard.main, with_vectors, "--judge", str(judge), "--faces", "1")
    with pytest.raises(SystemExit, match="2"):
        script(monkeypatch, scorecard.main, with_vectors, "--judge", str(judge), "--least-auc", "1.1")
    assert "tells no attribute with an area under the ROC curve of 1.1" in capsys.readouterr().err
