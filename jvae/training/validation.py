"""How well a model reconstructs a split: squared error, KL, the book's objective, the ELBO."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from jvae.config import Config
from jvae.latent.encoding import Batch, sample_rows, stream
from jvae.models import loss
from jvae.models.vae import to_float
from jvae.runtime.mesh import put, replicated

BOOK_FACTOR = 10_000.0

Encode = Callable[[Any, jax.Array], tuple[jax.Array, jax.Array]]
Decode = Callable[[Any, jax.Array], jax.Array]


class Sums(NamedTuple):
    """Totals over the images of one batch: [] float32."""

    error: jax.Array
    sampled_error: jax.Array
    kl: jax.Array


class Scores(NamedTuple):
    """Means over n images. Errors are squared, averaged over pixels and channels, with values in [0, 1].

    Attributes:
      n: images.
      error: of reconstructions from posterior means.
      sampled_error: of reconstructions from sampled latents.
      kl: nats per image, summed over z.
      objective: the run's own loss, r_loss_factor · sampled_error + kl.
      book_objective: 10000 · sampled_error + kl, comparable between runs of one image size.
      nats: negative ELBO per image at the run's σ.
      bits_per_dim: the same per pixel value of 8-bit images.
      psnr: of `error`, in dB: 10·log10(1/error).
    """

    n: int
    error: float
    sampled_error: float
    kl: float
    objective: float
    book_objective: float
    nats: float
    bits_per_dim: float
    psnr: float


@functools.partial(jax.jit, static_argnames=("encode_fn", "decode_fn", "mesh"))
def _score(variables: Any, batch: Batch, key: jax.Array, *, encode_fn: Encode, decode_fn: Decode, mesh: Mesh) -> Sums:
    images, rows = jnp.asarray(batch.images), jnp.asarray(batch.rows)
    x = to_float(images)
    mean, logvar = encode_fn(variables, images)
    z = sample_rows(key, rows, mean, logvar)
    per_image = (
        loss.squared_error(x, decode_fn(variables, mean)),
        loss.squared_error(x, decode_fn(variables, z)),
        loss.kl_divergence(mean, logvar),
    )
    sums = Sums(*(jnp.sum(value, where=batch.mask) for value in per_image))
    return jax.lax.with_sharding_constraint(sums, replicated(mesh))


def evaluate(
    encode_fn: Encode,
    decode_fn: Decode,
    variables: Any,
    cfg: Config,
    images: np.ndarray,
    indices: np.ndarray,
    *,
    mesh: Mesh,
    batch_size: int = 256,
    seed: int = 0,
) -> Scores:
    """Scores the rows `indices` of a store in one pass.

    Args:
      encode_fn: variables, uint8 [b,h,w,3] → mean, logvar [b,d]; the same object at every call, or it compiles again.
      decode_fn: variables, z [b,d] → float32 [b,h,w,3] in [0, 1]; likewise.
      variables: of the model, on the devices.
      cfg: gives the loss weight.
      images: uint8 [n,h,w,3].
      indices: [m] rows.
      mesh: the devices.
      batch_size: images at a time.
      seed: of the sampled latents, which depend on it and the row alone.
    """
    size = min(batch_size, len(indices))
    no_labels = np.zeros((len(images), 0), bool)
    groups = (indices[i : i + size] for i in range(0, len(indices), size))
    key = put(jax.random.key(seed), replicated(mesh))
    batches: list[Sums] = []
    for batch in stream(images, no_labels, groups, size, mesh):
        batches.append(_score(variables, batch, key, encode_fn=encode_fn, decode_fn=decode_fn, mesh=mesh))
        if len(batches) > 2:  # else a fast reader would fill the device's memory with batches that wait
            batches[-3].error.block_until_ready()
    totals = np.sum(np.asarray(jax.device_get(batches), np.float64), axis=0) / len(indices)
    error, sampled_error, kl = (float(value) for value in totals)
    weights, pixels = loss.loss_weights(cfg), 3 * cfg.image_size**2
    nats = loss.negative_elbo(sampled_error, kl, pixels=pixels, sigma=weights.sigma)
    return Scores(
        n=len(indices),
        error=error,
        sampled_error=sampled_error,
        kl=kl,
        objective=weights.r_loss_factor * sampled_error + kl,
        book_objective=BOOK_FACTOR * sampled_error + kl,
        nats=nats,
        bits_per_dim=loss.bits_per_dim(nats, pixels),
        psnr=float(-10 * np.log10(error)) if error > 0 else float("inf"),
    )
