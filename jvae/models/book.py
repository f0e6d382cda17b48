"""The book's model: a convolutional VAE with batch normalisation (Foster 2019, Generative Deep Learning, chapter 3).

Its widths are a setting. A convolution that batch normalisation follows has no bias: normalisation subtracts it again.
"""

import math
from dataclasses import dataclass
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jvae.config import ModelConfig
from jvae.errors import InputError
from jvae.models import conv
from jvae.models.blocks import Activate
from jvae.models.model import Posterior

_DEEPEST = 16  # convolutions, which halve an image of 65,536 pixels to one


@dataclass(frozen=True, kw_only=True)
class Book(ModelConfig):
    """Settings of the book's model.

    Attributes:
      widths: channels of the encoder's stride-2 convolutions; the decoder mirrors them and ends in 3 channels.
      latent_dim: length of the latent vector z.
      dropout: share of values that dropout sets to 0 after every hidden convolution, in [0, 1); exact to 32 bits.
      leaky_slope: slope of LeakyReLU below 0.
      bn_momentum: share of batch normalisation's running statistics that is kept each step.
      bn_epsilon: number that batch normalisation adds to the variance before it takes the root.
    """

    widths: tuple[int, ...] = (32, 64, 64, 64)
    latent_dim: int = 200
    dropout: float = 0.25
    leaky_slope: float = 0.3
    bn_momentum: float = 0.99
    bn_epsilon: float = 1e-3

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= len(self.widths) <= _DEEPEST or min(self.widths) < 1:
            raise InputError(
                f"widths={self.widths}: give one positive width per convolution, {_DEEPEST} at most: 32 64 64 64"
            )
        stride = 2 ** len(self.widths)
        if self.image_size < stride or self.image_size % stride:
            raise InputError(
                f"image_size={self.image_size} is no multiple of {stride}, as {len(self.widths)} stride-2 layers need: "
                f"pack the store at {max(stride, round(self.image_size / stride) * stride)}"
            )
        self.check_at_least(1, "latent_dim")
        if not math.isfinite(self.leaky_slope):
            raise InputError(f"leaky_slope={self.leaky_slope}: must be a finite number")
        self.check_share("dropout", "bn_momentum")
        self.check_positive("bn_epsilon")

    def module(self, dtype: Any = jnp.float32) -> "VAE":
        """The network."""
        return VAE(self, dtype)


def _activate(cfg: Book, name: str) -> Activate:
    return Activate(cfg.bn_epsilon, cfg.bn_momentum, cfg.leaky_slope, cfg.dropout, name=name)


class Encoder(nn.Module):
    """Images [b,h,w,3] float in [0, 1] to their `Posterior`."""

    cfg: Book
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

    cfg: Book
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
    """Encoder and decoder."""

    cfg: Book
    dtype: Any = jnp.float32

    def setup(self) -> None:
        """Names the two halves, as linen wants it."""
        self.encoder = Encoder(self.cfg, self.dtype)
        self.decoder = Decoder(self.cfg, self.dtype)

    def encode(self, x: jax.Array, train: bool = False) -> Posterior:
        """Images [b,h,w,3] in [0, 1] to their posterior [b,d]."""
        return self.encoder(x, train)

    def decode(self, z: jax.Array, train: bool = False) -> jax.Array:
        """Latents [b,d] to images [b,h,w,3] in [0, 1]."""
        return self.decoder(z, train)
