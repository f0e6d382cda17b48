import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jvae.config import Config, LoopConfig
from jvae.errors import InputError
from jvae.models import linear, loss
from jvae.models.linear import Linear
from jvae.models.model import Decode, Encode
from jvae.runtime.mesh import make_mesh
from jvae.trained import load
from jvae.training.loop import train
from jvae.training.tasks.supervised import Supervised
from jvae.training.tasks.vae import Vae
from tests.faces import small_store

ONE = make_mesh(jax.devices()[:1])
R = 5_000.0
NOISE = 16 * 16 * 3 / (2 * R)


@pytest.fixture(scope="module")
def exact():
    """Images, and by NumPy's float64 the mean, eigenvalues (falling) and eigenvectors of their covariance."""
    images = small_store().images[:90]
    x = images.reshape(90, -1) / 255.0
    values, vectors = np.linalg.eigh(np.cov(x.T, bias=True))
    return images, x.mean(0), values[::-1], vectors[:, ::-1]


@pytest.mark.parametrize("count", [5, 200])
def test_components_are_those_of_the_covariance(exact, count):
    # 5 are found by a sketch of 37 directions, 200 at once, as the sketch would be a third of all there are
    images, mean, values, vectors = exact
    found = linear.principal(images, np.arange(90), ONE, count=count, noise=NOISE)
    np.testing.assert_allclose(found[0], mean, atol=1e-7)
    np.testing.assert_allclose(found[1], values[:count], atol=2e-6 * values[0])
    clear = [i for i in range(4) if values[i] > 1.1 * values[i + 1]]
    assert len(clear) > 2
    np.testing.assert_allclose(np.abs((found[2] * vectors[:, :count]).sum(0))[clear], 1, atol=1e-5)


def test_no_parameter_of_the_optimum_has_a_gradient(exact):
    images, _, values, _ = exact
    params = linear.Linear(image_size=16, latent_dim=6).solve(images, np.arange(90), ONE, r_loss_factor=R)["params"]
    x = jnp.asarray(images.reshape(90, -1) / 255.0, jnp.float32)

    def objective(params):  # of the decoder without its clip, the sample of z integrated
        centred = x - params["mean"].reshape(1, -1)
        mean, logvar = centred @ params["encoder"], params["logvar"]
        error = jnp.sum(jnp.square(centred - mean @ params["decoder"]), 1)
        spread = jnp.sum(jnp.exp(logvar) * jnp.sum(jnp.square(params["decoder"]), 1))
        kl = loss.kl_divergence(mean, jnp.broadcast_to(logvar.reshape(1, -1), mean.shape))
        return jnp.mean((error + spread) / (2 * NOISE) + kl)

    value, gradients = jax.jit(jax.value_and_grad(objective))(params)
    assert value == pytest.approx(linear.expected_objective(values[:6], values.sum(), NOISE), rel=1e-5)
    for name, gradient in gradients.items():
        moved = {**params, name: params[name] + 1e-2 * np.abs(params[name]).max() * np.sign(gradient + 1e-9)}
        assert np.abs(gradient).max() < 2e-3 * (1 + np.abs(params[name]).max() / NOISE), name
        assert objective(moved) > value, name


def test_directions_below_the_noise_are_not_used(exact):
    images, mean, values, _ = exact
    noise = (values[2] + values[3]) / 2
    params = Linear(image_size=16, latent_dim=6).solve(
        images, np.arange(90), ONE, r_loss_factor=16 * 16 * 3 / (2 * noise)
    )["params"]
    assert (np.abs(params["decoder"]).max(1) > 0).tolist() == [True] * 3 + [False] * 3
    assert (np.abs(params["encoder"]).max(0) > 0).tolist() == [True] * 3 + [False] * 3
    np.testing.assert_allclose(params["logvar"], np.log(noise / np.maximum(values[:6], noise)), atol=1e-5)
    module = Linear(image_size=16, latent_dim=6).module()
    posterior = Encode(module)({"params": params}, jnp.asarray(images))
    assert (loss.kl_per_dimension(*posterior).max(0) > 0).tolist() == [True] * 3 + [False] * 3
    decoded = Decode(module)({"params": params}, jnp.zeros((1, 6)))
    np.testing.assert_allclose(decoded.reshape(-1), mean, atol=1e-6)


