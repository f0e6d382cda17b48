import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

import jvae
from jvae.data.source import DataId
from jvae.errors import InputError
from jvae.evaluate.card import scorecard
from jvae.latent.grids import neighbourhood
from jvae.latent.trajectories import apply_vector
from jvae.latent.vectors import AttributeVectors, Origin
from jvae.models.model import Encode
from jvae.runtime.hashing import random_key
from jvae.trained import BATCH, ONE_CALL, TrainedModel, load_vectors, mean_kl
from jvae.training.loop import train
from jvae.training.run import Record, claim_run
from tests.faces import small_store
from tests.runs import ONE, TINY, fresh, whole_run
from tests.test_vectors import NAMES, data, sums


@pytest.fixture(scope="module")
def run():
    return whole_run()


@pytest.fixture(scope="module")
def model(run):
    return jvae.load(run, which="last")


def test_load_gives_what_was_trained(run, model):
    assert (model.image_size, model.latent_dim, model.step) == (16, 6, 17)
    assert jvae.load(run).step in (6, 12, 17)
    assert model.data == DataId("rendered", "rendered", small_store().checksum) and model.crop == "rendered"
    np.testing.assert_array_equal(
        jvae.load(str(run), which="last").encode(small_store().images[:3]), model.encode(small_store().images[:3])
    )


@pytest.fixture(scope="module")
def at_once(model):
    """More images than a call takes at once, and their latents by the module itself."""
    images = np.resize(small_store().images, (BATCH + 3, 16, 16, 3))
    return images, jax.jit(Encode(TINY.model.module(jnp.float32)))(model.variables, jax.device_put(images)).mean


@pytest.mark.parametrize("n", [0, 1, 7, BATCH, BATCH + 3])
def test_any_number_of_images_and_latents(model, at_once, n):
    images, expected = at_once[0][:n], at_once[1][:n]
    z = model.encode(images)
    assert z.shape == (n, 6) and z.dtype == np.float32
    recon = model.decode(z)
    assert recon.shape == (n, 16, 16, 3) and recon.dtype == np.uint8
    np.testing.assert_allclose(z, expected, atol=1e-4)


def test_decode_keeps_leading_axes(model):
    z = np.random.default_rng(0).normal(size=(2, 3, 6))
    np.testing.assert_allclose(model.decode(z)[1, 2].astype(int), model.decode(z[1, 2]), atol=1)


def test_every_count_is_encoded_by_one_program(model, compiles):
    images = small_store().images
    model.encode(images[:2])
    with compiles(at_most=0):
        assert len(model.encode(images[:50])) == 50
        np.testing.assert_array_equal(model.encode(list(images[:3])), model.encode(images[:3]))


def test_a_grid_is_one_call_of_one_program(model, compiles):
    z = np.random.default_rng(0).normal(size=(4, 5, 6))
    first = model.decode(z)
    with compiles(at_most=0):
        assert model.decode(z + 1).shape == (4, 5, 16, 16, 3)
        np.testing.assert_array_equal(model.decode(z.reshape(2, 10, 6)).reshape(first.shape), first)


def test_more_than_a_call_takes_is_decoded_in_batches(model):
    z = np.random.default_rng(0).normal(size=(ONE_CALL + 1, 6))
    np.testing.assert_allclose(model.decode(z)[-5:].astype(int), model.decode(z[-5:]), atol=1)


def test_the_kl_of_each_dimension(model):
    images = small_store().images[:40]
    mean, logvar = (x.astype(np.float64) for x in model.posterior(images))
    expected = np.mean(0.5 * (mean**2 + np.exp(logvar) - 1 - logvar), axis=0)
    found = model.kl_per_dimension(images)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    np.testing.assert_allclose(model.kl_per_dimension(images, rows=np.arange(3)), model.kl_per_dimension(images[:3]))
    np.testing.assert_array_equal(mean_kl(np.array([[1.0, 2.0]]), np.array([[0.0, -np.inf]])), [0.5, 0])


def test_loading_again_compiles_nothing(run, model, compiles):
    model.decode(model.encode(small_store().images[:2]))
    again = jvae.load(run, which="last")
    with compiles(at_most=0):
        again.decode(again.encode(small_store().images[:2]))


def test_samples_spread_by_the_posterior(model):
    images = np.repeat(small_store().images[:1], 4000, axis=0)
    mean, logvar = model.posterior(images[:1])
    z = model.encode(images, latent="sample", seed=1)
    np.testing.assert_allclose(z.mean(0), mean[0], atol=0.1)
    np.testing.assert_allclose(z.std(0), np.exp(logvar[0] / 2), rtol=0.1)
    np.testing.assert_array_equal(z[:5], model.encode(images[:5], latent="sample", seed=1))


def test_a_sample_is_that_of_its_row_whichever_rows_are_taken(model):
    images = small_store().images[:20]
    every = model.encode(images, "sample", seed=2)
    for rows in (np.array([3, 0, 19]), [-1, 4], np.arange(20) % 3 == 1):
        np.testing.assert_allclose(model.encode(images, "sample", seed=2, rows=rows), every[rows], atol=1e-5)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_latents_that_no_picture_shows_are_refused(model, value):
    z = np.zeros((2, 3, 6))
    z[1, 2, 0] = value
    with pytest.raises(InputError, match="1 of 6 latents are not finite numbers"):
        model.decode(z)


