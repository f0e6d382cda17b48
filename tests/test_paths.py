import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jvae.errors import InputError
from jvae.latent.attribute import AttributeVector
from jvae.latent.paths import apply_vector, lerp, morph, slerp
from tests.test_statistics import LinearModel

T = np.linspace(0, 1, 11)


def vector(d=6, seed=0):
    direction = np.random.default_rng(seed).normal(size=d)
    return AttributeVector("Eyeglasses", direction, 10, 20, np.ones(d), 0.5)


def latents(n, d=6, seed=1):
    return np.random.default_rng(seed).normal(size=(n, d)).astype(np.float32)


def test_lerp():
    found = lerp(np.array([0, 4]), np.array([2, 0]), np.array([0, 0.25, 1]))
    np.testing.assert_allclose(found, [[0, 4], [0.5, 3], [2, 0]])


def test_slerp_turns_evenly():
    found = slerp(np.array([2.0, 0]), np.array([0, 2.0]), T)
    angles = np.arctan2(found[:, 1], found[:, 0])
    np.testing.assert_allclose(angles, T * np.pi / 2)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 2)


def test_slerp_is_shoemakes_for_equal_lengths():
    a, b = (x / np.linalg.norm(x) for x in latents(2, 30).astype(np.float64))
    angle = np.arccos(a @ b)
    expected = [(np.sin((1 - t) * angle) * a + np.sin(t * angle) * b) / np.sin(angle) for t in T]
    np.testing.assert_allclose(slerp(a, b, T), expected, atol=1e-12)


def test_slerp_lengths_go_evenly():
    a, b = latents(2, 30)
    lengths = np.linalg.norm(slerp(a, 3 * b, T), axis=1)
    np.testing.assert_allclose(lengths, np.linspace(np.linalg.norm(a), 3 * np.linalg.norm(b), 11), rtol=1e-6)


@pytest.mark.parametrize(
    ("a", "b"),
    [([1, 2, 3], [2, 4, 6]), ([1, 2, 3], [1, 2, 3]), ([0, 0, 0], [1, 2, 3]), ([1, 2, 3], [0, 0, 0]), ([0, 0], [0, 0])],
)
def test_slerp_between_parallel_points_and_zero_is_straight(a, b):
    np.testing.assert_allclose(slerp(np.array(a), np.array(b), T), lerp(np.array(a), np.array(b), T), atol=1e-12)


def test_slerp_between_opposite_points_goes_round():
    a = np.array([3.0, 0.1, -2.0])
    found = slerp(a, -2 * a, T)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), np.linalg.norm(a) * (1 + T))
    np.testing.assert_allclose(found[[0, -1]], [a, -2 * a], atol=1e-12)
    cosines = found @ a / np.linalg.norm(found, axis=1) / np.linalg.norm(a)
    np.testing.assert_allclose(np.arccos(cosines.clip(-1, 1)), T * np.pi, atol=1e-6)


def test_slerp_in_one_dimension_is_straight():
    np.testing.assert_allclose(slerp(np.array([1.0]), np.array([-3.0]), T), lerp(np.array([1.0]), np.array([-3.0]), T))


numbers = st.floats(-10, 10, width=32)
points = st.lists(numbers, min_size=4, max_size=4).map(lambda x: np.array(x, np.float32))


@settings(max_examples=60, deadline=None)
@given(points, points, st.sampled_from(["lerp", "slerp"]), st.integers(2, 12))
def test_morph_ends_are_exact_and_the_way_is_finite(start, end, path, steps):
    z = morph(start, end, steps, path)
    assert z.shape == (steps, 4) and z.dtype == np.float32
    assert z[0].tobytes() == start.tobytes() and z[-1].tobytes() == end.tobytes()
    assert np.isfinite(z).all()
    longest = max(np.linalg.norm(start), np.linalg.norm(end))
    assert (np.linalg.norm(z, axis=1) <= longest * (1 + 1e-5)).all()


def test_morph_keeps_the_order_of_its_ends():
    a, b = latents(2)
    for path in ("lerp", "slerp"):
        np.testing.assert_allclose(morph(a, b, 7, path), morph(b, a, 7, path)[::-1], atol=1e-5)
        assert not np.array_equal(morph(a, b, 7, path), morph(b, a, 7, path))


def test_morph_in_pictures():
    model = LinearModel()
    a, b = latents(2)
    pictures = morph(a, b, 5, model=model)
    assert pictures.shape == (5, 4, 4, 3) and pictures.dtype == np.uint8
    np.testing.assert_array_equal(pictures[[0, -1]], model.decode(np.stack([a, b])))


def test_morph_bad_input():
    a, b = latents(2)
    with pytest.raises(InputError, match="steps=1"):
        morph(a, b, 1)
    with pytest.raises(InputError, match="unknown path 'slerpy': did you mean slerp"):
        morph(a, b, path="slerpy")  # pyright: ignore[reportArgumentType]
    with pytest.raises(InputError, match="one shape"):
        morph(a, b[:3])
    with pytest.raises(InputError, match="one shape"):
        morph(a[None], b[None])


@pytest.mark.parametrize("unit", ["unit", "raw", "sd"])
def test_apply_vector(unit):
    z, v, factors = latents(3), vector(), [-4, -0.5, 0, 2]
    found = apply_vector(z, v, factors, unit)
    assert found.shape == (3, 4, 6) and found.dtype == np.float32
    for i, row in enumerate(z):
        for j, factor in enumerate(factors):
            np.testing.assert_allclose(found[i, j], row + factor * v.step(unit), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(found[:, 2], z)  # 0 leaves a face as it is


def test_apply_vector_in_pictures():
    model, z, v = LinearModel(), latents(3), vector()
    pictures = apply_vector(z, v, [0, 1, 2, 3], model=model)
    assert pictures.shape == (3, 4, 4, 4, 3) and pictures.dtype == np.uint8
    np.testing.assert_array_equal(pictures[2, 3], model.decode((z[2:] + 3 * v.unit).astype(np.float32))[0])


def test_apply_vector_bad_input():
    z, v = latents(3), vector()
    with pytest.raises(InputError, match=r"\[n,6\], not \(3, 5\)"):
        apply_vector(z[:, :5], v, [1])
    with pytest.raises(InputError, match=r"not \(6,\)"):
        apply_vector(z[0], v, [1])
    for factors in ([], [np.nan], [[1.0]]):
        with pytest.raises(InputError, match="factors"):
            apply_vector(z, v, factors)  # pyright: ignore[reportArgumentType]
    with pytest.raises(InputError, match="unknown unit"):
        apply_vector(z, v, [1], "length")  # pyright: ignore[reportArgumentType]