def test_the_answer_does_not_depend_on_devices_or_batches(exact, monkeypatch):
    images = exact[0]
    cfg = Linear(image_size=16, latent_dim=3)
    first, again = (cfg.solve(images, np.arange(90), ONE, r_loss_factor=R)["params"] for _ in range(2))
    monkeypatch.setattr(linear, "BATCH", 25)  # 90 are no whole number of batches
    other = cfg.solve(images, np.arange(90), make_mesh(), r_loss_factor=R)["params"]
    for name, value in first.items():
        np.testing.assert_array_equal(value, again[name])
        np.testing.assert_allclose(value, other[name], atol=1e-3 * np.abs(value).max())


def test_only_the_rows_asked_for_are_read(exact):
    class Odd:  # decodes on the way, and fails for what it must not be asked
        shape, ndim, dtype = (90, 16, 16, 3), 4, np.dtype(np.uint8)

        def __getitem__(self, rows):
            assert (rows % 2 == 1).all()
            return exact[0][rows]

    rows = np.arange(1, 90, 2)
    found = linear.principal(Odd(), rows, ONE, count=3, noise=NOISE)
    expected = linear.principal(exact[0][rows], np.arange(45), ONE, count=3, noise=NOISE)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("n", [1, 7])
def test_fewer_images_than_latents(n):
    images = small_store().images[:n]
    params = Linear(image_size=16, latent_dim=9).solve(images, np.arange(n), ONE, r_loss_factor=1e9)["params"]
    assert (np.abs(params["decoder"]).max(1) > 0).sum() == n - 1
    module = Linear(image_size=16, latent_dim=9).module()
    x = jnp.asarray(images)
    recon = Decode(module)({"params": params}, Encode(module)({"params": params}, x).mean)
    np.testing.assert_allclose(recon * 255, images, atol=0.5)


def test_decoded_values_are_clipped():
    module = Linear(image_size=16, latent_dim=2).module()
    params = {"mean": np.full(768, 0.5), "encoder": np.zeros((768, 2)), "logvar": np.zeros(2)}
    params["decoder"] = np.stack([np.ones(768), np.zeros(768)])
    params = jax.tree.map(np.float32, params)
    values = Decode(module)({"params": params}, jnp.array([[-3.0, 0], [0, 0], [0.25, 0], [3, 0]]))[:, 0, 0, 0]
    assert values.tolist() == [0, 0.5, 0.75, 1]


def test_bfloat16_is_close():
    module, low = (Linear(image_size=16, latent_dim=8).module(dtype) for dtype in (jnp.float32, jnp.bfloat16))
    images = small_store().images[:90]
    variables = Linear(image_size=16, latent_dim=8).solve(images, np.arange(90), ONE, r_loss_factor=R)
    mean = Encode(module)(variables, jnp.asarray(images)).mean
    found = Encode(low)(variables, jnp.asarray(images)).mean
    assert found.dtype == jnp.float32
    np.testing.assert_allclose(found, mean, atol=0.02 * np.abs(mean).max())
    np.testing.assert_allclose(Decode(low)(variables, mean), Decode(module)(variables, mean), atol=0.02)


def test_a_run_is_solved_saved_and_loaded(tmp_path):
    store = small_store()
    cfg = Config(model=Linear(latent_dim=6), objective=Vae(r_loss_factor=R))
    ending = train(cfg, store, tmp_path / "run", mesh=ONE, progress=False)
    assert (ending.step, ending.total) == (1, 1) and ending.scores
    assert train(cfg, store, tmp_path / "run", mesh=ONE, progress=False).step == 1  # and nothing is done again
    model = load(tmp_path / "run", mesh=ONE)
    images = store.images[store.indices("validation")]
    z = model.encode(images)
    assert z.shape == (len(images), 6)
    error = np.square(model.decode(z) / 255.0 - images / 255.0).mean()
    assert error == pytest.approx(ending.scores["error"], rel=0.01)


def test_an_objective_of_more_terms_trains_it_by_steps(tmp_path):
    store = small_store()
    loop = LoopConfig(batch_size=8, steps=6, eval_every=6, chunk_steps=3)
    cfg = Config(model=Linear(latent_dim=4), objective=Supervised(r_loss_factor=R), loop=loop)
    ending = train(cfg, store, tmp_path / "run", mesh=ONE, progress=False)
    assert ending.total == 6 and ending.scores and np.isfinite(ending.scores["objective"])
    assert load(tmp_path / "run", mesh=ONE).encode(store.images[:3]).shape == (3, 4)


def test_a_latent_at_least():
    with pytest.raises(InputError, match="latent_dim=0"):
        Linear(latent_dim=0)
