import importlib.util
import sys
from types import SimpleNamespace
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from jvae.errors import InputError, InputWarning
from jvae.evaluate import identity
from jvae.evaluate.edits import FACTORS, Edit
from jvae.evaluate.identity import find_descriptor, rank_one, ranks, same_person, score_identity
from jvae.photo import landmarks
from jvae.runtime.mesh import make_mesh
from tests.faces import portraits

MESH = make_mesh()
JUDGE: Any = SimpleNamespace(variables=(), features_fn=lambda variables, x: x.mean(1).reshape(len(x), -1))


@pytest.fixture
def without_dlib(monkeypatch):
    monkeypatch.setitem(sys.modules, "dlib", None)


def test_a_rank_counts_who_is_as_near():
    photographs = np.array([[0.0], [1.0], [2.0], [2.0]])
    assert ranks(np.array([[0.1], [0.1], [2.0], [np.nan]]), photographs).tolist() == [1, 2, 2, 4]
    assert ranks(np.array([[1.2], [0.4]]), photographs, np.array([1, 2])).tolist() == [1, 4]
    assert ranks(np.empty((0, 1)), photographs).tolist() == []


@pytest.mark.parametrize(
    ("pictures", "own", "rule"),
    [(np.ones((3, 2)), None, "must be"), (np.ones((3, 1)), [0, 1], "must be"), (np.ones((3, 1)), [0, 1, 4], "are 4")],
)
def test_descriptors_that_do_not_fit(pictures, own, rule):
    with pytest.raises(InputError, match=rule):
        ranks(pictures, np.ones((4, 1)), own)


def test_the_same_person_is_nearer_than_99_percent_of_strangers():
    assert same_person(np.array([1, 6, 7, 600]), 600) == 0.5  # 5 of 599 strangers are less than 1 %, 6 are more
    assert same_person(np.array([1, 2, 3]), 101) == pytest.approx(2 / 3)  # 1 of 100 is 1 %
    assert same_person(np.array([1, 2]), 100) == 0.5  # of fewer than 100 strangers none may be nearer
    assert rank_one(np.array([1, 2, 1, 9])) == 0.5
    assert np.isnan(same_person(np.array([]), 9)) and np.isnan(rank_one(np.array([])))


def test_same_person_by_hand_made_descriptors():
    people = np.random.default_rng(0).normal(size=(200, 16))
    noise = np.random.default_rng(1).normal(size=people.shape)
    shares = [same_person(ranks(people + much * noise, people), 200) for much in (0, 1, 3, 1000)]
    assert shares[0] == 1 and shares == sorted(shares, reverse=True) and 0.5 < shares[1] and shares[-1] < 0.1


def test_an_edit_is_held_against_the_own_photograph():
    """A face is one bright row, whose place is who it is; the edit of one attribute of two moves it."""
    n = 8
    images = np.zeros((n, n, n, 3), np.uint8)
    images[np.arange(n), np.arange(n)] = 255
    z = np.eye(n, dtype=np.float32)

    def decode(latents):
        return np.rint(255 * np.clip(latents, 0, 1)).astype(np.uint8)[:, :, None, None] * np.ones((1, n, 3), np.uint8)

    ramp = np.linspace(0, 1, len(FACTORS))
    edit = Edit(n, ramp, *[np.zeros(len(FACTORS))] * 5)
    assert edit.landed() == np.flatnonzero(ramp >= 0.9)[0] and edit._replace(hits=ramp / 2).landed() == len(ramp) - 1
    steps = {"mild": np.zeros(n), "wild": 10 * np.eye(n)[0]}

    class Vectors(dict):
        attribute_names = ("mild", "wild", "all")

    known: Any = Vectors({name: SimpleNamespace(step=lambda unit, step=step: step) for name, step in steps.items()})
    attrs = np.zeros((n, 3), bool)
    attrs[:2, 1] = attrs[:, 2] = True
    describe = ("rows", lambda x: x.mean((2, 3)).astype(float))
    found = score_identity(
        SimpleNamespace(decode=decode), describe, images, z, decode(z), attrs,
        {"kind": (known, {"mild": edit, "wild": edit, "all": edit})},
    )  # fmt: skip
    assert found[:5] == ("rows", n, 1, 1, 1) and set(found.edits["kind"]) == {"mild", "wild"}
    mild, wild = found.edits["kind"]["mild"], found.edits["kind"]["wild"]
    assert mild == (n, FACTORS[edit.landed()], 1, 1)
    assert wild == (n - 2, FACTORS[edit.landed()], 1, 0)
    assert "identity by rows, among 8 photographs: same person 1.000" in found.line()


