"""What every model of faces is: a linen module that encodes and decodes; and the passes made of the two.

A model is a module with `encode` and `decode` and nothing else that anyone asks for. Its normalisation, its variable
collections and its dropout are its own affair.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

from jvae.errors import InputError

Variables = dict[str, Any]
"""Collection -> nested dict of arrays: {"params": …} and whatever else the module keeps ("batch_stats", …)."""

LOSSES = "losses"
"""The collection into which a module may `sow` losses of its own, [b] each; they are added to the objective."""

CACHED = 32  # images whose layers' outputs stay in a processor's caches


class Posterior(NamedTuple):
    """N(mean, exp(logvar)) for each image: mean [b,d], logvar [b,d], float32.

    A dimension whose logvar is −∞ is a point, as of an encoder that does not sample: it has no KL divergence.
    """

    mean: jax.Array
    logvar: jax.Array

    def sample(self, key: jax.Array) -> jax.Array:
        """One z [b,d] for each image."""
        return self.mean + jnp.exp(0.5 * self.logvar) * jax.random.normal(key, self.mean.shape, self.mean.dtype)


class Reconstruction(NamedTuple):
    """What a decoder gives: the image [b,h,w,3] float32 in [0, 1], and the log-variance of its pixels, or None.

    The log-variance is [b,h,w,3], or of a shape that broadcasts to it.
    """

    image: jax.Array
    logvar: jax.Array | None = None


class Model(Protocol):
    """The contract of a model of faces, a linen module.

    Both methods must be usable without the other, and without randomness where `train` is False. When training they may
    draw from the random streams "dropout" and "sample".
    """

    def encode(self, x: jax.Array, train: bool = False) -> Posterior | list[Posterior]:
        """Images [b,h,w,3] float32 in [0, 1] to a posterior, or to a list of them, whose d add up."""
        ...

    def decode(self, z: jax.Array, train: bool = False) -> jax.Array | Reconstruction:
        """Latents [b,d] to images [b,h,w,3] float32 in [0, 1], with the log-variance of the pixels or without."""
        ...


class Pass(NamedTuple):
    """One pass through a model, there and back.

    Attributes:
      reconstruction: of a sampled z when training.
      posterior: of the images, several joined into one.
      losses: the module's own, by name, [b] each.
      collections: the module's variables other than its parameters, after the pass.
    """

    reconstruction: Reconstruction
    posterior: Posterior
    losses: dict[str, jax.Array]
    collections: Variables


def joined(found: Posterior | list[Posterior]) -> Posterior:
    """One posterior [b,d] of what `encode` gives: several are laid side by side."""
    if isinstance(found, list):
        return Posterior(*(jnp.concatenate(parts, axis=-1) for parts in zip(*found, strict=True)))
    return found


def whole(found: jax.Array | Reconstruction) -> Reconstruction:
    """What `decode` gives as a `Reconstruction`."""
    return found if isinstance(found, Reconstruction) else Reconstruction(found)


def _there_and_back(module: Any, x: jax.Array) -> tuple[Reconstruction, Posterior]:
    posterior = joined(module.encode(x, True))
    return whole(module.decode(posterior.sample(module.make_rng("sample")), True)), posterior


def _checked(module: Any, x: jax.Array) -> None:
    """One pass there and back, as at the start of training. Raises `InputError` where the module breaks the contract.

    Only types and shapes are looked at, so that it costs nothing in a compiled program.
    """
    name, given = type(module).__name__, module.encode(x, True)
    for found in given if isinstance(given, list) else [given]:
        if not isinstance(found, Posterior):
            raise InputError(f"{name}.encode gives {_shown(found)}: must be a Posterior of mean and logvar, or a list")
        if found.mean.ndim != 2 or found.mean.shape != found.logvar.shape or len(found.mean) != len(x):
            raise InputError(
                f"{name}.encode gives mean {_shown(found.mean)} and logvar {_shown(found.logvar)} of {len(x)} images: "
                f"both must be [{len(x)},d]"
            )
    posterior = joined(given)
    recon = whole(module.decode(posterior.sample(module.make_rng("sample")), True))
    for what, found, shape in (("mean", posterior.mean, posterior.mean.shape), ("image", recon.image, x.shape)):
        if not isinstance(found, jax.Array) or found.shape != shape or found.dtype != jnp.float32:
            raise InputError(f"{name} gives {what} {_shown(found)}: must be float32 {list(shape)}")


def _shown(found: Any) -> str:
    return f"{found.dtype} {list(found.shape)}" if isinstance(found, jax.Array) else f"a {type(found).__name__}"


def init_variables(module: nn.Module, image_size: int, key: jax.Array) -> Variables:
    """Fresh variables of a model, as plain dicts of arrays.

    Raises:
      InputError: the module is no `Model` for images of this size; what it gives, and what it must, is said.
    """
    keys: Any = dict(zip(("params", "sample", "dropout"), jax.random.split(key, 3), strict=True))
    found = module.init(keys, jnp.zeros((2, image_size, image_size, 3)), method=_checked)
    return {name: tree for name, tree in found.items() if name != LOSSES}


def train_pass(module: nn.Module, variables: Variables, x: jax.Array, key: jax.Array) -> Pass:
    """One training pass: z sampled, dropout on, normalisation by the batch's own statistics.

    Args:
      module: the model.
      variables: its parameters and other collections.
      x: images [b,h,w,3] in [0, 1].
      key: consumed by the sample of z and by dropout.
    """
    sample_key, dropout_key = jax.random.split(key)
    kept = [name for name in variables if name != "params"]
    found: Any = module.apply(
        variables,
        x,
        method=_there_and_back,
        rngs={"sample": sample_key, "dropout": dropout_key},
        mutable=[*kept, LOSSES],
    )
    (reconstruction, posterior), changed = found
    return Pass(reconstruction, posterior, _sown(changed), {name: changed[name] for name in kept})


def _sown(changed: Variables) -> dict[str, jax.Array]:
    """The losses that a module has sown, those of one name added up."""
    losses: dict[str, jax.Array] = {}
    for path, value in jax.tree.leaves_with_path(changed.get(LOSSES, {})):
        name = path[-2].key  # the last is the place in what was sown under one name
        losses[name] = losses[name] + value if name in losses else value
    return losses


def latent_dim(module: Any, variables: Variables, image_size: int) -> int:
    """Length of z, d: what `encode` gives, found without computing anything."""
    images = jax.ShapeDtypeStruct((1, image_size, image_size, 3), jnp.uint8)
    return jax.eval_shape(Encode(module), variables, images).mean.shape[-1]


def to_float(images: jax.Array) -> jax.Array:
    """uint8 [..., h,w,c] to float32 in [0, 1]."""
    return images.astype(jnp.float32) / 255


def in_blocks(function: Callable[[Any, jax.Array], Any], variables: Any, x: jax.Array) -> Any:
    """`function(variables, x)` of x [b,…] to arrays [b,…]: on a CPU about CACHED rows at a time, elsewhere at once.

    A layer's output is then still in the processor's caches when the next layer reads it: a batch of 512 images is
    encoded about 1.9 times as fast. Two blocks would not repay their loop: a grid of 45 is decoded 1.15 times as fast
    at once.
    """
    b = x.shape[0]
    blocks = -(-b // CACHED) if b > 2 * CACHED else 1
    size = -(-b // blocks)

    def by_blocks(variables: Variables, x: jax.Array) -> Any:
        padded = jnp.pad(x, ((0, size * blocks - b), *[(0, 0)] * (x.ndim - 1)))
        # every `blocks`-th row is of one block, so that a batch split over devices stays where it is
        groups = padded.reshape(size, blocks, *x.shape[1:])
        out = lax.map(lambda i: function(variables, lax.dynamic_index_in_dim(groups, i, 1, False)), jnp.arange(blocks))
        return jax.tree.map(lambda y: jnp.swapaxes(y, 0, 1).reshape(-1, *y.shape[2:])[:b], out)

    if blocks == 1:
        return function(variables, x)
    return lax.platform_dependent(variables, x, cpu=by_blocks, default=function)


@dataclasses.dataclass(frozen=True)
class Encode:
    """Posterior [b,d] of uint8 images [b,h,w,3], without randomness: `Encode(module)(variables, images)`.

    Two of one module are equal, so that what is compiled for one serves the other.
    """

    module: nn.Module

    def __call__(self, variables: Variables, images: jax.Array) -> Posterior:
        """Pure and jittable."""
        return in_blocks(self._whole, variables, images)

    def with_losses(self, variables: Variables, images: jax.Array) -> tuple[Posterior, dict[str, jax.Array]]:
        """The posterior, and the losses that the module sows while it encodes, by name, [b] each."""
        return in_blocks(self._with_losses, variables, images)

    def _whole(self, variables: Variables, images: jax.Array) -> Posterior:
        found: Any = self.module.apply(variables, to_float(images), method="encode")
        return joined(found)

    def _with_losses(self, variables: Variables, images: jax.Array) -> tuple[Posterior, dict[str, jax.Array]]:
        found: Any = self.module.apply(variables, to_float(images), method="encode", mutable=[LOSSES])
        return joined(found[0]), _sown(found[1])


@dataclasses.dataclass(frozen=True)
class Decode:
    """Images [b,h,w,3] float32 in [0, 1] of latents [b,d], without randomness; as `Encode`."""

    module: nn.Module

    def __call__(self, variables: Variables, z: jax.Array) -> jax.Array:
        """Pure and jittable."""
        return in_blocks(self._whole, variables, z)

    def with_losses(self, variables: Variables, z: jax.Array) -> tuple[Reconstruction, dict[str, jax.Array]]:
        """All that the decoder gives, and the losses that the module sows while it decodes, by name, [b] each."""
        return in_blocks(self._with_losses, variables, z)

    def _whole(self, variables: Variables, z: jax.Array) -> jax.Array:
        found: Any = self.module.apply(variables, z, method="decode")
        return whole(found).image

    def _with_losses(self, variables: Variables, z: jax.Array) -> tuple[Reconstruction, dict[str, jax.Array]]:
        found: Any = self.module.apply(variables, z, method="decode", mutable=[LOSSES])
        image, logvar = whole(found[0])
        return Reconstruction(image, None if logvar is None else jnp.broadcast_to(logvar, image.shape)), _sown(found[1])
