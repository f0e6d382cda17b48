import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jvae.errors import InputError
from jvae.latent.encoding import attribute_statistics, sample_rows
from jvae.latent.statistics import Statistics, Sum, add, add_totals, init_statistics, totals, update
from jvae.latent.vectors import AttributeVectors
from jvae.runtime.mesh import make_mesh

N, D, A = 200_000, 16, 8
NAMES = tuple("abcdefgh")


def encode_linearly(variables, images):
    """What every `LinearModel` encodes by, so that all share what is compiled."""
    flat = images.reshape(len(images), -1).astype(jnp.float32) / 255
    mean = jnp.matmul(flat, variables["weights"], precision="highest") + variables["bias"][None]
    return mean, jnp.full_like(mean, -2.0)


class LinearModel:
    """A model whose latents are a linear map of the pixels: 4x4 images, d latents. Decodes to a colour a latent."""

    image_size = 4
    step = 7

    def __init__(self, d=6, seed=0, mesh=None, wrap=lambda f: f, size=4):
        self.latent_dim = d
        self.mesh = make_mesh(jax.devices()[:1]) if mesh is None else mesh
        weights = np.random.default_rng(seed).normal(size=(size * size * 3, d)).astype(np.float32) / 4
        self.variables = {"weights": weights, "bias": np.zeros(d, np.float32)}

        def decode_fn(variables, z):
            colour = jax.nn.sigmoid(z[:, :3])[:, None, None, :]
            return jnp.broadcast_to(colour, (len(z), size, size, 3))

        self.encode_fn, self.decode_fn = wrap(encode_linearly), decode_fn

    def encode(self, images):
        return np.asarray(self.encode_fn(self.variables, images)[0])

    def decode(self, z):
        x = np.asarray(self.decode_fn(self.variables, z))
        return np.round(x * 255).astype(np.uint8)


@functools.cache
def rows():
    """Latents of uneven scale and offset, and correlated labels that move them: rare, common and in between."""
    rng = np.random.default_rng(0)
    hidden = rng.normal(size=(N, A)) + rng.normal(size=(N, 1))
    attrs = hidden > np.linspace(-1.5, 4.5, A)
    scale = np.geomspace(0.05, 2, D)
    z = rng.normal(size=(N, D)) * scale + 3 * rng.normal(size=D) + attrs @ (rng.normal(size=(A, D)) * 0.1)
    return z.astype(np.float32), attrs


@functools.cache
def reference():
    """The sums of `rows` in float64, by their definitions."""
    z, attrs = rows()
    z, labels = z.astype(np.float64), attrs.astype(np.float64)
    return N, *sums_by_definition(z, labels)


def sums_by_definition(z, labels):
    """The fields of Totals from the second on, of latents [n,d] and labels [n,a]."""
    pair_z = np.stack([(labels * column[:, None]).T @ z for column in labels.T])
    return labels.sum(0), labels.T @ labels, z.sum(0), z.T @ z, labels.T @ z, labels.T @ z**2, pair_z


def reference_vectors():
    n, counts, _, z, _, attr_z, *_ = reference()
    return attr_z / counts[:, None] - (z - attr_z) / (n - counts)[:, None]


@functools.partial(jax.jit, donate_argnums=0)
def step(stats, z, attrs, mask):
    return update(stats, z, attrs, mask)


@functools.cache
def in_batches_of_512():
    return accumulate(512)


def accumulate(batch_size, order=None):
    """Feeds `rows` through the jitted, donated update; the last batch is filled up with rows that must not count."""
    z, attrs = rows() if order is None else (x[order] for x in rows())
    stats = init_statistics(A, D)
    for i in range(0, N, batch_size):
        block, labels = z[i : i + batch_size], attrs[i : i + batch_size]
        fill = batch_size - len(block)
        block = np.concatenate([block, np.full((fill, D), np.nan, np.float32)])
        labels = np.concatenate([labels, np.ones((fill, A), bool)])
        stats = step(stats, block, labels, np.arange(batch_size) < batch_size - fill)
    return stats


