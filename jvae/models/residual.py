"""Residual blocks at low resolutions, with GroupNorm or none: every variable is a parameter.

The time goes into 3x3 convolutions at 1/4 and 1/8 of the images' size: a stem takes 4x4 pixels to one place at once,
and a head takes them back by sub-pixels (Shi et al. 2016), which a convolution over the pixels themselves then joins.
Blocks are pre-activated (He et al. 2016, "Identity mappings in deep residual networks", figure 4e) and begin as the
identity (Zhang et al. 2019, "Fixup initialization"), so that they train without normalisation too.
"""

import functools
from dataclasses import dataclass
from typing import Any, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

from jvae.config import ModelConfig
from jvae.errors import InputError
from jvae.models import conv, norm
from jvae.models.blocks import Block, Pointwise
from jvae.models.model import Posterior

STEM = 4  # pixels a side that are one place at the first resolution
SLOPE = 0.2  # of LeakyReLU below 0
EPSILON = 1e-5
ACTIVATIONS = {"silu": nn.silu, "leaky_relu": functools.partial(nn.leaky_relu, negative_slope=SLOPE)}
NORMS = ("group", "none")


@dataclass(frozen=True, kw_only=True)
class Residual(ModelConfig):
    """Settings of the residual model.

    Attributes:
      widths: channels at each resolution, from a quarter of the images' size down, each half of the one before.
      blocks: residual blocks at each resolution, in the encoder and again in the decoder.
      head_width: channels at the images' own size, before the last convolution.
      latent_dim: length of z.
      norm: "group" is GroupNorm before every activation; "none" has a bias in its place.
      groups: groups of channels of GroupNorm; must divide every width.
      activation: "silu" or "leaky_relu".
    """

    widths: tuple[int, ...] = (64, 128)
    blocks: tuple[int, ...] = (2, 2)
    head_width: int = 8
    latent_dim: int = 128
    norm: Literal["group", "none"] = "group"
    groups: int = 8
    activation: Literal["silu", "leaky_relu"] = "silu"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.widths or min(self.widths) < 1:
            raise InputError(f"widths={self.widths}: give one positive width per resolution: 64 128")
        if len(self.blocks) != len(self.widths) or min(self.blocks) < 0:
            raise InputError(f"blocks={self.blocks}: give one number, 0 or more, for each of widths={self.widths}")
        self.check_at_least(1, "head_width", "latent_dim", "groups")
        self.check_choice("norm", NORMS)
        self.check_choice("activation", tuple(ACTIVATIONS))
        for width in self.widths:
            if self.norm == "group" and width % self.groups:
                raise InputError(f"groups={self.groups} does not divide widths={self.widths}")
        stride = STEM * 2 ** (len(self.widths) - 1)
        if self.image_size % stride:
            raise InputError(
                f"image_size={self.image_size} is no multiple of {stride}, as {len(self.widths)} resolutions need: "
                f"pack the store at {max(stride, round(self.image_size / stride) * stride)}"
            )

    def module(self, dtype: Any = jnp.float32) -> "ResidualVAE":
        """The network."""
        return ResidualVAE(self, dtype)


class Activate(nn.Module):
    """GroupNorm, or a bias alone, and the activation: [b,h,w,c] to the same."""

    cfg: Residual

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """[b,h,w,c] to the same."""
        c = (x.shape[-1],)
        bias = self.param("bias", nn.initializers.zeros, c)
        if self.cfg.norm == "group":
            scale = self.param("scale", nn.initializers.ones, c)
            return norm.group_norm_activate(x, scale, bias, self.cfg.groups, EPSILON, ACTIVATIONS[self.cfg.activation])
        return ACTIVATIONS[self.cfg.activation](x + bias.astype(x.dtype).reshape(1, 1, 1, -1))


class Enlarge(nn.Module):
    """k x k pixels of every place, [b,h,w,c] to [b,k·h,k·w,width]: an interpolation, and what sub-pixels add to it.

    Sub-pixels alone would show as a grid, since each of them has to learn by itself what all have in common (Odena et
    al. 2016, "Deconvolution and checkerboard artifacts"). They begin as zeros here, and what is smooth is not theirs to
    learn.

    Attributes:
      k: pixels a side.
      width: channels that come out.
      dtype: of the matrix work.
    """

    k: int
    width: int
    dtype: Any

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """[b,h,w,c] to [b,k·h,k·w,width]."""
        smooth = Pointwise(self.width, self.dtype, name="smooth")(x)
        detail = Pointwise(self.k**2 * self.width, self.dtype, nn.initializers.zeros, name="detail")(x)
        return lax.optimization_barrier(conv.interpolate(smooth, self.k) + conv.depth_to_space(detail, self.k))


