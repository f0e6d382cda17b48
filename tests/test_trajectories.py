import math
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from jvae.errors import InputError
from jvae.latent.attribute import AttributeVector
from jvae.latent.trajectories import Trajectory, apply_vector, even_steps, gaussian_lerp, lerp, loop, morph, slerp
from tests.test_statistics import LinearModel

T = np.linspace(0, 1, 11)
TRAJECTORIES: tuple[Trajectory, ...] = ("lerp", "slerp", "gaussian")


class Tanh:
    """Decodes a latent to a gray of 0.5 + 0.5 tanh(z) in each of d columns of pixels, and counts its calls."""

    def __init__(self):
        self.calls = 0

    def decode(self, z):
        assert z.ndim == 2
        self.calls += 1
        gray = np.round(255 * (0.5 + 0.5 * np.tanh(z.astype(np.float64))))
        return np.broadcast_to(gray[:, None, :, None], (len(z), 2, z.shape[1], 3)).astype(np.uint8)


def distances(pictures):
    """Mean absolute differences of neighbours."""
    return np.abs(np.diff(pictures.astype(int), axis=0)).mean((1, 2, 3))


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


@pytest.mark.parametrize("size", [1e-320, 1e-300, 1e-30, 1e30, 1e300])
def test_slerp_of_huge_and_tiny_lengths_turns_as_any(size):
    a, b = np.array([3.0, 0, 4]), np.array([0.0, 10, 0])
    found, expected = slerp(a * size, b * size, T), slerp(a, b, T)
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found / size, expected, rtol=1e-12 if size > 1e-310 else 1e-2, atol=1e-12)
    unequal = slerp(a, b * size, T)  # the direction turns at the same rate whatever the lengths are
    np.testing.assert_allclose(np.arctan2(unequal[1:-1, 1], unequal[1:-1, 0] / 0.6), T[1:-1] * np.pi / 2)


def test_gaussian_lerp_is_even_in_probability():
    normal = NormalDist()
    a, b = np.array([-2.0, 0.3, 1.5, 0.0]), np.array([1.0, 0.4, -3.0, 0.0])
    found = gaussian_lerp(a, b, T)
    for t, row in zip(T, found, strict=True):
        expected = [normal.inv_cdf((1 - t) * normal.cdf(x) + t * normal.cdf(y)) for x, y in zip(a, b, strict=True)]
        np.testing.assert_allclose(row, expected, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("side", [-1, 1])
def test_gaussian_lerp_in_the_tails(side):
    def beyond(x):
        return math.erfc(x / math.sqrt(2)) / 2  # the upper tail, without 1 - Φ

    inverse = NormalDist().inv_cdf
    a, b = np.array([9.0, 12, 12, 12, 36]), np.array([12.0, 9, 12, 0.5, 12])
    for t, row in zip(T, gaussian_lerp(side * a, side * b, T), strict=True):
        expected = [-inverse((1 - t) * beyond(x) + t * beyond(y)) for x, y in zip(a, b, strict=True)]
        np.testing.assert_allclose(side * row, expected, rtol=1e-12)
    across = gaussian_lerp(np.array([12.0 * side]), np.array([-12.0 * side]), T)[:, 0]
    np.testing.assert_allclose(across[1:-1], [side * inverse(1 - t) for t in T[1:-1]], atol=1e-12)
    np.testing.assert_allclose(across[[0, -1]], [12 * side, -12 * side], rtol=1e-14)


anything = st.floats(width=32, allow_nan=False, allow_infinity=False)


@given(anything, anything)
@example(12.0, -12.0)
@example(3.4e38, -3.4e38)
@example(3.4e38, 1e-45)
@example(8.3, 8.300001)
def test_gaussian_lerp_goes_from_end_to_end_and_mirrors(a, b):
    a, b = np.array([a]), np.array([b])
    found = gaussian_lerp(a, b, T)
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found[[0, -1]], [a, b], rtol=1e-10, atol=1e-12)
    assert (np.diff(found[:, 0]) * np.sign(b - a) >= -1e-9 * np.abs([a, b]).max() - 1e-12).all()
    np.testing.assert_allclose(gaussian_lerp(-a, -b, T), -found, rtol=1e-12, atol=1e-15)


