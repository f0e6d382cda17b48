"""The residual network in PyTorch: see `jvae.models.residual.Residual`, with GroupNorm and SiLU.

Pixels that are taken to one place at once are a convolution as large as its stride: the same product, and no copy.
"""

import torch  # pyright: ignore[reportMissingImports]  # the extra `bench` has it
from torch import Tensor, nn  # pyright: ignore[reportMissingImports]
from torch.nn import functional as F  # pyright: ignore[reportMissingImports]

from benchmarks.peers.common import Common

STEM, EPSILON = 4, 1e-5  # as of jvae.models.residual, which would import jax


def activate(cfg: Common, c: int) -> nn.Sequential:
    """GroupNorm and SiLU of `c` channels."""
    return nn.Sequential(nn.GroupNorm(cfg.groups, c, EPSILON), nn.SiLU())


class Block(nn.Module):
    """x and what two 3x3 convolutions add to it."""

    def __init__(self, cfg: Common, c: int) -> None:
        super().__init__()
        parts = [(activate(cfg, c), nn.Conv2d(c, c, 3, padding=1, bias=False)) for _ in range(2)]
        self.add = nn.Sequential(*(layer for part in parts for layer in part))

    def forward(self, x: Tensor) -> Tensor:
        """[b,c,h,w] to the same."""
        return x + self.add(x)


class Enlarge(nn.Module):
    """k x k pixels of every place: an interpolation, and what sub-pixels add to it."""

    def __init__(self, k: int, c: int, width: int) -> None:
        super().__init__()
        self.k, self.smooth, self.detail = k, nn.Conv2d(c, width, 1), nn.Conv2d(c, k * k * width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """[b,c,h,w] to [b,width,k·h,k·w]."""
        smooth = F.interpolate(self.smooth(x), scale_factor=self.k, mode="bilinear")
        return smooth + F.pixel_shuffle(self.detail(x), self.k)


class Residual(nn.Module):
    """Encoder and decoder of `cfg`."""

    def __init__(self, cfg: Common) -> None:
        super().__init__()
        widths, side = cfg.widths, cfg.image_size // STEM // 2 ** (len(cfg.widths) - 1)
        self.top, features = (widths[-1], side, side), side * side * widths[-1]
        down: list[nn.Module] = []
        up: list[nn.Module] = []
        for i, (width, blocks) in enumerate(zip(widths, cfg.blocks, strict=True)):
            k = 2 if i else STEM
            down += [nn.Conv2d(widths[i - 1] if i else 3, width, k, k), *(Block(cfg, width) for _ in range(blocks))]
            up[:0] = [*(Block(cfg, width) for _ in range(blocks)), *([Enlarge(2, width, widths[i - 1])] if i else [])]
        self.down = nn.Sequential(*down, activate(cfg, widths[-1]), nn.Flatten())
        self.posterior, self.dense = nn.Linear(features, 2 * cfg.latent_dim), nn.Linear(cfg.latent_dim, features)
        head = [activate(cfg, widths[0]), Enlarge(STEM, widths[0], cfg.head_width), nn.SiLU()]
        self.up = nn.Sequential(*up, *head, nn.Conv2d(cfg.head_width, 3, 3, padding=1, bias=False))
        self.bias = nn.Parameter(torch.zeros(3))
        found = (torch.arange(cfg.image_size) + 2).clamp(max=3)  # pixels that a 3x3 convolution finds along an axis
        found[-1] = 2
        self.register_buffer("border", 9 / (found[:, None] * found[None, :]), persistent=False)

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance [b,d] of images [b,3,h,w] in [0, 1]."""
        mean, logvar = self.posterior(self.down(x - 0.5)).float().chunk(2, dim=1)
        return mean, logvar

    def decode(self, z: Tensor, layout: torch.memory_format) -> Tensor:
        """Images [b,3,h,w] in [0, 1] of latents [b,d]."""
        x = self.up(self.dense(z).view(-1, *self.top).to(memory_format=layout))
        return torch.sigmoid(x.float() * self.border + self.bias[:, None, None])
