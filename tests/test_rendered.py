"""Rendered faces: the same face every time, labels that are what was drawn, and edits that change what they say."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jvae.data.sources.celeba import ATTRIBUTES
from jvae.data.sources.face_drawing import draw
from jvae.data.sources.rendered import HAIR_COLOURS, RenderedFaces, attributes, counterfactual, sample_factors
from jvae.errors import InputError

NAMES = RenderedFaces.attribute_names
BEARDS = ("No_Beard", "Goatee", "Mustache")
COUNT = 64  # the batch that RenderedFaces draws in: nothing more is compiled
# Setting one attribute may change these others, and no more.
MAY_FOLLOW = {
    **{name: set(HAIR_COLOURS) for name in HAIR_COLOURS},
    **{name: set(BEARDS) for name in BEARDS},
    "Bald": {"Bangs"},
    "Bangs": {"Bald"},
}


@pytest.fixture(scope="module")
def faces() -> RenderedFaces:
    return RenderedFaces(4000, seed=3)


@pytest.fixture(scope="module")
def labels(faces) -> dict[str, np.ndarray]:
    return dict(zip(NAMES, faces.labels(np.arange(len(faces))).T, strict=True))


@pytest.fixture(scope="module")
def factors():
    return sample_factors(3, np.arange(COUNT))


def pixels(factors, size: int = 64) -> np.ndarray:
    return np.asarray(draw(factors, size))


def column(factors, name: str) -> np.ndarray:
    return np.asarray(attributes(factors))[:, NAMES.index(name)]


def edit(factors, name: str) -> tuple[np.ndarray, np.ndarray]:
    """The same faces without and with an attribute."""
    return pixels(counterfactual(factors, name, False)), pixels(counterfactual(factors, name, True))


def changed(factors, name: str, by: float = 0.04) -> np.ndarray:
    without, having = edit(factors, name)
    return np.abs(having - without).max(axis=-1) > by  # [n,h,w]


def test_names_are_celebas_in_its_order():
    assert len(NAMES) == 24
    assert [name for name in ATTRIBUTES if name in NAMES] == list(NAMES)


def test_a_face_does_not_depend_on_what_else_is_rendered(faces):
    together = faces.render(np.arange(100))
    np.testing.assert_array_equal(faces.render([70]), together[70:71])
    np.testing.assert_array_equal(faces.render([99, 5, 5]), together[[99, 5, 5]])
    np.testing.assert_array_equal(RenderedFaces(71, seed=3).render([70, -1]), together[[70, 70]])
    assert np.abs(RenderedFaces(71, seed=4).render([70])[0].astype(int) - together[70]).mean() > 5


def test_rendering_any_number_compiles_nothing_more(faces, compiles):
    faces.render([0])
    with compiles(at_most=0):
        assert [len(faces.render(np.arange(n))) for n in (0, 1, 64, 65)] == [0, 1, 64, 65]


def test_size_changes_only_the_resolution(faces):
    small = RenderedFaces(COUNT, seed=3, size=32)
    coarse = faces.render(np.arange(COUNT)).reshape(COUNT, 32, 2, 32, 2, 3).mean(axis=(2, 4))
    assert np.abs(small.render(np.arange(COUNT)) - coarse).mean() < 3  # of 255; another face differs by some 40
    np.testing.assert_array_equal(small.labels(np.arange(COUNT)), faces.labels(np.arange(COUNT)))


def test_an_example(faces):
    example = faces[30]
    assert example.image.dtype == np.uint8 and example.image.shape == (64, 64, 3)
    np.testing.assert_array_equal(example.image, faces.render([30])[0])
    np.testing.assert_array_equal(example.attrs, faces.labels([30])[0])
    assert example.attrs.dtype == np.bool_
    assert (example.image_id, example.split) == ("rendered-000030", "validation")
    assert faces[-1].image_id == "rendered-003999"
    splits = [faces.split(i) for i in range(200)]
    assert (splits.count("test"), splits.count("validation"), splits.count("train")) == (10, 10, 180)


def test_labels_are_what_was_drawn_from(faces):
    factors = sample_factors(3, np.arange(500, 564))
    np.testing.assert_array_equal(faces.labels(np.arange(500, 564)), np.asarray(attributes(factors)))
    images = np.round(pixels(factors) * 255)
    np.testing.assert_array_equal(faces.render(np.arange(500, 564)), images.astype(np.uint8))


def test_extreme_factors_make_pictures_too(factors):
    corner = np.random.default_rng(0).choice([-1.0, 0.0, 1.0], (len(factors) - 1, COUNT)).astype(np.float32)
    attrs = np.random.default_rng(1).random((COUNT, len(NAMES))) < 0.5
    images = pixels(type(factors)(jnp.asarray(attrs), *map(jnp.asarray, corner)))
    assert images.dtype == np.float32 and images.shape == (COUNT, 64, 64, 3)
    assert np.isfinite(images).all() and images.min() >= 0 and images.max() <= 1
    assert images.std(axis=(1, 2)).min() > 0.02


def test_every_attribute_is_common_enough_to_learn(labels):
    rates = {name: column.mean() for name, column in labels.items()}
    assert all(0.03 < rate < 0.9 for rate in rates.values()), rates
    assert abs(rates["Male"] - 0.42) < 0.03 and abs(rates["Young"] - 0.77) < 0.03 and rates["Eyeglasses"] > 0.08


@pytest.mark.parametrize(
    ("one", "other", "sign"),
    [
        ("Wearing_Lipstick", "Male", -1),
        ("Wearing_Earrings", "Male", -1),
        ("Wearing_Earrings", "Wearing_Lipstick", 1),
        ("Rosy_Cheeks", "Wearing_Lipstick", 1),
        ("Gray_Hair", "Young", -1),
        ("Gray_Hair", "Male", 1),
        ("Bald", "Young", -1),
        ("Bald", "Male", 1),
        ("Goatee", "Male", 1),
        ("No_Beard", "Male", -1),
        ("Wearing_Necktie", "Male", 1),
        ("Eyeglasses", "Male", 1),
        ("Eyeglasses", "Young", -1),
        ("Big_Nose", "Male", 1),
        ("Bushy_Eyebrows", "Male", 1),
        ("Blond_Hair", "Male", -1),
        ("Young", "Male", -1),
        ("Mouth_Slightly_Open", "Smiling", 1),
    ],
)
def test_attributes_are_correlated_as_in_celeba(labels, one, other, sign):
    assert sign * np.corrcoef(labels[one], labels[other])[0, 1] > 0.05


def check_consistent(has: dict[str, np.ndarray]) -> None:
    assert np.sum([has[name] for name in HAIR_COLOURS], axis=0).max() <= 1
    assert not np.any(has["Bald"] & has["Bangs"])
    assert not np.any(has["No_Beard"] & (has["Goatee"] | has["Mustache"]))


def test_labels_that_cannot_both_be_never_are(labels):
    check_consistent(labels)
    assert not np.any(labels["Bald"] & labels["Wearing_Hat"])
    assert np.all(labels["No_Beard"][~labels["Male"]])
    full_beard = ~labels["No_Beard"] & ~labels["Goatee"] & ~labels["Mustache"]
    assert full_beard.any() and (labels["Goatee"] & labels["Mustache"]).any()
    assert np.any(~np.any([labels[name] for name in HAIR_COLOURS], axis=0))


@pytest.mark.parametrize("name", NAMES)
def test_a_counterfactual_changes_one_label_or_the_documented_few(name):
    factors = sample_factors(5, np.arange(1024))
    for value in (True, False):
        after = counterfactual(factors, name, value)
        assert np.all(column(after, name) == value)
        differ = np.asarray(attributes(after)) != np.asarray(attributes(factors))
        assert {NAMES[i] for i in np.flatnonzero(differ.any(axis=0))} <= {name} | MAY_FOLLOW.get(name, set())
        assert not differ[column(factors, name) == value].any()
        check_consistent({other: column(after, other) for other in NAMES})
        for before_leaf, leaf in zip(factors[1:], after[1:], strict=True):
            np.testing.assert_array_equal(before_leaf, leaf)


def test_what_follows_from_hair_and_beards(factors):
    grey = counterfactual(counterfactual(factors, "Black_Hair", True), "Gray_Hair", True)
    assert not column(grey, "Black_Hair").any()
    red = counterfactual(grey, "Gray_Hair", False)
    assert not any(column(red, name).any() for name in HAIR_COLOURS)
    assert not column(counterfactual(counterfactual(factors, "Bangs", True), "Bald", True), "Bangs").any()
    shaved = counterfactual(factors, "No_Beard", True)
    goatee = counterfactual(shaved, "Goatee", True)
    assert not column(goatee, "No_Beard").any()
    both = counterfactual(goatee, "Mustache", True)
    assert not column(counterfactual(both, "Goatee", False), "No_Beard").any()  # the moustache is left
    np.testing.assert_array_equal(pixels(counterfactual(goatee, "Goatee", False)), pixels(shaved))


def test_an_edit_undone_is_the_face_again(factors):
    without = counterfactual(factors, "Eyeglasses", False)
    again = counterfactual(counterfactual(without, "Eyeglasses", True), "Eyeglasses", False)
    np.testing.assert_array_equal(pixels(again), pixels(without))


# The fewest pixels of 64x64 that the attribute changes by a tenth of full range, in nine of ten bare heads.
VISIBLE = {
    "Big_Nose": 6, "Mouth_Slightly_Open": 8, "Mustache": 8, "Wearing_Lipstick": 6, "Young": 6,
    "Smiling": 20, "Eyeglasses": 120, "Wearing_Hat": 200, "Bald": 200, "Wearing_Necktie": 60,
}  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_every_attribute_shows(factors, name):
    # A hat hides a bald head and dark glasses hide the eyes, as in life: look at faces with neither.
    bare = factors
    for cover in {"Wearing_Hat", "Eyeglasses", "Bald"} - {name}:
        bare = counterfactual(bare, cover, False)
    counts = changed(bare, name, by=0.1).sum(axis=(1, 2))
    assert np.quantile(counts, 0.1) >= VISIBLE.get(name, 15), np.quantile(counts, [0, 0.1, 0.5])


@pytest.mark.parametrize(
    ("name", "top", "bottom"),
    [
        ("Eyeglasses", 20, 40),
        ("Bushy_Eyebrows", 19, 31),
        ("Narrow_Eyes", 20, 36),
        ("Wearing_Lipstick", 38, 52),
        ("Mouth_Slightly_Open", 38, 54),
        ("Mustache", 33, 48),
        ("Wearing_Earrings", 28, 48),
        ("Wearing_Hat", 0, 30),
        ("Wearing_Necktie", 52, 64),
        ("Bangs", 8, 32),
        ("Smiling", 18, 52),
    ],
)
def test_an_edit_stays_in_its_place(factors, name, top, bottom):
    plain = counterfactual(counterfactual(factors, "No_Beard", True), "Bald", False)  # nothing follows from the edit
    rows = np.flatnonzero(changed(plain, name).any(axis=(0, 2)))
    assert top <= rows.min() and rows.max() < bottom, (rows.min(), rows.max())


def test_dark_glasses_are_dark_and_clear_ones_show_the_eyes(factors):
    dark, clear = factors._replace(glasses_tint=jnp.ones(COUNT)), factors._replace(glasses_tint=-jnp.ones(COUNT))
    lens = np.s_[:, 27:31, 21:27]  # inside the left one
    without, behind_dark = edit(dark, "Eyeglasses")
    _, behind_clear = edit(clear, "Eyeglasses")
    assert behind_dark[lens].mean() < 0.3
    assert np.abs(behind_clear[lens] - without[lens]).mean() < 0.15


def test_the_light_falls_from_its_side(factors):
    cheeks = [pixels(factors._replace(light=jnp.full(COUNT, side)))[:, 33:39] for side in (-1.0, 1.0)]
    from_left, from_right = (c[:, :, 18:24].mean() - c[:, :, 40:46].mean() for c in cheeks)
    assert from_left > 0.05 > -0.05 > from_right


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"count": 0}, "count=0"),
        ({"count": 5, "size": 40}, "size=40 is not a multiple of 16: use"),
        ({"count": 5, "size": 0}, "size=0 is not a multiple of 16: use 16"),
        ({"count": 5, "seed": -1}, "seed=-1"),
    ],
)
def test_bad_arguments_are_named(arguments, says):
    with pytest.raises(InputError, match=says):
        RenderedFaces(**arguments)


def test_bad_requests_are_named(faces, factors):
    with pytest.raises(InputError, match="did you mean Eyeglasses"):
        counterfactual(factors, "Eyeglases", True)
    for ask in (lambda: faces[4000], lambda: faces.render([0, 4000]), lambda: faces.labels([-4001])):
        with pytest.raises(IndexError, match=r"of 4000"):
            ask()


def test_factors_go_through_jax_as_a_tree(factors):
    assert {leaf.shape[0] for leaf in jax.tree.leaves(factors)} == {COUNT}
    one = jax.tree.map(lambda leaf: leaf[7:8], factors)
    np.testing.assert_array_equal(attributes(one), attributes(sample_factors(3, [7])))
