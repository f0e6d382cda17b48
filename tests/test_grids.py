import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit

from jvae.errors import InputError
from jvae.latent.grids import analogy, between_four, j_diagram, neighbourhood
from jvae.latent.trajectories import apply_vector, morph
from tests.test_trajectories import TRAJECTORIES, Tanh, latents, vector


@pytest.mark.parametrize("trajectory", TRAJECTORIES)
@pytest.mark.parametrize(("rows", "columns"), [(2, 2), (3, 5), (6, 4)])
def test_the_edges_of_a_sheet_are_morphs(trajectory, rows, columns):
    corners = latents(4)
    found = between_four(corners, rows, columns, trajectory)
    assert found.shape == (rows, columns, 6) and found.dtype == np.float32
    at = found[[0, 0, -1, -1], [0, -1, 0, -1]]
    assert at.tobytes() == corners.tobytes()
    a, b, c, d = corners
    for edge, (start, end) in ((found[0], (a, b)), (found[-1], (c, d)), (found[:, 0], (a, c)), (found[:, -1], (b, d))):
        np.testing.assert_array_equal(edge, morph(start, end, len(edge), trajectory))
    np.testing.assert_array_equal(found, between_four(corners.reshape(2, 2, 6), rows, columns, trajectory))


def test_a_straight_sheet_is_bilinear():
    corners = latents(4)
    found = between_four(corners, 4, 5)
    y, x = np.linspace(0, 1, 4)[:, None, None], np.linspace(0, 1, 5)[None, :, None]
    a, b, c, d = corners
    expected = (1 - y) * ((1 - x) * a + x * b) + y * ((1 - x) * c + x * d)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_a_bent_sheet_keeps_lengths():
    corners = latents(4)
    corners /= np.linalg.norm(corners, axis=1, keepdims=True)
    np.testing.assert_allclose(np.linalg.norm(between_four(corners, 6, 7, "slerp"), axis=-1), 1, atol=1e-6)


def test_analogy():
    a, b, c = latents(3)
    found = analogy(a, b, c, 5)
    assert found.shape == (5, 6) and found.dtype == np.float32
    assert found[0].tobytes() == c.tobytes()
    for t, row in zip(np.linspace(0, 1, 5), found, strict=True):
        np.testing.assert_allclose(row, c + t * (b - a), atol=1e-6)
    np.testing.assert_array_equal(analogy(a, a, c, 3), np.stack([c] * 3))
    np.testing.assert_allclose(analogy(a, b, a, 3)[-1], b, atol=1e-6)
    for trajectory in TRAJECTORIES:
        np.testing.assert_array_equal(analogy(a, b, c, 4, trajectory)[-1], found[-1])
    np.testing.assert_array_equal(analogy(a, b, c, 4, even=Tanh()), morph(c, found[-1], 4, even=Tanh()))


@pytest.mark.parametrize("trajectory", TRAJECTORIES)
def test_the_corners_of_a_j_diagram(trajectory):
    a, b, c = latents(3)
    found = j_diagram(a, b, c, 4, 5, trajectory)
    np.testing.assert_array_equal(found[[0, 0, -1], [0, -1, 0]], [a, b, c])
    np.testing.assert_array_equal(found[-1], analogy(a, b, c, 5, trajectory))
    np.testing.assert_array_equal(found[0], morph(a, b, 5, trajectory))


@pytest.mark.parametrize("unit", ["unit", "raw", "sd"])
def test_neighbourhood(unit):
    z, vx, vy = latents(1)[0], vector(seed=0), vector(seed=5)
    x, y = [-3, 0, 1.5], [-1, 0, 2, 4]
    found = neighbourhood(z, vx, vy, x, y, unit)
    assert found.shape == (4, 3, 6) and found.dtype == np.float32
    for i, j in np.ndindex(4, 3):
        np.testing.assert_allclose(found[i, j], z + y[i] * vy.step(unit) + x[j] * vx.step(unit), atol=1e-6)
    np.testing.assert_array_equal(found[1], apply_vector(z[None], vx, x, unit)[0])
    np.testing.assert_array_equal(found[:, 1], apply_vector(z[None], vy, y, unit)[0])


