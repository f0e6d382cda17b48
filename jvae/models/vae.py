"""Encoder, Decoder, VAE in Flax linen: with `jvae.judge.net` the only file that imports flax.

The architecture is that of Generative Deep Learning (Foster 2019), chapter 3, with its widths as a parameter. A
convolution that batch normalisation follows has no bias here: normalisation subtracts it again.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

from jvae.config import Config
from jvae.models import conv, norm
from jvae.runtime.hashing import key_words

Variables = dict[str, Any]
"""{"params": …, "batch_stats": …}, both plain nested dicts of float32 arrays."""

CACHED = 32  # images whose layers' outputs stay in a processor's caches


class Posterior(NamedTuple):
    """N(mean, exp(logvar)) for each image: mean [b,d], logvar [b,d], float32."""

    mean: jax.Array
    logvar: jax.Array

    def sample(self, key: jax.Array) -> jax.Array:
        """One z [b,d] for each image."""
        return self.mean + jnp.exp(0.5 * self.logvar) * jax.random.normal(key, self.mean.shape, self.mean.dtype)


class Activate(nn.Module):
    """BatchNorm, LeakyReLU, Dropout: what follows every hidden convolution.

    Attributes:
      epsilon: added to the variance.
      momentum: of the running statistics.
      slope: of LeakyReLU below 0.
      dropout: its rate.
    """

    epsilon: float
    momentum: float
    slope: float
    dropout: float

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        """[b,h,w,c] to the same; needs the random stream "dropout" when training."""
        c = (x.shape[-1],)
        scale = self.param("scale", nn.initializers.ones, c)
        bias = self.param("bias", nn.initializers.zeros, c)
        running_mean = self.variable("batch_stats", "mean", jnp.zeros, c)
        running_var = self.variable("batch_stats", "var", jnp.ones, c)
        if not train:
            line = norm.scale_and_shift(running_mean.value, running_var.value, scale, bias, self.epsilon)
            return norm.activate(x, *line, self.slope)
        words = key_words(self.make_rng("dropout"))
        y, mean, var = norm.norm_activate(x, scale, bias, words, self.epsilon, self.slope, self.dropout)
        if not self.is_initializing():
            for running, new in ((running_mean, mean), (running_var, var)):
                running.value = self.momentum * running.value + (1 - self.momentum) * new
        return y


def _activate(cfg: Config, name: str) -> Activate:
    return Activate(cfg.bn_epsilon, cfg.bn_momentum, cfg.leaky_slope, cfg.dropout, name=name)


class Encoder(nn.Module):
    """Images [b,h,w,3] float in [0, 1] to their `Posterior`."""

    cfg: Config
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = False) -> Posterior:
        """Images [b,h,w,3] to their posterior [b,d]."""
        cfg = self.cfg
        x = x.astype(self.dtype)
        for i, width in enumerate(cfg.widths):
            kernel = self.param(f"kernel_{i}", nn.initializers.glorot_uniform(), (3, 3, x.shape[-1], width))
            x = conv.down(x, kernel.astype(self.dtype))  # [b,h/2,w/2,width]
            x = _activate(cfg, f"norm_{i}")(x, train)
        x = x.reshape(x.shape[0], -1)
        # one matrix product for both halves
        x = nn.Dense(2 * cfg.latent_dim, kernel_init=_glorot_halves, dtype=self.dtype, name="posterior")(x)  # [b,2d]
        mean, logvar = jnp.split(x.astype(jnp.float32), 2, axis=-1)
        return Posterior(mean, logvar)


def _glorot_halves(key: jax.Array, shape: tuple[int, int], dtype: Any = jnp.float32, **_: Any) -> jax.Array:
    """Glorot-uniform for two dense layers [n,d] that lie side by side in one kernel [n,2d]."""
    half = (shape[0], shape[1] // 2)
    init = nn.initializers.glorot_uniform()
    return jnp.concatenate([init(k, half, dtype) for k in jax.random.split(key)], axis=1)


class Decoder(nn.Module):
    """Latents [b,d] to images [b,h,w,3] float32 in [0, 1]."""

    cfg: Config
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, z: jax.Array, train: bool = False) -> jax.Array:
        """Latents [b,d] to images [b,h,w,3]."""
        cfg = self.cfg
        side = cfg.image_size // 2 ** len(cfg.widths)
        init = nn.initializers.glorot_uniform()
        x = nn.Dense(side * side * cfg.widths[-1], kernel_init=init, dtype=self.dtype, name="dense")(z)
        x = x.reshape(-1, side, side, cfg.widths[-1])
        outputs = (*cfg.widths[-2::-1], 3) if len(cfg.widths) > 1 else (3,)
        for i, width in enumerate(outputs):
            kernel = self.param(f"kernel_{i}", init, (3, 3, width, x.shape[-1]))
            x = conv.up(x, kernel.astype(self.dtype))  # [b,2h,2w,width]
            if i < len(outputs) - 1:
                x = _activate(cfg, f"norm_{i}")(x, train)
        bias = self.param("bias", nn.initializers.zeros, (3,))
        return nn.sigmoid(x.astype(jnp.float32) + bias.reshape(1, 1, 1, 3))


class VAE(nn.Module):
    """Encoder and decoder; `__call__` is the training pass."""

    cfg: Config
    dtype: Any = jnp.float32

    def setup(self) -> None:
        """Names the two halves, as linen wants it."""
        self.encoder = Encoder(self.cfg, self.dtype)
        self.decoder = Decoder(self.cfg, self.dtype)

    def encode(self, x: jax.Array, train: bool = False) -> Posterior:
        """Images [b,h,w,3] in [0, 1] to their posterior."""
        return self.encoder(x, train)

    def decode(self, z: jax.Array, train: bool = False) -> jax.Array:
        """Latents [b,d] to images [b,h,w,3] in [0, 1]."""
        return self.decoder(z, train)

    def __call__(self, x: jax.Array, train: bool = True) -> tuple[jax.Array, Posterior]:
        """Images [b,h,w,3] to reconstructions [b,h,w,3] of a sampled z, and the posterior [b,d].

        Needs the random streams "sample" and, when training, "dropout".
        """
        posterior = self.encoder(x, train)
        return self.decoder(posterior.sample(self.make_rng("sample")), train), posterior


def compute_dtype(cfg: Config, accelerator: bool) -> Any:
    """The dtype of the matrix work that `cfg.dtype` asks for, on an accelerator or a CPU."""
    name = cfg.dtype if cfg.dtype != "auto" else ("bfloat16" if accelerator else "float32")
    return jnp.dtype(name)


def init_variables(model: VAE, key: jax.Array) -> Variables:
    """Fresh parameters and running statistics, as plain dicts of float32 arrays."""
    size = model.cfg.image_size
    keys: Any = dict(zip(("params", "sample", "dropout"), jax.random.split(key, 3), strict=True))
    variables = model.init(keys, jnp.zeros((2, size, size, 3)), train=True)
    return {name: variables[name] for name in ("params", "batch_stats")}


def train_pass(
    model: VAE, params: Any, batch_stats: Any, x: jax.Array, key: jax.Array
) -> tuple[jax.Array, Posterior, Any]:
    """One training pass: dropout on, BatchNorm by the batch's own statistics.

    Args:
      model: the module.
      params: its parameters.
      batch_stats: its running statistics.
      x: images [b,h,w,3] in [0, 1].
      key: consumed by the sample of z and by dropout.

    Returns:
      reconstructions [b,h,w,3], the posterior [b,d], and the new running statistics.
    """
    sample_key, dropout_key = jax.random.split(key)
    (recon, posterior), updated = model.apply(
        {"params": params, "batch_stats": batch_stats},
        x,
        train=True,
        rngs={"sample": sample_key, "dropout": dropout_key},
        mutable=["batch_stats"],
    )
    return recon, posterior, updated["batch_stats"]


def to_float(images: jax.Array) -> jax.Array:
    """uint8 [..., h,w,c] to float32 in [0, 1]."""
    return images.astype(jnp.float32) / 255


def _in_blocks(function: Callable[[Variables, jax.Array], Any], variables: Variables, x: jax.Array) -> Any:
    """`function(variables, x)` of x [b,…] to arrays [b,…]: on a CPU about CACHED rows at a time, elsewhere at once.

    A layer's output is then still in the processor's caches when the next layer reads it: a batch of 512 images is
    encoded about 1.9 times as fast.
    """
    b = x.shape[0]
    blocks = -(-b // CACHED)
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
    """Posterior [b,d] of uint8 images [b,h,w,3], by the running statistics: `Encode(module)(variables, images)`.

    Two of one module are equal, so that what is compiled for one serves the other.
    """

    module: VAE

    def __call__(self, variables: Variables, images: jax.Array) -> Posterior:
        """Pure and jittable."""
        return _in_blocks(self._whole, variables, images)

    def _whole(self, variables: Variables, images: jax.Array) -> Posterior:
        return self.module.apply(variables, to_float(images), method="encode")  # type: ignore[return-value]


@dataclasses.dataclass(frozen=True)
class Decode:
    """Images [b,h,w,3] float32 in [0, 1] of latents [b,d], by the running statistics; as `Encode`."""

    module: VAE

    def __call__(self, variables: Variables, z: jax.Array) -> jax.Array:
        """Pure and jittable."""
        return _in_blocks(self._whole, variables, z)

    def _whole(self, variables: Variables, z: jax.Array) -> jax.Array:
        return self.module.apply(variables, z, method="decode")  # type: ignore[return-value]
