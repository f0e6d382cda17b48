"""What the page with sliders is told: pictures, probabilities, commands; with a small model that was not trained."""

import base64
import dataclasses
import io
import itertools
import json
import shlex
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from jvae import trained
from jvae.cli.main import main as jvae
from jvae.data.source import DataId
from jvae.data.sources.celeba import ATTRIBUTES
from jvae.errors import InputError
from jvae.evaluate.provenance import origin_of
from jvae.explore import photos as photos_module
from jvae.explore.app import App
from jvae.explore.asks import Ask, Look, Start, read_ask
from jvae.explore.command import command
from jvae.explore.photos import Gone
from jvae.explore.studio import Studio, enlarged
from jvae.latent.encoding import attribute_statistics
from jvae.latent.groups import GROUPS, grouped
from jvae.latent.kinds import Kind
from jvae.latent.moves import chances, move
from jvae.latent.priors import aggregate
from jvae.latent.vectors import AttributeVectors, Learned, Origin
from jvae.photo.frame import alignment_by_eyes, close_up
from jvae.runtime.hashing import random_key
from jvae.trained import TrainedModel
from jvae.training.presets import BOOK
from tests.faces import portraits, small_store
from tests.runs import ONE, fresh, untrained_judge

# The latents of a model that was not trained hardly vary, so any edit goes far.
pytestmark = pytest.mark.filterwarnings("ignore::jvae.errors.InputWarning")

CFG = BOOK.replace(preset="custom", image_size=16, widths=(4, 8), latent_dim=6)
A, B = "rendered-000003", "rendered-000007"
MOVED = {"Smiling": 1.5, "Eyeglasses": -2.0}
EYES = (96.0, 110.0, 160.0, 112.0)


@pytest.fixture(scope="module")
def model() -> TrainedModel:
    variables = fresh(CFG.model.module(jnp.float32), 16, random_key(0))
    large = variables | {"params": jax.tree.map(lambda x: 3 * x, variables["params"])}
    store = small_store()
    return TrainedModel(CFG, large, mesh=ONE, data=DataId(store.source, store.crop, store.checksum))


@pytest.fixture(scope="module")
def known(model) -> AttributeVectors:
    store = small_store()
    stats = attribute_statistics(model, store.images, store.attrs, store.indices("train"), batch_size=20)
    return AttributeVectors.from_statistics(stats, store.attribute_names, Origin(digest=model.digest))


@pytest.fixture
def run(known, tmp_path):
    known.save(tmp_path / "run" / "vectors.npz")
    return tmp_path / "run"


@pytest.fixture
def studio(run, model, known) -> Studio:
    return Studio(run, model, known, small_store(), None, "rendered")


@pytest.fixture
def app(studio) -> App:
    return App(studio, small_store().path)


def body(start: Start, look: Look | None = None, end: Start | None = None, **rest) -> bytes:
    fields = {"start": start, "look": look or Look()} | ({"end": end} if end else {})
    return json.dumps({name: dataclasses.asdict(field) for name, field in fields.items()} | rest).encode()


def photograph(form: str = "PNG", profile: bytes | None = None) -> bytes:
    out = io.BytesIO()
    Image.fromarray(portraits(8, 256)[1]).save(out, form, icc_profile=profile)
    return out.getvalue()


def pixels(data: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image)


def test_every_attribute_of_celeba_has_its_group():
    found = grouped(ATTRIBUTES)
    assert tuple(found) == GROUPS and sorted(itertools.chain(*found.values())) == sorted(ATTRIBUTES)
    where = {name: group for group, names in found.items() for name in names}
    for name, group in {
        "Brown_Hair": "Hair", "Bushy_Eyebrows": "Eyes", "Eyeglasses": "Accessories",
        "5_o_Clock_Shadow": "Mouth and beard", "Wearing_Lipstick": "Mouth and beard",
        "Wearing_Hat": "Accessories", "High_Cheekbones": "Whole face",
    }.items():  # fmt: skip
        assert where[name] == group
    assert grouped(("day", "night")) == {"Attributes": ["day", "night"]} and grouped(()) == {}