def relative(found, expected):
    """The error's norm over the norm, of each row of an array."""
    found, expected = np.atleast_2d(found), np.atleast_2d(expected)
    return np.linalg.norm(found - expected, axis=-1) / np.linalg.norm(expected, axis=-1)


def vectors_of(stats):
    known = AttributeVectors.from_statistics(stats, NAMES)
    return np.stack([known[name].vector for name in NAMES])


def test_exact_over_200_000_rows():
    found, expected = totals(in_batches_of_512()), reference()  # 391 batches, the last of 320 rows
    assert found.n == N
    np.testing.assert_array_equal(found.counts, expected[1])
    np.testing.assert_array_equal(found.pairs, expected[2])
    for value, exact in zip(found[3:], expected[3:], strict=True):
        assert relative(value, exact).max() < 1e-6
        assert value.shape == exact.shape
    assert relative(vectors_of(in_batches_of_512()), reference_vectors()).max() < 1e-5
    assert found.counts.min() < 2000 and found.counts.max() > 150_000  # so the rare ones are meant too


@pytest.mark.parametrize("batch_size", [1000, 8192, 50_000, N])
def test_the_same_for_any_batch_size(batch_size):
    found = vectors_of(accumulate(batch_size))
    assert relative(found, reference_vectors()).max() < 1e-5
    assert relative(found, vectors_of(in_batches_of_512())).max() < 1e-5


def test_the_same_in_any_order():
    shuffled = accumulate(512, np.random.default_rng(1).permutation(N))
    sorted_by_label = accumulate(512, np.argsort(rows()[1][:, 4], kind="stable"))
    for stats in (shuffled, sorted_by_label):
        assert relative(vectors_of(stats), vectors_of(in_batches_of_512())).max() < 1e-5


def test_totals_add():
    z, attrs = rows()
    starts = range(0, 20_000, 5000)
    parts = [step(init_statistics(A, D), z[i : i + 5000], attrs[i : i + 5000], None) for i in starts]
    assert len({float(part.origin[0]) for part in parts}) == 4
    found = add_totals([totals(part) for part in parts])
    whole = totals(step(init_statistics(A, D), z[:20_000], attrs[:20_000], None))
    assert found.n == whole.n == 20_000
    for a, b in zip(found[1:], whole[1:], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-3)


def test_compensation_survives_the_compiler():
    # Each addition alone is lost: 2**24 + 1 rounds to 2**24 in float32.
    def body(total, value):
        return add(total, value), None

    start = Sum(jnp.full(3, 2.0**24), jnp.zeros(3))
    total, _ = jax.jit(lambda s, x: jax.lax.scan(body, s, x))(start, jnp.ones((1001, 3)))
    np.testing.assert_array_equal(np.float64(total.value) + np.float64(total.lost), 2.0**24 + 1001)
    unrolled = jax.jit(lambda s: functools.reduce(add, [jnp.ones(3)] * 7, s))(start)
    np.testing.assert_array_equal(np.float64(unrolled.value) + np.float64(unrolled.lost), 2.0**24 + 7)


def test_compensation_of_update():
    # Rows at zero, where the sums begin, large ones, then small ones that float32 alone would drop.
    stats = step(init_statistics(1, 1), np.zeros((8, 1), np.float32), np.ones((8, 1), bool), None)
    stats = step(stats, np.full((8, 1), 2.0**22, np.float32), np.ones((8, 1), bool), None)
    for _ in range(100):
        stats = step(stats, np.full((8, 1), 0.125, np.float32), np.ones((8, 1), bool), None)
    assert totals(stats).z == 2.0**25 + 100
    assert float(stats.z.value[0]) + float(stats.z.lost[0]) == 2.0**25 + 100


def test_latents_that_hardly_vary_far_from_zero():
    rng = np.random.default_rng(1)
    attrs = rng.random((20_000, 1)) < 0.3
    z = (3 + 1e-4 * rng.normal(size=(len(attrs), 2)) + 2e-6 * attrs).astype(np.float32)  # a variance of 1e-8
    stats = init_statistics(1, 2)
    for i in range(0, len(z), 5000):
        stats = step(stats, z[i : i + 5000], attrs[i : i + 5000], None)
    exact = np.cov(z.T.astype(np.float64))
    found = totals(stats)
    np.testing.assert_allclose(found.zz - np.outer(found.z, found.z) / found.n, exact * (len(z) - 1), rtol=1e-5)
    (vector,) = np.asarray(AttributeVectors(found, ("a",)))
    z = z.astype(np.float64)
    np.testing.assert_allclose(vector, z[attrs[:, 0]].mean(0) - z[~attrs[:, 0]].mean(0), rtol=1e-4)


