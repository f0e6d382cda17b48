"""The commands that draw faces in motion and sheets of them, on a tiny run of rendered faces."""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from jvae.cli import analogy, edit, morph, neighbourhood, sample, scorecard, sheet, vectors
from jvae.cli.flags import Faces, Figure, Grid, Motion, Trained
from jvae.cli.main import main as jvae
from jvae.errors import InputError
from jvae.latent.kinds import Kind
from jvae.latent.moves import chances
from jvae.latent.priors import standard_normal
from jvae.latent.vectors import AttributeVectors
from jvae.trained import TrainedModel, load
from jvae.training.checkpoint import Checkpoints
from jvae.training.run import Record, claim_run
from tests.faces import small_store
from tests.runs import TINY, fresh_state, untrained_judge

CFG = TINY.replace(widths=(4, 8), mirror=True)
NAMES = A, B, C, D = [f"rendered-{i:06d}" for i in range(4)]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run that was not trained, of large weights, so that its pictures differ."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    state = jax.device_get(fresh_state(CFG))
    large = state.variables | {"params": jax.tree.map(lambda x: 3 * x, state.variables["params"])}
    claim_run(folder, Record(CFG))
    with Checkpoints(folder) as checkpoints:
        checkpoints.save(0, jax.device_put(state._replace(variables=large, average=large)), score=1.0)
    return folder


@pytest.fixture(scope="module")
def with_vectors(run):
    vectors.main(Trained(run, small_store().path))
    return run


def test_vectors_count_mirror_images_as_the_run_did_unless_told(with_vectors, tmp_path, capsys):
    trained, train = Trained(with_vectors, small_store().path), small_store().indices("train")
    vectors.main(trained, mirror="no", out=tmp_path / "plain.npz")
    assert "and their mirror images" not in capsys.readouterr().out
    both, plain = (AttributeVectors.load(path) for path in (with_vectors / "vectors.npz", tmp_path / "plain.npz"))
    assert both.origin.mirror and not plain.origin.mirror
    assert both.totals.n == plain.totals.n == len(train) and (both.totals.counts == plain.totals.counts).all()
    assert np.abs(both.totals.z - plain.totals.z).max() > 0
    with pytest.raises(InputError, match="--stop book is the book's procedure, which mirrors no images"):
        vectors.main(trained, stop="book", label="Male", mirror="yes")
    with pytest.raises(InputError, match="batch_size=0 must be at least 1"):
        vectors.main(trained, batch_size=0)


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


def call(monkeypatch, command, run, *flags, data=True):
    """Runs a command by its command line."""
    store = ["--data", str(small_store().path)] if data else []
    monkeypatch.setattr(sys, "argv", ["jvae", command, "--run", str(run), *store, *flags])
    jvae()


def gif_frames(path):
    with Image.open(path) as image:
        return getattr(image, "n_frames", 1), image.size


def test_morph_of_two(run, recon, tmp_path, monkeypatch):
    out, movie = tmp_path / "a.png", tmp_path / "a.gif"
    flags = f"--start {A} --end {B} --steps 5 --trajectory gaussian --even --raw --out {out} --movie {movie} --frames 6"
    call(monkeypatch, "morph", run, *flags.split())
    found, (decoded, originals) = tiles(out, 1, 7), recon
    np.testing.assert_array_equal(found[0, [0, -1]], originals[:2])
    np.testing.assert_allclose(found[0, [1, -2]], decoded[:2], atol=1)
    count, size = gif_frames(movie)
    assert size == (192, 192) and 4 <= count <= 10  # frames that look the same are one


def test_morph_round_four(run, recon, tmp_path, monkeypatch):
    out, movie = tmp_path / "a.png", tmp_path / "a.mp4"
    flags = f"--start {A} --through {B} {C} --end {D} --steps 3 --raw --out {out} --movie {movie} --frames 5"
    call(monkeypatch, "morph", run, *flags.split())
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
    call(monkeypatch, "sheet", run, *flags)
    found, (decoded, originals) = tiles(out, 3, 6), recon
    np.testing.assert_array_equal(found[[0, 0, -1, -1], [0, -1, 0, -1]], originals)
    np.testing.assert_allclose(found[[0, 0, -1, -1], [1, -2, 1, -2]], decoded, atol=1)
    assert (found[1, [0, -1]] == 255).all()
    assert gif_frames(movie)[0] > 1