def test_sliders_add_up_and_what_is_held_is_left_alone(known):
    z = np.random.default_rng(0).normal(size=(2, 6)).astype(np.float32)
    steps = sum(factor * known[name].step("sd") for name, factor in MOVED.items())
    np.testing.assert_allclose(move(z, known, MOVED, "sd"), z + steps, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(move(z, known, {"Smiling": 0.0}, "sd"), z)
    held = known.of_kind(Kind("difference", keep=("Male", "Smiling")))
    went = move(z, held, MOVED, "sd") - z
    assert "Smiling" in held.missing and np.abs(went @ known["Male"].unit).max() < 1e-5
    alone = known.of_kind(Kind("difference", keep=("Male",)))
    np.testing.assert_array_equal(held.moving("Smiling").vector, alone["Smiling"].vector)
    assert held.moving("Eyeglasses") is held["Eyeglasses"]
    only = known.of_kind(Kind("conditional", keep=("Smiling",)))
    np.testing.assert_array_equal(only.moving("Smiling").vector, known["Smiling"].vector)


def test_probabilities_are_those_of_the_vectors(known):
    z = known.totals.attr_z[known.columns.index("Male")] / known.totals.counts[known.columns.index("Male")]
    found = chances(z, known.of_kind(Kind("lda", keep=("Young",))))
    assert set(found) >= {"Male", "Young"} and all(0 <= share <= 1 for share in found.values())
    there = move(z[None].astype(np.float32), known.of_kind("lda"), {"Male": 0.9}, "probability")[0]
    assert chances(there, known.of_kind("lda"))["Male"] == pytest.approx(0.9, abs=1e-3)
    wanted = {"Male": 0.9, "Smiling": 0.2, "Young": 0.6}  # together, though the shift of each changes the others
    there = move(z[None].astype(np.float32), known, wanted, "probability")[0]
    assert {name: chances(there, known)[name] for name in wanted} == pytest.approx(wanted, abs=1e-3)
    np.testing.assert_array_equal(move(z[None], known, {}, "probability"), z[None])


def test_the_picture_is_the_original_with_the_change(studio, model):
    start = studio.from_store(A)
    picture, _ = studio.show(Ask(start, Look()))
    np.testing.assert_array_equal(picture, small_store().images[3])
    painted, shares = studio.show(Ask(start, Look(MOVED)))
    decoded, same = studio.show(Ask(start, Look(MOVED, paint=False)))
    z = np.array(start.z, np.float32)[None]
    moved = move(z, studio.known, MOVED, "sd")
    np.testing.assert_array_equal(decoded, model.decode(moved)[0])
    change = model.decode(moved)[0].astype(int) - model.decode(z)[0]
    np.testing.assert_allclose(painted, np.clip(small_store().images[3] + change, 0, 255), atol=1.01)
    assert shares == same and shares["Eyeglasses"] < studio.show(Ask(start, Look()))[1]["Eyeglasses"]
    assert (picture != painted).any()


def test_a_judge_says_what_the_picture_shows(studio, run, model, known):
    judge = untrained_judge(small_store())
    seen = Studio(run, model, known, small_store(), judge, "rendered")
    start = studio.from_store(A)
    _, shares = seen.show(Ask(start, Look(MOVED)))
    picture, own = studio.show(Ask(start, Look(MOVED)))
    for name, logit in zip(judge.attribute_names, judge.logits(picture[None])[0], strict=True):
        assert shares[name] == pytest.approx(1 / (1 + np.exp(-logit)), abs=1e-3)
    assert shares != own
    with pytest.raises(InputError, match="judges images of 16 pixels and the run's are of 32"):
        big = TrainedModel(CFG.replace(image_size=32), model.variables, mesh=ONE)
        Studio(run, big, known, None, judge, "rendered")


def test_places_on_a_morph(studio, model):
    one, two = studio.from_store(A), studio.from_store(B)
    for t, name in ((0.0, A), (1.0, B)):
        picture, _ = studio.show(Ask(one, Look(t=t, trajectory="slerp"), two))
        np.testing.assert_array_equal(picture, model.decode(np.array(studio.from_store(name).z, np.float32)[None])[0])
    half = studio.base(Ask(one, Look(t=0.5), two))
    np.testing.assert_allclose(half, (np.array(one.z) + two.z) / 2, atol=1e-6)
    ask = Ask(one, Look(even=True, factors=MOVED), two)
    assert studio.movie(ask, ".gif").startswith(b"GIF8")
    with pytest.raises(InputError, match="there is one face: choose another"):
        studio.movie(Ask(one, Look()), ".gif")


def test_two_at_once_are_what_the_sliders_then_show(studio, app):
    ask = Ask(studio.from_store(A), Look({"Male": 1.0}))
    tiles = studio.around(ask, "Smiling", "Eyeglasses", (-2.0, 0.0, 2.0))
    assert tiles.shape == (3, 3, 16, 16, 3)
    picture, _ = studio.show(Ask(ask.start, Look({"Male": 1.0, "Smiling": 2.0, "Eyeglasses": -2.0})))
    np.testing.assert_allclose(tiles[0, 2].astype(int), picture, atol=1)
    reply = json.loads(app.around({}, body(ask.start, x="Smiling", y="Male")).body)
    assert set(reply) == {"image"}


def test_faces_are_found_by_id_label_and_chance(studio):
    store = small_store()
    assert studio.find("0003", 0)[0] == A
    glasses = studio.find("Eyeglasses -male", 0)
    rows = [store.index(name) for name in glasses]
    assert glasses and store.attrs[rows, store.attribute("Eyeglasses")].all()
    assert not store.attrs[rows, store.attribute("Male")].any()
    assert studio.find("", 1) != studio.find("", 2) and A not in studio.find("0003", 0, without=A)
    assert studio.find("nobody", 0) == [] and studio.find("eyegl", 5) == studio.find("Eyeglasses", 5)
    with pytest.raises(InputError, match="the nearest are"):
        studio.from_store("rendered-999999")


def test_faces_are_found_by_attributes_with_blanks(studio):
    store = small_store()
    renamed = {"Male": "Pale", "Smiling": "Pale Skin", "Eyeglasses": "Not (Very) Pale"}
    names = tuple(renamed.get(name, name) for name in store.attribute_names)
    studio.store = dataclasses.replace(store, meta=dataclasses.replace(store.meta, attribute_names=names))
    for words, male, smiling, glasses in (
        ("pale skin", None, True, None),
        ("-Pale Skin  Pale", True, False, None),
        ("not (very) pale -pale", False, None, True),
    ):
        rows = [store.index(name) for name in studio.find(words, 0)]
        assert rows
        for name, wanted in (("Male", male), ("Smiling", smiling), ("Eyeglasses", glasses)):
            assert wanted is None or (store.attrs[rows, store.attribute(name)] == wanted).all()


def test_a_photograph_is_painted_where_the_face_is(studio):
    key = studio.photos.add(photograph(), "me.png")
    start = studio.from_photo(key, EYES)
    assert (start.source, start.eyes, start.photo) == ("photo", EYES, key)
    before, _ = studio.show(Ask(start, Look()))
    photo = studio.photos.read(key)
    np.testing.assert_array_equal(
        before, close_up(photo.pixels, alignment_by_eyes(photo, EYES), photos_module.CLOSE_UP)
    )
    after, _ = studio.show(Ask(start, Look(MOVED)))
    assert after.shape == before.shape and (after != before).any()
    np.testing.assert_array_equal(studio.whole(Ask(start, Look())), photo.pixels)
    whole = studio.whole(Ask(start, Look(MOVED)))
    assert whole.shape == photo.pixels.shape and (whole != photo.pixels).any()
    laid, _ = studio.show(Ask(start, Look(paint=False)))
    assert (laid != before).any()
    as_it_is = studio.from_photo(key, ())
    assert (as_it_is.source, as_it_is.photo) == ("file", "")
    with pytest.raises(InputError, match="the eye 999 0 lies outside"):
        studio.from_photo(key, (999.0, 0.0, 1.0, 1.0))


def test_learned_vectors_can_be_chosen_where_there_are_some(studio, app, known):
    assert "learned" not in json.loads(app.setup({}).body)["kinds"]
    own = np.random.default_rng(0).normal(size=(len(known.attribute_names), 6))
    studio.known = known.with_learned(Learned(own, ())).of_kind("learned")
    setup = json.loads(app.setup({}).body)
    assert setup["kind"] == "learned" and "learned" in setup["kinds"] and setup["kinds"].count("balanced") == 1
    ask = Ask(studio.sample(0), Look(MOVED, kind=setup["kind"]))
    moved = move(studio.base(ask)[None], studio.known, MOVED, "sd")
    np.testing.assert_array_equal(studio.show(ask)[0], studio.model.decode(moved)[0])


def test_a_photograph_keeps_its_colour_profile(studio, app):
    key = studio.photos.add(photograph(profile=b"of a wide screen"), "me.png")
    start = studio.from_photo(key, EYES)
    shown = base64.b64decode(json.loads(app.show({}, body(start)).body)["image"])
    seen = [app.picture({}, body(start, whole=whole)).body for whole in (True, False)]
    for data in (*seen, shown, studio.photos.look(key).jpeg):
        with Image.open(io.BytesIO(data)) as image:
            assert image.info["icc_profile"] == b"of a wide screen"
    for other in (body(studio.sample(0)), body(start, end=studio.sample(0))):
        with Image.open(io.BytesIO(app.picture({}, other).body)) as image:
            assert "icc_profile" not in image.info


def test_old_photographs_make_room(studio, monkeypatch):
    first = studio.photos.add(photograph(), "one.png")
    monkeypatch.setattr(photos_module, "KEPT", 1.5 * len(photograph()))
    second = studio.photos.add(photograph("TIFF"), "two.tiff")
    assert studio.photos.read(second).name == "two.tiff"
    with pytest.raises(Gone, match="drop it in again"):
        studio.photos.read(first)


def test_what_is_found_in_a_photograph(app, monkeypatch):
    found = json.loads(app.photo({"name": "me.png"}, photograph()).body)
    assert len(found["faces"]) == 1 and found["start"]["name"] == "me.png" and found["scale"] == 1
    eyes = found["faces"][0]
    assert (
        json.loads(app.framed({}, json.dumps({"photo": found["photo"], "eyes": eyes}).encode()).body) == found["start"]
    )
    twice = np.concatenate([portraits(8, 256)[1]] * 2, axis=1)
    out = io.BytesIO()
    Image.fromarray(twice).save(out, "PNG")
    several = json.loads(app.photo({"name": "two.png"}, out.getvalue()).body)
    assert len(several["faces"]) == 2 and "start" not in several
    with pytest.raises(InputError, match=r"text\.jpg is not an image"):
        app.photo({"name": "text.jpg"}, b"hello")


def drawn(run, line: str, monkeypatch) -> np.ndarray:
    """What a command draws, as bare tiles: uint8 [rows*h,columns*w,3]."""
    monkeypatch.setattr(sys, "argv", [*shlex.split(line), "--raw", "--out", str(run / "out.png")])
    jvae()
    return pixels((run / "out.png").read_bytes())


@pytest.mark.parametrize("paint", [True, False])
def test_the_command_makes_the_same_picture(studio, run, model, paint, monkeypatch):
    monkeypatch.setattr(trained, "load", lambda path: model)
    look = Look(MOVED, kind="regression", keep=("Male", "Smiling"), paint=paint)
    for ask in (Ask(studio.from_store(A), look), Ask(studio.from_store(A), Look(paint=paint))):
        line, file = command(run, small_store().path, ask, "Male")
        assert not file
        np.testing.assert_array_equal(drawn(run, line, monkeypatch)[:, 16:], studio.show(ask)[0])


def test_the_command_of_what_has_no_picture_reads_its_latent(studio, app, run, model, monkeypatch):
    monkeypatch.setattr(trained, "load", lambda path: model)
    monkeypatch.chdir(run)
    one, two = studio.sample(17), studio.from_store(B)
    asks, read = (Ask(one, Look(MOVED)), Ask(one, Look(MOVED, t=0.3), two), Ask(one, Look(MOVED, t=0.4), two)), set()
    for ask in asks:
        reply = json.loads(app.command({}, body(ask.start, ask.look, ask.end)).body)
        read.add(reply["file"])
        (run / reply["file"]).write_bytes(app.latent({}, body(ask.start, ask.look, ask.end)).body)
        np.testing.assert_array_equal(drawn(run, reply["command"], monkeypatch)[:, 16:], studio.show(ask)[0])
    assert len(read) == len(asks)  # of one name, the second would lie in the downloads under another
    line, file = command(run, small_store().path, Ask(studio.from_store(A), Look(even=True), two), "Male")
    assert (shlex.split(line)[:2], file) == (["jvae", "morph"], "")
    assert drawn(run, line, monkeypatch).shape == (16, 12 * 16, 3) and (run / "morph.gif").exists()


def test_the_command_of_a_photograph(studio, run, model, monkeypatch):
    monkeypatch.setattr(trained, "load", lambda path: model)
    monkeypatch.chdir(run)
    (run / "my face.png").write_bytes(photograph())
    key = studio.photos.add(photograph(), "my face.png")
    for paint in (True, False):
        ask = Ask(studio.from_photo(key, EYES), Look(MOVED, paint=paint))
        line, _ = command(run, None, ask, "Male")
        np.testing.assert_array_equal(drawn(run, line, monkeypatch), studio.whole(ask))


def test_the_command_of_a_picture_that_was_framed_already(studio, run, model, monkeypatch):
    monkeypatch.setattr(trained, "load", lambda path: model)
    monkeypatch.chdir(run)
    (run / "my face.png").write_bytes(photograph())
    start = studio.from_photo(studio.photos.add(photograph(), "my face.png"), ())
    ask = Ask(start, Look(MOVED))
    line, file = command(run, small_store().path, ask, "Male")
    assert not file
    np.testing.assert_array_equal(drawn(run, line, monkeypatch)[:, 16:], studio.show(ask)[0])
    (run / A).write_bytes(photograph())  # a file that is called like a face of the store
    named = Ask(dataclasses.replace(start, name=A), Look(MOVED))
    line, _ = command(run, small_store().path, named, "Male")
    np.testing.assert_array_equal(drawn(run, line, monkeypatch)[:, 16:], studio.show(named)[0])
    with pytest.raises(InputError, match=r"paints onto my face\.png with a store, which says how it is cut: start"):
        command(run, None, ask, "Male")
    for ask in (Ask(start, Look(MOVED, paint=False)), Ask(start, Look(MOVED, t=0.3), studio.sample(0))):
        line, file = command(run, None, ask, "Male")
        np.save(file, studio.base(ask))
        np.testing.assert_array_equal(drawn(run, line, monkeypatch)[:, 16:], studio.show(ask)[0])


def test_the_command_reads_the_vectors_that_the_page_does(studio, run, model, known, monkeypatch):
    monkeypatch.setattr(trained, "load", lambda path: model)
    (run / "vectors.npz").unlink()
    known.save(run / "other vectors.npz")
    ask = Ask(studio.from_store(A), Look(MOVED))
    app = App(studio, small_store().path, None, run / "other vectors.npz")
    line = json.loads(app.command({}, body(ask.start, ask.look)).body)["command"]
    np.testing.assert_array_equal(drawn(run, line, monkeypatch)[:, 16:], studio.show(ask)[0])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--also Smiling", "--also Smiling: must be NAME=FACTOR"),
        ("--also Smilling=1", "did you mean Smiling"),
        ("--also Smiling=1 Young=1 Smiling=2", "gives Smiling twice"),
        ("--latents none.npy", "there is no file none.npy"),
        ("--latents z.npy --images a", "--latents says where to start"),
        ("--latents z.npy --data .", "--latents says where to start"),
        ("--latents z.npy --split train", "--latents says where to start"),
        ("--latents z.npy", "z.npy holds float64 [1, 3]: latents are finite numbers [n,6]"),
    ],
)
def test_mistakes_of_edit_are_one_line(run, model, words, message, monkeypatch, capsys):
    monkeypatch.setattr(trained, "load", lambda path: model)
    monkeypatch.chdir(run)
    np.save("z.npy", np.zeros(3))
    data = "" if "--latents" in words else f"--data {small_store().path}"
    line = f"jvae edit --run . {data} --attribute Male {words}"
    monkeypatch.setattr(sys, "argv", line.split())
    with pytest.raises(SystemExit):
        jvae()
    shown = capsys.readouterr().err
    assert message in shown and shown.count("\n") == 1