class Encoder(nn.Module):
    """Images [b,h,w,3] float in [0, 1] to their `Posterior`.

    Attributes:
      cfg: the model's settings.
      dtype: of the matrix work.
      adds: whether it begins as zeros, for what is added to another posterior.
    """

    cfg: Residual
    dtype: Any = jnp.float32
    adds: bool = False

    @nn.compact
    def __call__(self, x: jax.Array) -> Posterior:
        """Images [b,h,w,3] to their posterior [b,d]."""
        cfg = self.cfg
        x = (x - 0.5).astype(self.dtype)
        for i, (width, blocks) in enumerate(zip(cfg.widths, cfg.blocks, strict=True)):
            x = conv.space_to_depth(x, 2 if i else STEM)  # [b,h/4,w/4,48], [b,h/8,w/8,4c], …
            x = Pointwise(width, self.dtype, name=f"down_{i}")(x)
            for j in range(blocks):
                x = Block(functools.partial(Activate, cfg), name=f"block_{i}_{j}")(x)
        x = Activate(cfg, name="norm")(x).reshape(x.shape[0], -1)
        init = nn.initializers.zeros if self.adds else nn.initializers.lecun_normal()
        x = nn.Dense(2 * cfg.latent_dim, dtype=self.dtype, kernel_init=init, name="posterior")(x)  # [b,2d]
        mean, logvar = jnp.split(x.astype(jnp.float32), 2, axis=-1)
        return Posterior(mean, logvar)


class Decoder(nn.Module):
    """Latents [b,d] to images [b,h,w,3] float32 in [0, 1]."""

    cfg: Residual
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, z: jax.Array, beside: jax.Array | None = None) -> jax.Array:
        """Latents [b,d] to images [b,h,w,3].

        Args:
          z: the latents.
          beside: [b,h,w,3], what another decoder makes of them, if there is one: the blocks see it, and what they give
            is added to it, zeros at first.
        """
        cfg = self.cfg
        side = cfg.image_size // STEM // 2 ** (len(cfg.widths) - 1)
        x = nn.Dense(side * side * cfg.widths[-1], dtype=self.dtype, name="dense")(z)
        x = x.reshape(-1, side, side, cfg.widths[-1])
        for i in reversed(range(len(cfg.widths))):
            if not i and beside is not None:
                seen = conv.space_to_depth((beside - 0.5).astype(self.dtype), STEM)
                x = x + Pointwise(cfg.widths[0], self.dtype, name="beside")(seen)
            for j in range(cfg.blocks[i]):
                x = Block(functools.partial(Activate, cfg), name=f"block_{i}_{j}")(x)
            if i:
                x = Enlarge(2, cfg.widths[i - 1], self.dtype, name=f"up_{i}")(x)
        x = Activate(cfg, name="norm")(x)
        x = ACTIVATIONS[cfg.activation](Enlarge(STEM, cfg.head_width, self.dtype, name="head")(x))  # [b,h,w,head_width]
        init = nn.initializers.lecun_normal() if beside is None else nn.initializers.zeros
        kernel = self.param("kernel", init, (3, 3, cfg.head_width, 3)).astype(self.dtype)
        x = conv.depth_to_space(conv.same_of_few(conv.space_to_depth(x, 2), kernel), 2)  # [b,h,w,3]
        bias = self.param("bias", nn.initializers.zeros, (3,))
        x = x.astype(jnp.float32) * _whole_border(cfg.image_size) + bias.reshape(1, 1, 1, 3)
        return nn.sigmoid(x) if beside is None else jnp.clip(beside + x, 0, 1)


def _whole_border(side: int) -> jax.Array:
    """[1,side,side,1]: 9 by the pixels that a 3x3 convolution finds, of which the border lacks some.

    The border would be grey otherwise, as a frame (Liu et al. 2018, "Partial convolution based padding", equation 3).
    """
    found = jnp.minimum(jnp.arange(side) + 2, 3).at[-1].set(2)
    return (9 / (found.reshape(-1, 1) * found.reshape(1, -1))).reshape(1, side, side, 1)


class ResidualVAE(nn.Module):
    """Encoder and decoder."""

    cfg: Residual
    dtype: Any = jnp.float32

    def setup(self) -> None:
        """Names the two halves, as linen wants it."""
        self.encoder = Encoder(self.cfg, self.dtype)
        self.decoder = Decoder(self.cfg, self.dtype)

    def encode(self, x: jax.Array, train: bool = False) -> Posterior:
        """Images [b,h,w,3] in [0, 1] to their posterior [b,d]."""
        return self.encoder(x)

    def decode(self, z: jax.Array, train: bool = False) -> jax.Array:
        """Latents [b,d] to images [b,h,w,3] in [0, 1]."""
        return self.decoder(z)