def test_an_edit_that_is_painted_is_known_by_what_the_decoder_loses():
    """Who it is says the place of a column, which the decoder does not draw; an edit of rows leaves it alone."""
    n, photographs = 8, np.zeros((9, 8, 8, 3), np.uint8)
    photographs[np.arange(n), :, np.arange(n)] = 128
    photographs[n] = 7  # another, to whom the empty pictures are the nearest
    z, known = np.zeros((n + 1, n), np.float32), {"rows": SimpleNamespace(step=lambda unit: 0.01 * np.ones(n))}
    vectors: Any = type("Vectors", (dict,), {"attribute_names": ("rows",)})(known)
    edit = Edit(n, np.linspace(0, 1, len(FACTORS)), *[np.zeros(len(FACTORS))] * 5)

    def decode_fn(variables, z):
        return variables * jnp.clip(z, 0, 1)[:, :, None, None] * jnp.ones((1, 1, n, 3))

    model = SimpleNamespace(
        variables=jnp.float32(1), mesh=MESH, decode_fn=decode_fn,
        decode=lambda z: np.rint(255 * np.asarray(decode_fn(np.float32(1), z))).astype(np.uint8),
    )  # fmt: skip
    of = (photographs, z, model.decode(z), np.array([[False]] * n + [[True]]), {"kind": (vectors, {"rows": edit})})
    describe = ("columns", lambda x: x.mean((1, 3)).astype(float))
    decoded, painted = (score_identity(model, describe, *of, paint=how).edits["kind"]["rows"] for how in (False, True))
    factor = FACTORS[edit.landed()]
    assert decoded == (n, factor, 0, 0) and painted == (n, factor, 1, 1)


def test_the_judges_features(without_dlib):
    images = np.random.default_rng(0).integers(0, 256, (5, 16, 16, 3), np.uint8)
    name, describe = find_descriptor("auto", JUDGE, "center", MESH)
    assert name == "the judge's features" == find_descriptor("judge", JUDGE, "center", MESH)[0]
    found = describe(images)
    np.testing.assert_allclose(found, JUDGE.features_fn((), jnp.asarray(images / 255.0)), rtol=1e-5)
    np.testing.assert_array_equal(describe(images.astype(np.float32) / 255), found)


def test_dlib_is_not_taken_where_nobody_knows_the_place_of_the_eyes(monkeypatch):
    monkeypatch.setattr(identity, "dlib_is_there", lambda: True)
    monkeypatch.setattr(identity, "import_dlib", lambda: None)
    whose = {source: find_descriptor("auto", JUDGE, "center", MESH, source=source)[0] for source in (
        "CelebA folder", "CelebA through TFDS (celeb_a 2.1.0)", "rendered", "folder of images"
    )}  # fmt: skip
    assert list(whose.values()) == ["dlib's descriptor"] * 3 + ["the judge's features"]
    with pytest.warns(InputWarning, match=r"are of another source \(folder of images\): .* --identity judge"):
        assert find_descriptor("dlib", JUDGE, "center", MESH, source="folder of images")[0] == "dlib's descriptor"


def test_the_extra_is_missing(without_dlib):
    with pytest.raises(InputError, match=r"dlib needs .* not installed: pip install 'jvae\[identity\]'"):
        find_descriptor("dlib", JUDGE, "center", MESH)
    with pytest.raises(InputError, match="unknown descriptor 'dlip': did you mean dlib"):
        find_descriptor("dlip", JUDGE, "center", MESH)


def test_weights_that_are_missing(monkeypatch, tmp_path):
    landmarks._network.cache_clear()
    monkeypatch.setattr(landmarks, "import_dlib", lambda: None)
    spec = SimpleNamespace(submodule_search_locations=[str(tmp_path)])
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec)
    with pytest.raises(InputError, match=r"face_recognition_models lacks its shape_predictor.*anew"):
        landmarks._network(landmarks._POINTS)


@pytest.mark.parametrize("size", [64, 256])
@pytest.mark.parametrize("crop", ["center", "squash", "rendered"])
def test_a_chip_has_the_eyes_where_dlib_has_them(size, crop):
    """White squares are where CelebA's frame has the eyes."""
    left, top, right, bottom = identity.crop_box(identity.WIDTH, identity.HEIGHT, crop)
    y, x = (np.mgrid[:size, :size] + 0.5) / size
    x, y = left + x * (right - left), top + y * (bottom - top)
    near = [np.maximum(abs(x - eye.real), abs(y - eye.imag)) < 6 for eye in identity.EYES]
    image = np.where(np.any(near, axis=0)[:, :, None], 255, 0).astype(np.uint8).repeat(3, 2)
    (chip,) = identity.face_chips(image[None], crop)
    assert chip.shape == (150, 150, 3)
    for half, eye in zip((slice(0, 75), slice(75, 150)), identity._CHIP_EYES, strict=True):
        rows, columns = np.nonzero(chip[:, half, 0] > 127)
        assert abs(complex(half.start + columns.mean() + 0.5, rows.mean() + 0.5) - eye) < 2


@pytest.mark.skipif(not landmarks.dlib_is_there(), reason="needs the extra identity")
def test_dlib_knows_a_face_from_others():
    faces = portraits(8, 64)[:3]
    name, describe = find_descriptor("dlib", JUDGE, "rendered", MESH)
    found = describe(faces)
    assert name == "dlib's descriptor" and found.shape == (3, 128)
    dimmed = describe(0.9 * faces / 255)
    assert ranks(dimmed, found).tolist() == [1, 1, 1]