def test_downloads(studio, app):
    start = studio.from_store(A)
    shown = studio.show(Ask(start, Look(MOVED)))[0]
    once, more = (pixels(app.picture({}, body(start, Look(MOVED), times=times)).body) for times in (1, 4))
    np.testing.assert_array_equal(once, shown)
    np.testing.assert_array_equal(more, enlarged(shown, 4))
    assert app.movie({}, body(start, end=studio.from_store(B), suffix=".gif")).type == "image/gif"
    with pytest.raises(Gone):
        app.picture({}, body(dataclasses.replace(start, photo="x", eyes=EYES), whole=True))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (b"not json", "is not JSON"),
        (b"{}", "names no face and no look"),
        ({"z": [1.0]}, "the latent of x is not of this run"),
        ({"z": [float("nan")] * 6}, "the latent of x is not of this run"),
        ({"model": "0"}, "the latent of x is not of this run"),  # but of what it was before it trained on
        ({"z": "six"}, "z is 'six'"),
        ({"image": "!"}, "the picture of x is not of this run"),
        ({"image": "é\ud800"}, "the picture of x is not of this run"),
        ({"image": "AAAA"}, "x is not an image"),
        ({"source": "web"}, "source is 'web'"),
        ({"more": 1}, "unknown field 'more'"),
    ],
)
def test_what_a_page_cannot_have_sent_is_refused(app, model, change, message):
    fields = {"name": "x", "source": "sample", "z": [0.0] * 6, "model": model.digest}
    sent = change if isinstance(change, bytes) else json.dumps({"start": fields | change, "look": {}}).encode()
    with pytest.raises(InputError, match=message):
        app.show({}, sent)