def test_masked_rows_add_nothing():
    z = np.array([[1, 2], [np.nan, np.inf], [3, 4]], np.float32)
    stats = step(init_statistics(1, 2), z, np.ones((3, 1), bool), np.array([True, False, True]))
    found = totals(stats)
    assert (found.n, found.counts[0], found.pairs[0, 0]) == (2, 2, 2)
    np.testing.assert_array_equal(found.z, [4, 6])
    np.testing.assert_array_equal(found.zz, [[10, 14], [14, 20]])
    np.testing.assert_array_equal(found.attr_zz, [[10, 20]])


def test_statistics_is_a_pytree_of_fixed_types():
    stats = step(init_statistics(3, 2), np.zeros((4, 2), np.float32), np.zeros((4, 3), bool), None)
    assert jax.tree.map(jnp.shape, stats) == jax.tree.map(jnp.shape, init_statistics(3, 2))
    assert isinstance(jax.tree.map(lambda x: x, stats), Statistics)
    assert {str(x.dtype) for x in jax.tree.leaves(stats)} == {"int32", "float32"}


# From images


def whole(halves):
    return add_totals([totals(half) for half in halves])


@functools.cache
def pictures(n=1003):
    rng = np.random.default_rng(2)
    return rng.integers(0, 256, (n, 4, 4, 3), dtype=np.uint8), rng.random((n, 5)) < [0.5, 0.1, 0.9, 0.02, 0.3]


def expected_sums(model, indices):
    images, attrs = pictures()
    z = images[indices].reshape(len(indices), -1) / 255.0 @ model.variables["weights"].astype(np.float64)
    labels = attrs[indices].astype(np.float64)
    return len(indices), *sums_by_definition(z, labels)


@pytest.mark.parametrize("devices", [1, 2])
@pytest.mark.parametrize("batch_size", [100, 5000])
def test_one_pass_over_images(devices, batch_size, traced_once):
    images, attrs = pictures()
    model = LinearModel(mesh=make_mesh(jax.devices()[:devices]), wrap=traced_once)
    indices = np.arange(len(images))[3:]
    found = whole(attribute_statistics(model, images, attrs, indices, batch_size=batch_size))
    assert found.n == 1000
    for value, exact in zip(found[1:], expected_sums(model, indices)[1:], strict=True):
        np.testing.assert_allclose(value, exact, rtol=1e-5, atol=1e-3)


def test_mirrored_statistics_are_half_of_those_of_a_store_that_holds_both(traced_once):
    images, attrs = pictures()
    model, rows = LinearModel(wrap=traced_once), np.arange(1, 1003)
    half, other = attribute_statistics(model, images, attrs, rows, batch_size=100, mirror=True)
    both = np.concatenate([images, images[:, :, ::-1]]), np.concatenate([attrs, attrs])
    expected = whole(attribute_statistics(LinearModel(), *both, np.concatenate([rows, rows + 1003]), batch_size=100))
    found = whole((half, other))
    assert (int(half.n), int(other.n), expected.n) == (500, 502, 2004)  # an image and its mirror image in one half
    for value, twice in zip(found[1:], expected[1:], strict=True):
        if value.dtype == np.int64:
            np.testing.assert_array_equal(2 * value, twice)
        np.testing.assert_allclose(2 * value, twice, rtol=1e-6, atol=1e-4)
    means, doubled = (AttributeVectors(sums, NAMES[:5])[NAMES[0]] for sums in (found, expected))
    np.testing.assert_allclose(means.vector, doubled.vector, rtol=1e-5)
    assert means.error == pytest.approx(2**0.5 * doubled.error, rel=2e-3)  # of the images there are


