"""A trained model, frozen: images to latents, latents to images."""

import functools
import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import jax
import numpy as np
from jax.sharding import Mesh

from jvae.config import Config
from jvae.errors import InputError, InputWarning
from jvae.latent.encoding import sample_rows
from jvae.latent.kinds import Kind
from jvae.latent.vectors import AttributeVectors
from jvae.models import vae
from jvae.render.grid import to_uint8
from jvae.runtime.mesh import make_mesh, map_rows, put, replicated
from jvae.training.checkpoint import Checkpoints, Which
from jvae.training.run import read_config
from jvae.training.state import make_model

BATCH = 128


class Model:
    """Encoder and decoder of one checkpoint, whole on every device of a mesh.

    Attributes:
      config: of the run.
      step: of the checkpoint.
      variables: parameters and running statistics, on the devices.
      mesh: the devices.
      encode_fn: pure: variables, uint8 [b,h,w,3] → mean, logvar [b,d] float32.
      decode_fn: pure: variables, z [b,d] → float32 [b,h,w,3] in [0, 1].
    """

    def __init__(self, config: Config, variables: vae.Variables, *, step: int = 0, mesh: Mesh | None = None) -> None:
        self.config, self.step = config, step
        self.mesh = make_mesh() if mesh is None else mesh
        self.variables = put(variables, replicated(self.mesh))
        module = make_model(config, self.mesh)
        self.encode_fn, self.decode_fn = vae.Encode(module), vae.Decode(module)

    @property
    def image_size(self) -> int:
        """Height and width in pixels."""
        return self.config.image_size

    @property
    def latent_dim(self) -> int:
        """Length of z, d."""
        return self.config.latent_dim

    def posterior(self, images: np.ndarray, *, rows: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Means and log-variances [n,d] float32 of uint8 images [n,h,w,3], any n, or of some `rows` of them.

        Raises:
          InputError: the images are not uint8 [n,h,w,3] of the run's size.
        """
        shape = (self.image_size, self.image_size, 3)
        if images.ndim != 4 or images.shape[1:] != shape or images.dtype != np.uint8:
            raise InputError(f"images must be uint8 [n,{shape[0]},{shape[1]},3], not {images.dtype} {images.shape}")
        return self._mapped(functools.partial(_posterior, self.encode_fn), images, rows)

    def encode(
        self,
        images: np.ndarray,
        latent: Literal["mean", "sample"] = "mean",
        seed: int = 0,
        *,
        rows: np.ndarray | None = None,
    ) -> np.ndarray:
        """Latents [n,d] float32 of uint8 images [n,h,w,3], any n; compiled once.

        Args:
          images: uint8 [n,h,w,3], which may be a memory map.
          rows: int [m], the images to take; None is all. Of several processes each reads only its share of them.
          latent: the posterior's mean, or one sample from it.
          seed: of the samples; image i's depends on it and i alone.

        Raises:
          InputError: the images are not uint8 [n,h,w,3] of the run's size, or `latent` is neither.
        """
        if latent not in ("mean", "sample"):
            raise InputError(f'latent={latent!r}: must be "mean" or "sample"')
        mean, logvar = self.posterior(images, rows=rows)
        if latent == "mean" or not len(mean):
            return mean
        index = np.arange(len(mean))
        return np.asarray(sample_rows(jax.random.key(seed), *jax.device_put((index, mean, logvar))))

    def decode(self, z: np.ndarray) -> np.ndarray:
        """Images uint8 [...,h,w,3] of latents [...,d], any number; compiled once.

        Raises:
          InputError: the last axis is not d.
        """
        z = np.asarray(z, np.float32)
        if z.ndim < 1 or z.shape[-1] != self.latent_dim:
            raise InputError(f"latents must be [...,{self.latent_dim}], not {z.shape}")
        side = self.image_size
        rows = z.reshape(-1, self.latent_dim)
        tiles = self._mapped(functools.partial(_tiles, self.decode_fn), rows)
        return tiles.reshape(*z.shape[:-1], side, side, 3)

    def _mapped(self, function: Callable, array: np.ndarray, rows: np.ndarray | None = None) -> Any:
        """What `function` of the variables and a batch gives for the `rows` of `array`, or all."""
        rows = np.arange(len(array)) if rows is None else rows
        return map_rows(functools.partial(function, self.variables), (array, rows), mesh=self.mesh, size=BATCH)


@functools.partial(jax.jit, static_argnums=0)
def _posterior(encode_fn: vae.Encode, variables: vae.Variables, images: jax.Array) -> tuple[jax.Array, jax.Array]:
    return encode_fn(variables, images)


@functools.partial(jax.jit, static_argnums=0)
def _tiles(decode_fn: vae.Decode, variables: vae.Variables, z: jax.Array) -> jax.Array:
    return to_uint8(decode_fn(variables, z))


def load_vectors(
    run: str | os.PathLike[str], model: Model, path: str | os.PathLike[str] | None = None, kind: Kind | None = None
) -> AttributeVectors:
    """The attribute vectors of a run.

    Args:
      run: its directory.
      model: of the run; an InputWarning says when the vectors are of another checkpoint.
      path: of the vectors' file; None is vectors.npz in the run.
      kind: of the vectors; None is the kind they were saved as.

    Raises:
      InputError: there is no such file, it is damaged, or of another model.
    """
    path = Path(run) / "vectors.npz" if path is None else path
    known = AttributeVectors.load(path, kind)
    if (d := len(known.totals.z)) != model.latent_dim:
        raise InputError(f"{path} holds vectors of {d} dimensions, but the latents of {run} have {model.latent_dim}")
    if known.origin.step != model.step:
        warnings.warn(
            f"the vectors are of step {known.origin.step} and the run is at {model.step}: "
            "experiments/attribute_vectors.py estimates them anew",
            InputWarning,
            stacklevel=2,
        )
    return known


def load(run: str | os.PathLike[str], *, which: Which = "best", mesh: Mesh | None = None) -> Model:
    """The model of a run directory.

    Args:
      run: made by experiments/train.py.
      which: the checkpoint with the lowest validation objective, or the last.
      mesh: the devices; None takes all there are.

    Raises:
      InputError: no run directory, or no checkpoint in it.
    """
    config, mesh = read_config(run), make_mesh() if mesh is None else mesh
    shapes = jax.eval_shape(functools.partial(vae.init_variables, vae.VAE(config)), jax.random.key(0))
    whole = replicated(mesh)
    like = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=whole), shapes)
    with Checkpoints(run, read_only=True) as checkpoints:
        step, variables = checkpoints.restore_variables(which, like)
    return Model(config, variables, step=step, mesh=mesh)