@pytest.mark.parametrize("look", [{"factors": {"Male": float("nan")}}, {"factors": {"Male": 1e9}}, {"t": 2.0}])
def test_looks_lie_within_bounds(look):
    fields = {"start": {"name": "x", "source": "sample", "z": []}, "look": look}
    with pytest.raises(InputError, match="must lie"):
        read_ask(json.dumps(fields).encode())


def test_what_there_is_to_read(app, run, model, known):
    found = json.loads(app.worst({}).body)
    errors = [face["error"] for face in found["faces"]]
    assert errors == sorted(errors, reverse=True) and found["count"] == (small_store().splits == "test").sum()
    assert pixels(app.gets["/api/map"]({}).body).ndim == 3
    with pytest.raises(InputError, match="has no scorecard: `jvae scorecard"):
        app.gets["/api/scorecard"]({})
    (run / "scorecard").mkdir()
    (run / "scorecard" / "page.png").write_bytes(b"a page")
    ours = origin_of(model, known)
    for of in (ours | {"vectors": "0"}, ours | {"model": "0"}, None):
        (run / "scorecard" / "scorecard.json").write_text(json.dumps({"of": of}))
        with pytest.raises(InputError, match=r"scorecard\.json is of other weights or vectors than are shown, or does"):
            app.gets["/api/scorecard"]({})
    (run / "scorecard" / "scorecard.json").write_text(json.dumps({"of": ours}))
    assert app.gets["/api/scorecard"]({}).body == b"a page"