@pytest.mark.skipif(len(jax.devices()) < 2, reason="needs two devices")
@pytest.mark.parametrize("mirror", [False, True])
def test_the_same_on_one_device_and_on_more(mirror):
    images, attrs = pictures()
    found = []
    for devices in (jax.devices()[:1], jax.devices()):
        model = LinearModel(mesh=make_mesh(devices))
        stats = attribute_statistics(model, images, attrs, np.arange(1003), batch_size=96, mirror=mirror)
        assert all(half.zz.value.sharding.is_fully_replicated for half in stats)
        known = AttributeVectors.from_statistics(stats, NAMES[:5])
        found.append(np.stack([known[name].vector for name in known]))
    assert relative(*found).max() < 1e-5


def test_reads_a_memory_map_in_any_order(tmp_path):
    images, attrs = pictures()
    np.save(tmp_path / "images.npy", images)
    mapped = np.load(tmp_path / "images.npy", mmap_mode="r")
    model = LinearModel()
    order = np.random.default_rng(3).permutation(1003)
    found = whole(attribute_statistics(model, mapped, attrs, order, batch_size=128))
    assert found.n == 1003
    np.testing.assert_allclose(found.attr_z, expected_sums(model, order)[5], rtol=1e-5, atol=1e-3)


def test_a_rows_sample_depends_on_seed_and_row_alone():
    images, attrs = pictures()
    model = LinearModel()
    indices = np.arange(200)

    def run(order, batch_size, seed=0):
        stats = attribute_statistics(model, images, attrs, order, batch_size=batch_size, latent="sample", seed=seed)
        return whole(stats).attr_z

    first = run(indices, 64)
    np.testing.assert_allclose(run(indices[::-1], 200), first, rtol=1e-5, atol=1e-4)
    assert np.abs(run(indices, 64, seed=1) - first).max() > 0.1
    alike = np.zeros_like(images)  # a mirror image has a sample of its own
    how = {"batch_size": 64, "latent": "sample"}
    once, twice = (whole(attribute_statistics(model, alike, attrs, indices, mirror=m, **how)) for m in (False, True))
    assert 0.3 < np.trace(twice.zz) / np.trace(once.zz) < 3 and np.abs(twice.z - once.z).max() > 0.1
    assert np.abs(expected_sums(model, indices)[5] - first).max() > 0.1  # nor is it the means


def test_samples_follow_the_posterior():
    mean, logvar = jnp.full((20_000, 1), 3.0), jnp.full((20_000, 1), 2 * jnp.log(0.5))
    z = np.asarray(jax.jit(sample_rows)(jax.random.key(0), jnp.arange(20_000), mean, logvar))
    assert abs(z.mean() - 3) < 0.02
    assert abs(z.std() - 0.5) < 0.02


def test_latents_that_are_not_finite_are_named():
    images, attrs = pictures()

    def wrap(encode_fn):
        def broken(variables, x):
            mean, logvar = encode_fn(variables, x)
            black = (x == 0).all((1, 2, 3))
            return jnp.where(black[:, None], jnp.nan, mean), logvar

        return broken

    images = images.copy()
    model = LinearModel(wrap=wrap)
    stats = attribute_statistics(model, images, attrs, np.arange(1003), batch_size=64)
    assert whole(stats).n == 1003  # though the filling of the last batch is black
    images[[700, 905]] = 0
    with pytest.raises(InputError, match="row 700 "):
        attribute_statistics(model, images, attrs, np.arange(1003), batch_size=64)
    model.variables["weights"] *= 1e20
    with pytest.raises(InputError, match="overflow"):
        attribute_statistics(model, images, attrs, np.arange(700), batch_size=64)


def test_bad_input():
    images, attrs = pictures()
    model = LinearModel()
    with pytest.raises(InputError, match="no images"):
        attribute_statistics(model, images, attrs, np.arange(0))
    with pytest.raises(InputError, match="1,003 images but 10 rows"):
        attribute_statistics(model, images, attrs[:10], np.arange(5))
    with pytest.raises(InputError, match="batch_size=0"):
        attribute_statistics(model, images, attrs, np.arange(5), batch_size=0)
