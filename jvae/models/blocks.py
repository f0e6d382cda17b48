"""Pieces that models are built of."""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jvae.models import conv, norm
from jvae.runtime.hashing import key_words


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


class Block(nn.Module):
    """x and what two 3x3 convolutions add to it, nothing at first: [b,h,w,c] to the same.

    Attributes:
      activate: by the `name` of a part, the part that each convolution follows, [b,h,w,c] to the same: normalisation
        and activation.
    """

    activate: Callable[..., Callable[[jax.Array], jax.Array]]

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """[b,h,w,c] to the same."""
        y, shape = x, (3, 3, x.shape[-1], x.shape[-1])
        for i, init in enumerate((nn.initializers.he_normal(), nn.initializers.zeros)):
            y = self.activate(name=f"norm_{i}")(y)
            y = conv.same(y, self.param(f"kernel_{i}", init, shape).astype(x.dtype))
        return x + y


class Pointwise(nn.Module):
    """The same dense layer at every place of an image, a 1x1 convolution: [b,h,w,c] to [b,h,w,width].

    As one product of two matrices: on a CPU the gradient of a dense layer of images takes three times as long.

    Attributes:
      width: channels that come out.
      dtype: of the product.
      init: of the kernel.
    """

    width: int
    dtype: Any = jnp.float32
    init: Callable[..., Any] = nn.initializers.lecun_normal()

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """[b,h,w,c] to [b,h,w,width], of `dtype`."""
        kernel = self.param("kernel", self.init, (x.shape[3], self.width)).astype(self.dtype)
        bias = self.param("bias", nn.initializers.zeros, (self.width,)).astype(self.dtype)
        y = x.astype(self.dtype).reshape(-1, x.shape[3]) @ kernel + bias.reshape(1, -1)
        return y.reshape(*x.shape[:3], self.width)
