"""What a peer has in common with jvae: one network and how it is trained. Read without jax."""

import dataclasses
from dataclasses import dataclass
from typing import Self

from jvae.config import Config


@dataclass(frozen=True, kw_only=True)
class Common:
    """Settings of a network, its loss, Adam and its batches: see `jvae.models` and `jvae.config`.

    Attributes:
      r_loss_factor: weight of the squared error's mean over pixels and channels beside the KL.
      dropout, leaky_slope, bn_momentum, bn_epsilon: of the book's network alone.
      blocks, head_width, groups: of the residual one alone, with its GroupNorm and SiLU; no blocks are the book's.
    """

    image_size: int
    widths: tuple[int, ...]
    latent_dim: int
    r_loss_factor: float
    learning_rate: float
    adam_epsilon: float
    batch_size: int
    dropout: float = 0.0
    leaky_slope: float = 0.0
    bn_momentum: float = 0.0
    bn_epsilon: float = 0.0
    blocks: tuple[int, ...] = ()
    head_width: int = 0
    groups: int = 0

    @classmethod
    def of(cls, cfg: Config) -> Self:
        """Those of `cfg`, whose model is the book's, or the residual one."""
        known = vars(cfg.loop) | vars(cfg.optimizer) | vars(cfg.model)
        known["r_loss_factor"] = cfg.objective.weight(cfg.model.image_size)
        return cls(**{field.name: known[field.name] for field in dataclasses.fields(cls) if field.name in known})