def test_analogy(run, recon, tmp_path, monkeypatch):
    out, movie = tmp_path / "a.png", tmp_path / "a.gif"
    flags = f"--a {A} --b {B} --c {C} --rows 3 --columns 4 --raw --out {out} --movie {movie} --frames 4"
    call(monkeypatch, "analogy", run, *flags.split())
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
    call(monkeypatch, "neighbourhood", with_vectors, *flags.split())
    found, (decoded, originals) = tiles(out, 3, 5), recon
    np.testing.assert_array_equal(found[1, 0], originals[0])
    assert (found[[0, 2], 0] == 255).all()
    np.testing.assert_allclose(found[1, 2], decoded[0], atol=1)


def test_a_neighbourhood_moves_what_it_keeps_to_probabilities(with_vectors, recon, tmp_path, monkeypatch):
    out, grids = tmp_path / "a.png", []
    monkeypatch.setattr(neighbourhood, "warn_beyond", lambda vector, z: grids.append(z))
    flags = f"--face {A} --x Male --y Young --keep Male Smiling --unit probability --raw --out {out}"
    call(monkeypatch, "neighbourhood", with_vectors, *flags.split())
    known = AttributeVectors.load(with_vectors / "vectors.npz", Kind("conditional", keep=("Male", "Smiling")))
    read = [[chances(z, known) for z in row] for row in grids[0]]
    shares = edit.PROBABILITIES
    assert [each["Male"] for each in read[3]] == pytest.approx(shares, abs=1e-3)
    assert [row[3]["Young"] for row in read] == pytest.approx(shares, abs=1e-3)
    z = load(with_vectors).encode(recon[1][:1])[0]
    row = np.argmin(np.abs(np.subtract(shares, chances(z, known)["Young"])))
    np.testing.assert_array_equal(tiles(out, 7, 8)[row, 0], recon[1][0])  # the face itself, beside what is likest it


def test_edits_to_probabilities_of_several_attributes_show_them_all(with_vectors, tmp_path, monkeypatch):
    moved = []
    monkeypatch.setattr(edit, "warn_beyond", lambda vector, z: moved.append(z))
    flags = f"--images {A} --attribute Smiling --factors .25 .75 --also Male=.9 Young=.3 --unit probability"
    call(monkeypatch, "edit", with_vectors, *flags.split(), "--out", str(tmp_path / "a.png"))
    known = AttributeVectors.load(with_vectors / "vectors.npz")
    read = [{name: chances(z, known)[name] for name in ("Smiling", "Male", "Young")} for z in moved[0][0]]
    expected = [{"Smiling": share, "Male": 0.9, "Young": 0.3} for share in (0.25, 0.75)]
    assert read == [pytest.approx(each, abs=1e-3) for each in expected]
    with pytest.raises(SystemExit, match="2"):
        call(monkeypatch, "edit", with_vectors, *flags.split(), "--also", "Smiling=.5")


def test_labelled_pictures_go_to_the_run(with_vectors):
    run, small = with_vectors, Grid(2, 2)
    trained = Trained(run, small_store().path)
    morph.main(trained, A, B, through=(C,), steps=3)
    sheet.main(trained, (A, B, C, D), small)
    analogy.main(trained, A, B, C, small)
    neighbourhood.main(trained, A, factors_x=(0, 1), factors_y=(0, 1))
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
    trained = Trained(tmp_path / "none", tmp_path)
    with pytest.raises(InputError, match=r"must end in \.png"):
        main(trained, **faces, figure=Figure(tmp_path / "a.jpg"))
    if main is not neighbourhood.main:
        with pytest.raises(InputError, match=r"must end in \.gif or \.mp4"):
            main(trained, **faces, motion=Motion(movie=tmp_path / "a.avi"))
        with pytest.raises(InputError, match="at least"):
            main(trained, **faces, motion=Motion(movie=tmp_path / "a.gif", frames=0))
        with pytest.raises(InputError, match="--frames 9 is of the movie: give --movie, too"):
            main(trained, **faces, motion=Motion(frames=9))
    if main in (sheet.main, analogy.main):
        with pytest.raises(InputError, match="--even is for the movie, as the grid is evenly spaced in latents"):
            main(trained, **faces, motion=Motion(even=True))


