"""Principal components of the faces, and what residual blocks add to them on the way there and back.

The linear VAE has an optimum in closed form, which keeps what people tell faces apart by: that is where this model
begins, and what it keeps. The blocks, which begin by adding nothing, are left with what is not linear.
"""

from dataclasses import dataclass
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jvae.models.linear import Linear, product
from jvae.models.model import Posterior, Variables
from jvae.models.residual import Decoder, Encoder, Residual

LINEAR = "linear"  # the collection of what is not trained


@dataclass(frozen=True, kw_only=True)
class Principal(Residual):
    """Settings of the residual model beside a linear one.

    Attributes:
      latent_dim: length of z, and of the linear model's; directions that vary less than the pixel noise remain the
        blocks' alone.
    """

    latent_dim: int = 256

    def module(self, dtype: Any = jnp.float32) -> "PrincipalVAE":
        """The network."""
        return PrincipalVAE(self, dtype)

    def begin(self, images: Any, rows: Any, mesh: Any, *, r_loss_factor: float) -> Variables:
        """The linear part, at the optimum of the objective; see `jvae.models.linear.Linear.solve`."""
        linear = Linear(image_size=self.image_size, latent_dim=self.latent_dim)
        found = linear.solve(images, rows, mesh, r_loss_factor=r_loss_factor)["params"]
        return {LINEAR: {f"linear_{name}": found[name] for name in found}}


class PrincipalVAE(nn.Module):
    """Encoder and decoder, each a matrix that is not trained, and blocks that are.

    The collection `linear` is that of `jvae.models.linear.LinearVAE`: its mean [n], encoder [n,d], decoder [d,n] and
    logvar [d], n pixel values an image.
    """

    cfg: Principal
    dtype: Any = jnp.float32

    def setup(self) -> None:
        """Names the parts. A linear part that nobody has solved adds nothing."""
        n, d = 3 * self.cfg.image_size**2, self.cfg.latent_dim
        self.mean = self.variable(LINEAR, "linear_mean", jnp.full, (n,), 0.5)
        self.forth = self.variable(LINEAR, "linear_encoder", jnp.zeros, (n, d))
        self.back = self.variable(LINEAR, "linear_decoder", jnp.zeros, (d, n))
        self.logvar = self.variable(LINEAR, "linear_logvar", jnp.zeros, (d,))
        self.encoder = Encoder(self.cfg, self.dtype, adds=True)
        self.decoder = Decoder(self.cfg, self.dtype)

    def encode(self, x: jax.Array, train: bool = False) -> Posterior:
        """Images [b,h,w,3] in [0, 1] to their posterior [b,d]."""
        centred = x.reshape(x.shape[0], -1) - self.mean.value.reshape(1, -1)
        mean, found = product(centred, self.forth.value, self.dtype), self.encoder(x)
        return Posterior(mean + found.mean, self.logvar.value.reshape(1, -1) + found.logvar)

    def decode(self, z: jax.Array, train: bool = False) -> jax.Array:
        """Latents [b,d] to images [b,h,w,3] in [0, 1]."""
        side = self.cfg.image_size
        linear = product(z, self.back.value, self.dtype) + self.mean.value.reshape(1, -1)
        return self.decoder(z, linear.reshape(-1, side, side, 3))
