"""A run directory in; its trained model, which turns images into latents and latents into images, out."""

import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import jax
import numpy as np
from jax.sharding import Mesh

from jvae.config import Config
from jvae.data.source import DataId, Store
from jvae.errors import InputError
from jvae.io.arrays import row_numbers
from jvae.latent.encoding import sample_rows
from jvae.latent.kinds import Kind
from jvae.latent.vectors import AttributeVectors
from jvae.models.loss import kl_per_dimension
from jvae.models.model import Decode, Encode, Variables, latent_dim
from jvae.render.tiles import decode_tiles
from jvae.runtime.hashing import random_key
from jvae.runtime.mesh import compute_dtype, make_mesh, map_rows, put, replicated
from jvae.training.checkpoint import Which, digest_of, restore_network
from jvae.training.exported import is_exported, local, read_exported
from jvae.training.task import named
from jvae.training.tasks.vae import VaeTask
from jvae.training.validation import Scores, score

BATCH = 128
ONE_CALL = 512  # latents up to which a grid is decoded by one call


class TrainedModel:
    """Encoder and decoder of one checkpoint, whole on every device of a mesh.

    Attributes:
      config: config of the run.
      step: step of the checkpoint.
      data: store that it was trained on, where that is known.
      teacher: digest of the judge that its objective learnt from; "" where there was none, or that is not known.
      variables: parameters and the model's other collections, on the devices.
      mesh: devices that it works on.
      encode_fn: pure function: variables, uint8 [b,h,w,3] → mean, logvar [b,d] float32.
      decode_fn: pure function: variables, z [b,d] → float32 [b,h,w,3] in [0, 1].
    """

    def __init__(
        self,
        config: Config,
        variables: Variables,
        *,
        step: int = 0,
        data: DataId | None = None,
        teacher: str = "",
        mesh: Mesh | None = None,
    ) -> None:
        self.config, self.step, self.data, self.teacher = config, step, data, teacher
        self.mesh = make_mesh() if mesh is None else mesh
        self.variables = put(variables, replicated(self.mesh))
        self._module = config.model.module(compute_dtype(config.loop.dtype, self.mesh))
        self._latent_dim: int | None = None  # found when it is first asked for
        self.encode_fn, self.decode_fn = Encode(self._module), Decode(self._module)

    @property
    def image_size(self) -> int:
        """Height and width in pixels."""
        return self.config.model.image_size

    @property
    def crop(self) -> str | None:
        """How the images it was trained on were cut, one of `jvae.data.decode.CROPS`; None if that is not known."""
        return self.data.crop if self.data else None

    @property
    def latent_dim(self) -> int:
        """Length of z, d."""
        if self._latent_dim is None:
            self._latent_dim = latent_dim(self._module, self.variables, self.image_size)
        return self._latent_dim

    @functools.cached_property
    def digest(self) -> str:
        """CRC-32 of the variables: what two models have alike that give the same latents."""
        return digest_of(self.variables)

    def posterior(self, images: np.ndarray, *, rows: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Means and log-variances [n,d] float32 of uint8 images [n,h,w,3], any n, or of some `rows` of them.

        Raises:
          InputError: the images are not uint8 [n,h,w,3] of the run's size.
        """
        shape = (self.image_size, self.image_size, 3)
        crops = f': jvae.data.decode.preprocess(image, {shape[0]}, "{self.crop or "center"}") crops and scales one'
        if not hasattr(images, "ndim"):  # a list of arrays or of Pillow's images, say
            try:
                listed = isinstance(images, list | tuple)
                images = np.asarray([_as_rgb(each) for each in images] if listed else images)
            except ValueError:
                raise InputError(f"the images differ in shape: each must be uint8 {list(shape)}{crops}") from None
        if images.ndim != 4 or images.shape[1:] != shape or images.dtype != np.uint8:
            way = ": give image[None]" if images.shape == shape else crops
            way = ": give (255 * images).round().astype(np.uint8)" if images.dtype.kind == "f" else way
            raise InputError(
                f"images must be uint8 [n,{shape[0]},{shape[1]},3], not {images.dtype} {images.shape}{way}"
            )
        return self._mapped(functools.partial(_posterior, self.encode_fn), images, rows)

    def kl_per_dimension(self, images: np.ndarray, *, rows: np.ndarray | None = None) -> np.ndarray:
        """KL divergence of the posterior from the prior, [d] float64 in nats: the mean over images.

        Args:
          images: uint8 [n,h,w,3].
          rows: int [m], or a mask, of the images to take; None takes all.

        Raises:
          InputError: the images are not uint8 [n,h,w,3] of the run's size.
        """
        return mean_kl(*self.posterior(images, rows=rows))

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
          latent: "mean" for the posterior's mean, "sample" for one sample from it.
          seed: seed of the samples; the sample of image i depends on it and on i alone, whichever `rows` are taken.
          rows: int [m], or a mask, of the images to take; None takes all. Of several processes each reads its
            share alone.

        Raises:
          InputError: the images are not uint8 [n,h,w,3] of the run's size, or `latent` is neither.
        """
        if latent not in ("mean", "sample"):
            raise InputError(f'latent={latent!r}: must be "mean" or "sample"')
        mean, logvar = self.posterior(images, rows=rows)
        if latent == "mean" or not len(mean):
            return mean
        index = np.arange(len(mean)) if rows is None else np.asarray(row_numbers(rows, len(images)))
        return np.asarray(sample_rows(random_key(seed), *jax.device_put((index, mean, logvar))))

    def decode(self, z: np.ndarray) -> np.ndarray:
        """Pictures of latents, by one decoder call for up to `ONE_CALL` of them, compiled once for each number.

        Args:
          z: latents [...,d]; a grid [r,c,d] gives the tiles [r,c,h,w,3].

        Returns:
          uint8 [...,h,w,3].

        Raises:
          InputError: the last axis is not d, or a number is not finite, which would be a black picture.
        """
        z = np.asarray(z, np.float32)
        if z.ndim < 1 or z.shape[-1] != self.latent_dim:
            raise InputError(f"latents must be [...,{self.latent_dim}], not {z.shape}")
        rows = z.reshape(-1, self.latent_dim)
        if bad := int((~np.isfinite(rows)).any(1).sum()):
            raise InputError(
                f"{bad:,} of {len(rows):,} latents are not finite numbers, which no picture shows: the factors are too "
                "large, or the run is broken"
            )
        size = max(len(rows), 1) if len(rows) <= ONE_CALL else BATCH
        tiles = self._mapped(functools.partial(decode_tiles, decode_fn=self.decode_fn), rows, size=size)
        return tiles.reshape(*z.shape[:-1], *tiles.shape[1:])

    def reconstruction_scores(self, store: Store, rows: np.ndarray) -> Scores:
        """How well the model reconstructs rows of a store: see `jvae.training.tasks.vae.VaeTask.score`.

        Args:
          store: store of images of the model's size.
          rows: int [m], or a mask, of the store's rows.
        """
        weight = np.float32(self.config.objective.weight(self.image_size))
        task = VaeTask(module=self._module, config=self.config.model, r_loss_factor=weight)
        return score(task, named(model=self.variables), store, rows, mesh=self.mesh)

    def _mapped(
        self, function: Callable, array: np.ndarray, rows: np.ndarray | None = None, *, size: int = BATCH
    ) -> Any:
        """What `function` of the variables and a batch of `size` gives for the `rows` of `array`, or all."""
        named = row_numbers(rows, len(array))
        return map_rows(functools.partial(function, self.variables), (array, named), mesh=self.mesh, size=size)


def mean_kl(mean: np.ndarray, logvar: np.ndarray) -> np.ndarray:
    """KL divergence of posteriors [n,d] from the prior, in nats, the mean over n: [d]; see `kl_per_dimension`."""
    return np.asarray(_kl(mean, logvar), np.float64).mean(0)


def _as_rgb(image: Any) -> Any:
    """An image of Pillow's, of any mode, in RGB; anything else as it is."""
    return image.convert("RGB") if hasattr(image, "convert") else image


_kl = jax.jit(kl_per_dimension)


@functools.partial(jax.jit, static_argnums=0)
def _posterior(encode_fn: Encode, variables: Variables, images: jax.Array) -> tuple[jax.Array, jax.Array]:
    return encode_fn(variables, images)


def vectors_file(run: str | os.PathLike[str]) -> Path:
    """Where the attribute vectors of a run are, which `load` takes as well: vectors.npz in it."""
    return local(run) / "vectors.npz"


def load_vectors(
    run: str | os.PathLike[str],
    model: TrainedModel,
    path: str | os.PathLike[str] | None = None,
    kind: Kind | str | None = None,
) -> AttributeVectors:
    """The attribute vectors of a run.

    Args:
      run: directory of the run, or what else `load` takes.
      model: model of the run, of the checkpoint that the vectors were estimated with.
      path: file of the vectors; None is vectors.npz in the run.
      kind: kind of the vectors, or its name; None is the kind they were saved as.

    Raises:
      InputError: there is no such file, it is damaged, or of another checkpoint.
    """
    path = vectors_file(run) if path is None else path
    known = AttributeVectors.load(path, kind)
    if (d := len(known.totals.z)) != model.latent_dim:
        raise InputError(f"{path} holds vectors of {d} dimensions, but the latents of {run} have {model.latent_dim}")
    check_origin(known, model, f"vectors in {path}", f"{run} at step {model.step}")
    return known


def check_origin(known: AttributeVectors, model: TrainedModel, what: str = "vectors", whose: str = "the model") -> None:
    """Raises InputError where vectors say that they are of another checkpoint than `model` is.

    Args:
      known: the vectors.
      model: what they are to be used with.
      what: to call the vectors.
      whose: to call the model.
    """
    origin = known.origin
    if origin.digest != model.digest:
        raise InputError(
            f"the {what} are of {origin.run or 'an unknown model'} at step {origin.step}, and the weights of "
            f"{whose} are others: estimate the vectors of a run's best checkpoint with `jvae vectors --run … --data …`"
        )


def load(run: str | os.PathLike[str], *, which: Which = "best", mesh: Mesh | None = None) -> TrainedModel:
    """The model of a run directory, or of what `jvae export --format hub` made of one.

    Args:
      run: run directory that `jvae train` made; or an exported directory, or hf://OWNER/NAME, one on the hub of Hugging
        Face, which is downloaded once. Those hold the best checkpoint alone.
      which: checkpoint to load: "best", by the score that the objective names, or "last".
      mesh: devices to work on; None takes all there are.

    Raises:
      InputError: no such directory, no checkpoint in it, or one that is damaged.
    """
    mesh = make_mesh() if mesh is None else mesh
    if is_exported(folder := local(run)):
        record, step, variables = read_exported(folder)
    else:
        record, step, variables = restore_network(folder, "model", "model of faces", which, mesh)
    return TrainedModel(record.config, variables, step=step, data=record.data, teacher=record.judge, mesh=mesh)