def test_traversals(run, tmp_path, monkeypatch):
    out = tmp_path / "walks.png"
    call(monkeypatch, "traverse", run, *f"--dims 3 --steps 5 --raw --start {A} --out {out}".split())
    found, model = tiles(out, 3, 5), load(run)
    z = model.encode(np.asarray(small_store().images[:1]))[0]
    walks = np.stack([model.decode(walk(z, k)) for k in range(6)]).astype(int)
    apart = np.abs(found[:, None].astype(int) - walks[None]).max((2, 3, 4, 5))  # [3,6]
    assert ((apart <= 1).sum(1) == 1).all()  # each row is the walk along one dimension
    with pytest.raises(SystemExit, match="2"):
        call(monkeypatch, "traverse", run, "--dims", "0")


def walk(z, k):
    points = np.tile(z, (5, 1))
    points[:, k] = np.linspace(-3, 3, 5)
    return points


def bare(run: Path, folder: Path) -> Path:
    """The run, without its vectors."""
    return Path(shutil.copytree(run, folder / "bare", ignore=shutil.ignore_patterns("vectors.npz")))


def test_samples_of_every_prior(with_vectors, tmp_path, monkeypatch):
    shown = []
    for of, flags in (
        (with_vectors, "--prior normal"), (bare(with_vectors, tmp_path), ""), (with_vectors, "--prior aggregate"),
        (with_vectors, ""), (with_vectors, "--prior mixture --components 2"), (with_vectors, "--components 2"),
    ):  # fmt: skip
        out = tmp_path / f"{len(shown)}.png"
        words = f"{flags} --rows 2 --columns 3 --raw --out {out}".split()
        call(monkeypatch, "sample", of, *words, data="components" in flags)
        shown.append(tiles(out, 2, 3).astype(int))
        assert np.abs(shown[-1][0, 0] - shown[-1][1, 2]).max() > 1
    normal, without, aggregate, vectors, mixture, data = shown
    for one, other in ((normal, without), (aggregate, vectors), (mixture, data)):  # by default the best there is
        np.testing.assert_array_equal(one, other)
    assert (normal != aggregate).any() and (aggregate != mixture).any()


def test_a_mixture_is_fitted_to_faces_from_all_over_the_training_split(run, monkeypatch, tmp_path):
    fitted, store = [], small_store()
    monkeypatch.setattr(sample.priors, "MOST", 3)
    monkeypatch.setattr(sample.priors, "mixture", lambda z, *args, **more: fitted.append(z) or standard_normal(6))
    call(monkeypatch, "sample", run, "--out", str(tmp_path / "a.png"))
    train = store.indices("train")
    some = store.read(train[[0, round((len(train) - 1) / 2), -1]])
    np.testing.assert_allclose(fitted[0], load(run).encode(some), atol=1e-5)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("sample --temperature nan", "temperature=nan must be a finite number of at least 0"),
        ("sample --temperature -1", "temperature=-1.0 must be a finite number"),
        ("sample --seed -1", "seed=-1 must lie between 0 and 4294967295"),
        ("sample --seed 4294967296 --components 2", "seed=4294967296 must lie"),
        ("traverse --reach inf", "reach=inf above 0, and finite"),
        ("traverse --seed -1", "seed=-1 must lie"),
        (f"posterior --images {A} --seed -1", "seed=-1 must lie"),
        ("vectors --seed -1", "seed=-1 must lie"),
        ("vectors --stop book --label Male --seed -1", "seed=-1 must lie"),
    ],
)
def test_numbers_that_cannot_be_are_one_line_and_nothing_is_written(run, words, said, tmp_path, monkeypatch, capsys):
    command, *flags = words.split()
    with pytest.raises(SystemExit, match="2"):
        call(monkeypatch, command, run, *flags, "--out", str(out := tmp_path / "a.png"))
    shown = capsys.readouterr().err
    assert said in shown and shown.count("\n") == 1 and not out.exists()