@pytest.mark.parametrize(
    "images",
    [np.zeros((2, 32, 32, 3), np.uint8), np.zeros((2, 16, 16, 3), np.float32), np.zeros((16, 16, 3), np.uint8)],
)
def test_wrong_images_are_named(model, images):
    with pytest.raises(InputError, match=r"images must be uint8 \[n,16,16,3\], not"):
        model.encode(images)


def test_vectors_are_of_the_checkpoint_they_were_estimated_with(run, model, tmp_path):
    def of(origin):
        known = AttributeVectors(sums(*data(d=6)), NAMES, origin)
        known.save(tmp_path / "v.npz")
        return known

    of(Origin(run="run", step=model.step, digest=jvae.load(run, which="last").digest))
    assert load_vectors(run, model, tmp_path / "v.npz").origin.digest == model.digest
    changed = TrainedModel(model.config, jax.tree.map(lambda leaf: -leaf, model.variables), step=model.step)
    other = of(Origin(run="twin", step=model.step, digest=changed.digest))  # of the same shapes and step
    with pytest.raises(
        InputError,
        match=r"are of twin at step 17, and the weights of .*run at step 17 are others: .*`jvae vectors --run",
    ):
        load_vectors(run, model, tmp_path / "v.npz")
    with pytest.raises(InputError, match="the vectors are of twin at step 17"):
        scorecard(model, other, None, small_store(), kinds=[])  # type: ignore[arg-type]
    smile = AttributeVectors.load(tmp_path / "v.npz")["Smiling"]
    z = np.zeros((1, 6), np.float32)
    assert apply_vector(z, smile, [0, 1], model=changed).shape == (1, 2, 16, 16, 3)
    for edit in (
        lambda: apply_vector(z, smile, [1], model=model),
        lambda: neighbourhood(z[0], smile, smile, [1], [1], model=model),
    ):
        with pytest.raises(InputError, match="the vector of Smiling was estimated with other weights than the model's"):
            edit()
    unknown = of(None)
    with pytest.raises(InputError, match="are of an unknown model"):
        load_vectors(run, model, tmp_path / "v.npz")
    apply_vector(z, unknown["Smiling"], [1], model=model)  # of no weights that anybody knows


def test_images_of_another_size_are_to_be_cropped_as_the_run_was(model):
    squashed = TrainedModel(model.config, model.variables, data=DataId("celeba", "squash", "0"), mesh=model.mesh)
    with pytest.raises(InputError, match=r"preprocess\(image, 16, \"squash\"\) crops and scales one"):
        squashed.encode(np.zeros((1, 20, 20, 3), np.uint8))


def test_pillows_images_of_any_mode_are_encoded_and_others_told_how_to_crop(model):
    images = small_store().images[:3]
    pictures = [Image.fromarray(image) for image in images]
    np.testing.assert_array_equal(model.encode([*pictures[:2], pictures[2].convert("RGBA")]), model.encode(images))
    small = [picture.resize((30, 20)) for picture in pictures]
    for odd in (small, [*pictures, small[0]]):
        with pytest.raises(InputError, match=r"preprocess\(image, 16, \"rendered\"\) crops and scales one"):
            model.encode(odd)


def test_wrong_latents_are_named(model):
    with pytest.raises(InputError, match=r"latents must be \[...,6\], not \(2, 5\)"):
        model.decode(np.zeros((2, 5)))
    with pytest.raises(InputError, match='latent=\'median\': must be "mean" or "sample"'):
        model.encode(np.zeros((1, 16, 16, 3), np.uint8), latent="median")  # type: ignore[arg-type]


def test_what_is_no_run_is_refused(tmp_path):
    with pytest.raises(InputError, match="is no run directory"):
        jvae.load(tmp_path)
    claim_run(tmp_path, Record(TINY))
    with pytest.raises(InputError, match="no checkpoint yet"):
        jvae.load(tmp_path)


def test_the_public_api_is_all_there():
    for name in jvae.__all__:
        assert getattr(jvae, name) is not None
    with pytest.raises(AttributeError, match="has no attribute 'lode'"):
        jvae.lode  # noqa: B018


def test_models_of_fresh_variables_work_without_a_run():
    variables = fresh(TINY.model.module(jnp.float32), 16, random_key(0))
    assert TrainedModel(TINY, variables).decode(np.zeros((1, 6))).shape == (1, 16, 16, 3)


def test_lists_of_arrays_and_of_pillows_images_are_encoded(model):
    images = small_store().images[:7]
    expected = model.encode(images)
    np.testing.assert_array_equal(model.encode(list(images)), expected)
    np.testing.assert_array_equal(model.encode([Image.fromarray(image) for image in images]), expected)
    for bad, said in [
        ([images[0], images[0][:8]], "the images differ in shape: each must be uint8"),
        (images[0], r"give image\[None\]"),
        (images / 255, r"give \(255 \* images\)\.round"),
    ]:
        with pytest.raises(InputError, match=said):
            model.encode(bad)


def test_training_takes_the_path_of_a_store(run):
    assert train(TINY, small_store().path, run, mesh=ONE, progress=False).step == 17
    with pytest.raises(InputError, match="absent"):
        train(TINY, "absent", run, mesh=ONE, progress=False)