def test_a_neighbourhood_of_probabilities_is_what_its_labels_say():
    vx, vy = (dataclasses.replace(vector(seed=s), slope=2.0, intercept=0.5 - s) for s in (0, 5))
    z, x, y = latents(1)[0], np.array([0.01, 0.3, 0.99]), np.array([0.1, 0.9])
    assert abs(vx.unit @ vy.unit) > 0.1  # so that each shift along one changes what the other reads
    found = neighbourhood(z, vx, vy, x, y, "probability")
    for attribute, labels in ((vx, np.stack([x] * 2)), (vy, np.stack([y] * 3, axis=1))):
        read = expit(attribute.slope * (found @ attribute.unit) + attribute.intercept)
        np.testing.assert_allclose(read, labels, atol=1e-6)
    aside = np.linalg.svd([vx.unit, vy.unit])[2][2:]  # [4,d]
    np.testing.assert_allclose((found - z) @ aside.T, 0, atol=1e-6)  # by the shortest way
    for other in (vx, dataclasses.replace(vx, vector=-2 * vx.vector)):
        with pytest.raises(InputError, match="the vectors of Eyeglasses and Eyeglasses do not point different ways"):
            neighbourhood(z, vx, other, x, y, "probability")
    with pytest.raises(InputError, match="must lie between 0 and 1"):
        neighbourhood(z, vx, vy, x, [0, 0.5], "probability")


@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=6, max_size=6))
def test_the_centre_of_a_neighbourhood_is_exact(values):
    z = np.array(values, np.float32)
    assert neighbourhood(z, vector(seed=0), vector(seed=5), [0, 1], [0, 1])[0, 0].tobytes() == z.tobytes()


def test_in_pictures_by_one_call():
    z = latents(4)
    for draw, shape in (
        (lambda model: between_four(z, 3, 5, model=model), (3, 5)),
        (lambda model: j_diagram(*z[:3], rows=3, columns=5, model=model), (3, 5)),
        (lambda model: analogy(*z[:3], steps=5, model=model), (5,)),
        (lambda model: neighbourhood(z[0], vector(), vector(seed=5), [0, 1], [1, 2, 3], model=model), (3, 2)),
    ):
        model = Tanh()
        pictures = draw(model)
        assert pictures.shape == (*shape, 2, 6, 3) and pictures.dtype == np.uint8 and model.calls == 1
        np.testing.assert_array_equal(pictures, model.decode(draw(None).reshape(-1, 6)).reshape(pictures.shape))


def test_bad_input():
    z, v = latents(4), vector()
    for corners in (z[:3], z[0], z[None]):
        with pytest.raises(InputError, match=r"\[4,d\] or \[2,2,d\]"):
            between_four(corners)
    with pytest.raises(InputError, match="rows=1 and columns=5"):
        between_four(z, 1, 5)
    with pytest.raises(InputError, match="unknown trajectory"):
        between_four(z, 3, 3, "arc")  # pyright: ignore[reportArgumentType]
    for wrong in (z[0][:5], z):
        for draw in (analogy, j_diagram):
            with pytest.raises(InputError, match="a, b and c must be latents of one shape"):
                draw(z[0], z[1], wrong)
    with pytest.raises(InputError, match="steps=1"):
        analogy(*z[:3], steps=1)
    with pytest.raises(InputError, match=r"z must be a latent \[6\], not \(4, 6\)"):
        neighbourhood(z, v, v, [1], [1])
    with pytest.raises(InputError, match="Eyeglasses has 6 latents and Eyeglasses 5"):
        neighbourhood(z[0], v, vector(5), [1], [1])
    for factors in ([], [np.inf]):
        with pytest.raises(InputError, match="factors"):
            neighbourhood(z[0], v, v, [1], factors)
    with pytest.raises(InputError, match="unknown unit"):
        neighbourhood(z[0], v, v, [1], [1], "length")  # pyright: ignore[reportArgumentType]