def test_a_sample_is_of_the_normal_distribution_of_the_latents_behind_the_vectors(studio, known):
    drawn = np.array([studio.sample(seed).z for seed in range(2000)])
    assert known.totals.n > drawn.shape[1]
    np.testing.assert_allclose(drawn.mean(0), known.totals.z / known.totals.n, atol=0.15 * drawn.std())
    np.testing.assert_allclose(drawn.std(0), aggregate(known.totals).sample(10**5).std(0), rtol=0.1)


def test_without_vectors_and_store(run, model, known):
    bare = Studio(run, model, None, None, None, "rendered")
    app = App(bare, None, None)
    setup = json.loads(app.setup({}).body)
    assert setup["groups"] == {} and setup["faces"] == 0 and not setup["estimates"]
    picture, shares = bare.show(Ask(bare.sample(3), Look(MOVED)))
    np.testing.assert_array_equal(picture, bare.model.decode(np.array(bare.sample(3).z)[None])[0])
    assert shares == {} and bare.find("", 0) == []
    for function, message in (
        (app.gets["/api/map"], "no attribute vectors"),
        (app.worst, "start jvae explore with --data"),
        (lambda query: app.command(query, body(bare.sample(0))), "no attribute vectors"),
        (lambda query: app.vectors(query, b""), "start jvae explore with --data"),
        (lambda query: app.gets["/api/face"]({"id": A}), "start jvae explore with --data"),
        (lambda query: app.gets["/api/sample"]({"seed": "-1"}), "must be a whole number"),
    ):
        with pytest.raises(InputError, match=message):
            function({})
    made = json.loads(App(bare, None, lambda: known).vectors({}, b"").body)
    assert sorted(itertools.chain(*made["groups"].values())) == sorted(known.names)