def test_a_mixture_needs_faces(run, monkeypatch, capsys):
    with pytest.raises(SystemExit, match="2"):
        call(monkeypatch, "sample", run, "--prior", "mixture", data=False)
    assert "--prior mixture and --data go together" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        call(monkeypatch, "sample", run, "--components", "3", data=False)
    assert "--components 3 is of a mixture" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        call(monkeypatch, "sample", run, "--components", "0")
    assert "components=0 must be at least 1" in capsys.readouterr().err


@pytest.mark.filterwarnings("default::jvae.errors.InputWarning")
def test_scores_and_map(with_vectors, tmp_path, monkeypatch, capsys):
    out = tmp_path / "scores.png"
    flags = f"--kind regression --thresholds train --split train --out {out}".split()
    call(monkeypatch, "scores", with_vectors, *flags)
    shown, said = capsys.readouterr()
    assert "the vectors were estimated on the split train of store, and are scored on the split train" in said
    assert "--thresholds train finds the thresholds on the images that are scored" in said
    table = (tmp_path / "scores.csv").read_text()
    assert "attribute,n,share,auc,threshold,accuracy,majority,balanced" in table and "Male" in table
    assert "means: auc 0." in shown and out.stat().st_size > 10_000
    out = tmp_path / "map.png"
    call(monkeypatch, "map", with_vectors, "--kind", "lda", "--out", str(out), data=False)
    assert out.stat().st_size > 10_000


def names(*known: str) -> Any:
    """What stands in for vectors: it is only asked whether it has one, of any kind, and whether some were learned."""
    return type("Names", (tuple,), {"learned": None, "of_kind": lambda self, kind: self})(known)


def test_a_scorecard_leaves_out_kinds_for_which_there_is_no_attribute(capsys):
    whole = scorecard.choose_kinds(names("Male", "Young"), None, None)
    assert [str(kind) for kind in whole] == [
        "difference", "balanced over Male", "regression", "lda", "conditional, keeping Male and Young",
        "regression, keeping Male and Young",
    ]  # fmt: skip
    assert not capsys.readouterr().out
    some = scorecard.choose_kinds(names("Old"), None, None)
    assert [str(kind) for kind in some] == ["difference", "regression", "lda"]
    assert "kind balanced is left out: no attribute is Male" in capsys.readouterr().out
    own = scorecard.choose_kinds(names("Old"), ("Old",), ("Old",))
    assert [kind.balance or kind.keep for kind in own] == [(), ("Old",), (), (), ("Old",), ("Old",)]


def test_a_scorecard(with_vectors, tmp_path, monkeypatch, capsys):
    judge, out = tmp_path / "judge.npz", tmp_path / "card"
    judging = untrained_judge(small_store())
    judging.save(judge)
    words = (
        f"--judge {judge} --edits 4 --least-auc 0 --attributes Male Smiling --truth 3 --keep Young --out {out}".split()
    )
    words += ["--identity", "judge"]
    call(monkeypatch, "scorecard", with_vectors, *words)
    shown = capsys.readouterr().out
    assert "regression, keeping Young" in shown and "Fréchet distance in the features of the judge: the prior" in shown
    card = json.loads((out / "scorecard.json").read_text())
    assert set(card["edits"]["regression"]) <= {"Male", "Smiling"}
    assert -1 < card["reconstruction"]["ssim"] < 1 and card["reconstruction"]["n"] == 6
    assert card["truth"]["lda"]["Smiling"]["faces"] > 10
    assert "identity by the judge's features, among 6 photographs: same person" in shown
    assert card["identity"]["photographs"] == 6 and card["identity"]["edits"]["lda"]["Smiling"]["faces"] <= 6
    table = pd.read_csv(out / "attributes.csv").set_index(["kind", "attribute"])
    assert table.loc[("lda", "Smiling"), "faces"] == card["edits"]["lda"]["Smiling"]["faces"]
    for kind, row in card["summary"].items():
        names = [n for n in card["edits"][kind] if all(n in other for other in card["edits"].values())]
        assert row["attributes"] == len(names)
    assert {path.name for path in out.iterdir()} == {"scorecard.json", "attributes.csv", "page.png", "leakage.png"}
    judging.thresholds -= 200
    judging.save(tmp_path / "sees-all.npz")
    words[1] = str(tmp_path / "sees-all.npz")
    with pytest.raises(SystemExit, match="2"):
        call(monkeypatch, "scorecard", with_vectors, *words)
    assert "sees Male, Smiling in every face that is labelled without" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        call(monkeypatch, "scorecard", with_vectors, "--judge", str(judge), "--edits", "1")
    with pytest.raises(SystemExit, match="2"):
        call(monkeypatch, "scorecard", with_vectors, "--judge", str(judge), "--least-auc", "1.1")
    assert "tells no attribute with an area under the ROC curve of 1.1" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "dlib", None)
    with pytest.raises(SystemExit, match="2"):
        call(monkeypatch, "scorecard", with_vectors, "--judge", str(judge), "--identity", "dlib")
    assert "pip install 'jvae[identity]'" in capsys.readouterr().err