numbers = st.floats(-10, 10, width=32)
points = st.lists(numbers, min_size=4, max_size=4).map(lambda x: np.array(x, np.float32))


@settings(max_examples=60, deadline=None)
@given(points, points, st.sampled_from(TRAJECTORIES), st.integers(2, 12), st.booleans())
def test_morph_ends_are_exact_and_the_way_is_finite(start, end, trajectory, steps, even):
    z = morph(start, end, steps, trajectory, even=Tanh() if even else None)
    assert z.shape == (steps, 4) and z.dtype == np.float32
    assert z[0].tobytes() == start.tobytes() and z[-1].tobytes() == end.tobytes()
    assert np.isfinite(z).all()
    if trajectory != "gaussian":
        longest = max(np.linalg.norm(start), np.linalg.norm(end))
        assert (np.linalg.norm(z, axis=1) <= longest * (1 + 1e-5)).all()


@pytest.mark.parametrize("trajectory", TRAJECTORIES)
def test_morph_of_rows_is_that_of_each(trajectory):
    starts, ends, model = latents(3), latents(3, seed=2), Tanh()
    ways = morph(starts, ends, 5, trajectory)
    assert ways.shape == (3, 5, 6)
    for i in range(3):
        np.testing.assert_array_equal(ways[i], morph(starts[i], ends[i], 5, trajectory))
    pictures = morph(starts, ends, 5, trajectory, model)
    assert pictures.shape == (3, 5, 2, 6, 3) and model.calls == 1
    np.testing.assert_array_equal(pictures[1, 2], model.decode(ways[1, 2][None])[0])
    even = morph(starts, ends, 5, trajectory, even=model)
    for i in range(3):
        np.testing.assert_array_equal(even[i], morph(starts[i], ends[i], 5, trajectory, even=Tanh()))
    assert model.calls == 3  # one for the rows together


def test_morph_keeps_the_order_of_its_ends():
    a, b = latents(2)
    for trajectory in TRAJECTORIES:
        np.testing.assert_allclose(morph(a, b, 7, trajectory), morph(b, a, 7, trajectory)[::-1], atol=1e-5)
        assert not np.array_equal(morph(a, b, 7, trajectory), morph(b, a, 7, trajectory))


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
    with pytest.raises(InputError, match="unknown trajectory 'slerpy': did you mean slerp"):
        morph(a, b, trajectory="slerpy")  # pyright: ignore[reportArgumentType]
    with pytest.raises(InputError, match="one shape"):
        morph(a, b[:3])
    with pytest.raises(InputError, match="one shape"):
        morph(a[None, None], b[None, None])


def test_even_steps_are_those_of_the_inverse():
    start, end = np.array([-2.0], np.float32), np.array([3.0], np.float32)
    t, low, high = even_steps(start, end, 9, model=Tanh()), np.tanh(-2), np.tanh(3)
    assert t[0] == 0 and t[-1] == 1 and (np.diff(t) > 0).all()
    expected = (np.arctanh(np.linspace(low, high, 9)[1:-1]) + 2) / 5
    np.testing.assert_allclose(t[1:-1], expected, atol=0.01)
    uneven, even = (distances(morph(start, end, 9, model=Tanh(), even=by)) for by in (None, Tanh()))
    assert uneven.max() > 20 * uneven.min()
    assert even.max() < 1.2 * even.min()


def test_even_steps_of_a_way_that_starts_fast():
    class Linear(Tanh):
        def decode(self, z):
            return super().decode(np.arctanh(z.astype(np.float64) / 4))

    start, end = np.array([-3.5], np.float32), np.array([3.5], np.float32)
    uneven, even = (morph(start, end, 9, "gaussian", even=by)[:, 0] for by in (None, Linear()))
    assert np.diff(uneven).max() > 5 * np.diff(uneven).min()
    np.testing.assert_allclose(even, np.linspace(-3.5, 3.5, 9), atol=0.1)


