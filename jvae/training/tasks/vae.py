"""The variational autoencoder's objective, for any model: reconstruction and KL, with one weight between them."""

import math
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from jvae.config import ObjectiveConfig
from jvae.data.augment import jittered
from jvae.data.feed import Batch
from jvae.data.mirror import WithMirrors, mirrored
from jvae.errors import InputError
from jvae.models import loss
from jvae.models.model import (
    Decode,
    Encode,
    Posterior,
    Reconstruction,
    Variables,
    init_variables,
    to_float,
    train_pass,
)
from jvae.render.tiles import to_uint8
from jvae.training.task import Loss, Task, named, part, static

WEIGHTS = ("r_loss_factor", "beta", "sigma")
BOOK_FACTOR = 10_000.0
COLLAPSED = 0.1  # nats an image: with so little, z cannot tell one face from another


@dataclass(frozen=True, kw_only=True)
class Vae(ObjectiveConfig):
    """The weight of the reconstruction, given in exactly one of three forms, from which the other two follow.

    Attributes:
      r_loss_factor: weight of the squared error's mean over pixels and channels (the book's).
      beta: weight of the KL beside half the squared error summed over pixels and channels.
      sigma: standard deviation of the pixel noise, in units of the range [0, 1].
      mirror: whether a random half of each batch is mirrored, left to right; the attribute vectors of such a run are
        those of all images and their mirror images.
      jitter: whether most of each batch are moved by some pixels and lit a little differently, so that few images teach
        as more would; see `jvae.data.augment.jittered`.
    """

    alternatives: ClassVar[tuple[str, ...]] = WEIGHTS
    r_loss_factor: float | None = None
    beta: float | None = None
    sigma: float | None = None
    mirror: bool = False
    jitter: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        given = [name for name in WEIGHTS if getattr(self, name) is not None]
        if len(given) != 1:
            raise InputError(f"give exactly one of {', '.join(WEIGHTS)} (given: {', '.join(given) or 'none'})")
        self.check_positive(*WEIGHTS)

    def replace(self, **changes: Any) -> Self:
        """As of any settings; one of the three weights drops the one that was there."""
        if any(changes.get(name) is not None for name in WEIGHTS):
            changes = dict.fromkeys(WEIGHTS) | changes
        return super().replace(**changes)

    def weight(self, image_size: int) -> float:
        """The weight as r_loss_factor."""
        return self.weights(image_size).r_loss_factor

    def weights(self, image_size: int) -> loss.LossWeights:
        """The weight in its three forms, for images of `image_size` pixels a side."""
        return loss.loss_weights(3 * image_size**2, **{name: getattr(self, name) for name in WEIGHTS})

    def shared(self, model: Any, dtype: Any) -> dict[str, Any]:
        """What the tasks of this and of derived objectives have in common."""
        factor = np.float32(self.weight(model.image_size))
        seen = {"mirror": self.mirror, "jitter": self.jitter}
        return {"module": model.module(dtype), "config": model, **seen, "r_loss_factor": factor}

    def task(self, model: Any, labels: tuple[str, ...], dtype: Any) -> "VaeTask":
        """The task."""
        return VaeTask(**self.shared(model, dtype))


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class VaeTask(Task):
    """r_loss_factor · squared error + KL of a sampled z, and whatever losses the model has of its own.

    Where the decoder gives the log-variance of the pixels, the noise is learned: their negative log-likelihood takes
    the place of the weighted error.

    Attributes:
      module: the model.
      config: the model's settings.
      mirror: whether a random half of each batch is mirrored.
      jitter: whether most of each batch are moved and lit differently.
      r_loss_factor: float32 [], weight of the squared error beside the KL.
    """

    module: nn.Module = static()
    config: Any = static()
    mirror: bool = static(default=False)
    jitter: bool = static(default=False)
    r_loss_factor: Any

    def init(self, key: jax.Array) -> Variables:
        """Fresh variables of the model."""
        return named(model=init_variables(self.module, self.config.image_size, key))

    def terms(
        self, variables: Variables, batch: Batch, x: jax.Array, recon: jax.Array, posterior: Posterior
    ) -> dict[str, jax.Array]:
        """Further terms of the loss, [b] each by name, already weighted: none here, some in derived tasks.

        Args:
          variables: all collections of the task.
          batch: as it came.
          x: its images as float32 [b,h,w,3] in [0, 1].
          recon: their reconstructions.
          posterior: posterior of the images.
        """
        return {}

    @property
    def closed_form(self) -> bool:
        """Whether the model has one, of this objective: none with jitter, or with terms of a derived task."""
        return self.config.closed_form and not self.jitter and type(self).terms is VaeTask.terms

    def solve(self, images: Any, rows: np.ndarray, mesh: Mesh) -> Variables:
        """The variables at the optimum, of a model that has it in closed form."""
        return named(model=self.config.solve(*self._with_mirrors(images, rows), mesh, **self._factor))

    def begun(self, variables: Variables, images: Any, rows: np.ndarray, mesh: Mesh) -> Variables:
        """The variables, with those of the model that come of the data."""
        found = self.config.begin(*self._with_mirrors(images, rows), mesh, **self._factor)
        return named(variables, model=found) if found else variables

    def _with_mirrors(self, images: Any, rows: np.ndarray) -> tuple[Any, np.ndarray]:
        if not self.mirror:
            return images, rows
        rows = np.asarray(rows)
        return WithMirrors(images), np.concatenate([rows, len(images) + rows])

    @property
    def _factor(self) -> dict[str, float]:
        return {"r_loss_factor": float(self.r_loss_factor)}

    def augmented(self, batch: Batch, key: jax.Array) -> Batch:
        """The batch, with `mirror` a half of it mirrored: the rows of even or of odd number, by a coin of the step.

        The order of the images is another permutation every epoch, so that which half it is, is random for each image.
        With `jitter`, each image is then moved and lit by chance.
        """
        images = batch.images
        if self.mirror:
            chosen = jnp.arange(len(images)) % 2 == jax.random.bernoulli(key).astype(jnp.int32)
            images = jnp.where(chosen[:, None, None, None], mirrored(images), images)
        if self.jitter:
            images = to_uint8(jittered(jax.random.fold_in(key, 1), to_float(images)))
        if images is batch.images:
            return batch
        return batch._replace(images=jax.lax.optimization_barrier(images))  # else made anew wherever they are used

    def loss(self, variables: Variables, batch: Batch, key: jax.Array, step: jax.Array) -> Loss:
        """The loss, with the parts "error" (squared, mean over pixels) and "kl" (nats), and those of other terms."""
        x = to_float(batch.images)
        found = train_pass(self.module, part(variables, "model"), x, key)
        error, kl = loss.squared_error(x, found.reconstruction.image), loss.kl_divergence(*found.posterior)
        more = self.terms(variables, batch, x, found.reconstruction.image, found.posterior)
        more = more | found.losses
        values = self._reconstruction(x, found.reconstruction, error) + kl
        for value in more.values():
            values = values + value
        return Loss(values, {"error": error, "kl": kl, **more}, named(variables, model=found.collections))

    def score(self, variables: Variables, batch: Batch, keys: jax.Array) -> dict[str, jax.Array]:
        """Scores of each image, without dropout.

        Returns:
          error: squared error of the reconstruction from the posterior's mean, over pixels and channels.
          sampled_error: of that from a sampled z.
          kl: nats, summed over z.
          objective: the loss, of the sampled z; the model's own losses and other terms of it go by their names.
          book_objective: 10,000 · sampled_error + kl, comparable between runs of one image size.
        """
        model = part(variables, "model")
        posterior, sown = Encode(self.module).with_losses(model, batch.images)
        x, decode = to_float(batch.images), Decode(self.module)
        noise = jax.vmap(lambda key: jax.random.normal(key, posterior.mean.shape[1:]))(keys)
        z = posterior.mean + jnp.exp(posterior.logvar / 2) * noise
        error = loss.squared_error(x, decode(model, posterior.mean))
        recon, decoded = decode.with_losses(model, z)
        sampled, kl = loss.squared_error(x, recon.image), loss.kl_divergence(*posterior)
        more = self.terms(variables, batch, x, recon.image, posterior)
        for name, value in (*sown.items(), *decoded.items()):
            more[name] = more[name] + value if name in more else value
        objective = self._reconstruction(x, recon, sampled) + kl
        for value in more.values():
            objective = objective + value
        scores = {"error": error, "sampled_error": sampled, "kl": kl, "objective": objective}
        return scores | {"book_objective": BOOK_FACTOR * sampled + kl} | more

    def summary(self, means: dict[str, float]) -> dict[str, float]:
        """Adds nats (the negative ELBO at the pixel noise of the weight), bits_per_dim of it, psnr of error in dB, and
        the weight in its three forms.
        """
        pixels, error = 3 * self.config.image_size**2, means["error"]
        weights = loss.loss_weights(pixels, r_loss_factor=float(self.r_loss_factor))
        nats = loss.negative_elbo(means["sampled_error"], means["kl"], pixels=pixels, sigma=weights.sigma)
        psnr = -10 * math.log10(error) if error > 0 else math.inf
        more = {"bits_per_dim": loss.bits_per_dim(nats, pixels), "nats": nats, "psnr": psnr}
        return means | more | weights._asdict()

    def trouble(self, means: dict[str, float]) -> str | None:
        """Says so where the posterior has collapsed to the prior: no dimension of z carries anything."""
        if means["kl"] >= COLLAPSED:
            return None
        return (
            f"the posterior has collapsed: its KL is {means['kl']:.2g} nats an image, so every dimension of z is dead "
            "and all faces are decoded alike; train anew with more weight on the reconstruction (r_loss_factor above "
            f"{float(self.r_loss_factor):g}, or a smaller beta or sigma), or with a lower learning rate"
        )

    def reconstruct(self, variables: Variables, images: jax.Array) -> jax.Array:
        """Reconstructions [b,h,w,3] from posterior means."""
        model = part(variables, "model")
        return Decode(self.module)(model, Encode(self.module)(model, images).mean)

    def _reconstruction(self, x: jax.Array, found: Reconstruction, error: jax.Array) -> jax.Array:
        if found.logvar is None:
            return self.r_loss_factor * error
        return loss.gaussian_nats(x, found.image, found.logvar)