@pytest.mark.filterwarnings("always::jvae.errors.InputWarning")
def test_judges_choose_how_far_each_face_goes(with_vectors, tmp_path, monkeypatch, capsys):
    judge, out = tmp_path / "judge.npz", tmp_path / "out.png"
    judging = untrained_judge(small_store())
    logits = judging.logits(load(with_vectors).decode(load(with_vectors).encode(small_store().images)))
    judging.thresholds = np.median(logits, axis=0)
    judging.save(judge)
    words = ["--attribute", "Smiling", "--count", "3", "--raw", "--out", str(out), "--judges", str(judge)]
    call(monkeypatch, "edit", with_vectors, *words, "--prices", "1e9", "0")
    said = [line for line in capsys.readouterr().out.splitlines() if "standard deviations" in line]
    assert len(said) == 3 and all(": 0, " in line for line in said)  # nothing is worth a price of 1e9
    size = small_store().size
    tiles = np.asarray(Image.open(out)).reshape(3, size, 3, size, 3).swapaxes(1, 2)  # original, and two prices
    one = load(with_vectors)
    faces = Faces(count=3).choose(small_store(), without="Smiling")
    np.testing.assert_array_equal(tiles[:, 0], faces.images)
    np.testing.assert_array_equal(tiles[:, 1], one.decode(one.encode(faces.images)))
    call(monkeypatch, "edit", with_vectors, *words, "--away", "--paint", "change", "--prices", "0")
    gone = [line for line in capsys.readouterr().out.splitlines() if "standard deviations" in line]
    assert {line.split(":")[0] for line in gone} <= set(
        small_store().image_ids[small_store().attrs[:, small_store().attribute("Smiling")]]
    )
    furthest = []
    for most in ("0.8", "9"):
        call(monkeypatch, "edit", with_vectors, *words, "--prices", "0", "--most", most)
        said = [line for line in capsys.readouterr().out.splitlines() if "standard deviations" in line]
        furthest.append(max(float(line.split()[1]) for line in said))
    assert furthest[0] <= 0.5 < furthest[1] <= 9
    for more, problem in (
        (["--factors", "1"], "leave out --factors, --unit and --also"),
        (["--prices", "-1"], "prices=(-1.0,) must be numbers from 0 on"),
        (["--most", "0"], "most=0 must lie between 0.5 and 20"),
        (["--attribute", "Smile"], "Smile"),
    ):
        with pytest.raises(SystemExit, match="2"):
            call(monkeypatch, "edit", with_vectors, *words, *more)
        assert problem in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        call(monkeypatch, "edit", with_vectors, *words[:-2], "--away")
    assert "give --judges" in capsys.readouterr().err
    judging.crop = "squash"
    judging.save(judge)
    call(monkeypatch, "edit", with_vectors, *words, "--prices", "0")
    assert not capsys.readouterr().err  # the run does not know how its images were cut
    monkeypatch.setattr(TrainedModel, "crop", "rendered")
    call(monkeypatch, "edit", with_vectors, *words, "--prices", "0")
    assert "crop squash, and those of the store that the run was trained on are cut by the crop rendered" in (
        capsys.readouterr().err
    )