def test_even_steps_where_nothing_changes():
    z = latents(2)
    np.testing.assert_array_equal(even_steps(z[0], z[0], 5, model=Tanh()), np.linspace(0, 1, 5))
    far = np.full((2, 6), 50, np.float32)
    far[1] = 60  # all white
    np.testing.assert_array_equal(even_steps(far[0], far[1], 5, model=Tanh()), np.linspace(0, 1, 5))
    np.testing.assert_array_equal(morph(z[0], z[0], 4, even=Tanh()), np.stack([z[0]] * 4))


def test_even_steps_pass_over_what_stands_still():
    t = even_steps(np.array([-100.0]), np.array([100.0]), 11, model=Tanh())
    assert t[0] == 0 and t[-1] == 1
    assert ((t[1:-1] > 0.48) & (t[1:-1] < 0.52)).all() and (np.diff(t) >= 0).all()


def test_even_steps_bad_input():
    a, b = latents(2)
    with pytest.raises(InputError, match="steps=1"):
        even_steps(a, b, 1, model=Tanh())
    with pytest.raises(InputError, match="unknown trajectory"):
        even_steps(a, b, 3, "slurp", model=Tanh())  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("trajectory", TRAJECTORIES)
@pytest.mark.parametrize("n", [2, 5])
@pytest.mark.parametrize("even", [None, Tanh()])
def test_a_loop_meets_each_face_once(trajectory, n, even):
    z = latents(n)
    tour = loop(z, 7, trajectory, even=even)
    assert tour.shape == (7 * n, 6) and tour.dtype == np.float32
    at = [np.flatnonzero((tour == face).all(1)).tolist() for face in z]
    assert all(len(rows) == 1 for rows in at) and at == sorted(at)
    assert at[0] == [0] and (even or at == [[7 * i] for i in range(n)])
    assert (tour != np.roll(tour, 1, axis=0)).any(1).all()  # no frame twice at the joins


@pytest.mark.parametrize("trajectory", TRAJECTORIES)
def test_the_legs_of_a_loop_are_morphs(trajectory):
    z = latents(3)
    tour = loop(z, 4, trajectory)
    for i in range(3):
        leg = np.stack([*tour[4 * i : 4 * i + 4], tour[(4 * i + 4) % 12]])
        np.testing.assert_array_equal(leg, morph(z[i], z[(i + 1) % 3], 5, trajectory))
    np.testing.assert_array_equal(loop(z, 1, trajectory), z)


def test_a_loop_at_an_even_speed():
    z = np.array([[0, 0], [0.1, 0], [3, -3], [-2, 1]], np.float32)  # one leg is very short
    model = Tanh()
    even, uneven = loop(z, 30, model=model, even=model), loop(z, 30, model=Tanh())
    assert model.calls == 2 and even.shape == (120, 2, 2, 3)
    steps, others = (distances(np.concatenate([x, x[:1]])) for x in (even, uneven))
    assert others.max() > 20 * np.median(others[others > 0]) or others.min() == 0
    assert steps.max() < 1.5 * steps.mean() and steps.min() > 0.5 * steps.mean()


@given(st.lists(st.sampled_from([0.0, 1e-6, 0.1, 1.0, 40.0]), min_size=2, max_size=6), st.integers(1, 5))
def test_the_shortest_leg_gets_a_frame(places, steps):
    z = np.array(places, np.float32)[:, None] * np.ones((1, 2), np.float32)
    tour = loop(z, steps, even=Tanh())
    assert tour.shape == (len(z) * steps, 2) and np.isfinite(tour).all()
    rows = iter(tour)
    assert all(any(np.array_equal(row, face) for row in rows) for face in z)  # each there, in their order


def test_loop_bad_input():
    with pytest.raises(InputError, match=r"at least 2 of them, not \(1, 6\)"):
        loop(latents(1))
    with pytest.raises(InputError, match=r"not \(6,\)"):
        loop(latents(1)[0])
    with pytest.raises(InputError, match="steps=0"):
        loop(latents(3), 0)
    with pytest.raises(InputError, match="unknown trajectory"):
        loop(latents(3), 3, "arc", even=Tanh())  # pyright: ignore[reportArgumentType]


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
