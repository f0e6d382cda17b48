"""What a peer has in common with jvae: one network and how it is trained. Read without jax."""

import dataclasses
from dataclasses import dataclass
from typing import Self

from jvae.config import Config


@dataclass(frozen=True, kw_only=True)
class Common:
    """Settings of the book's network, its loss, Adam and its batches: see `jvae.models.book.Book` and `jvae.config`.

    Attributes:
      r_loss_factor: weight of the squared error's mean over pixels and channels beside the KL.
    """

    image_size: int
    widths: tuple[int, ...]
    latent_dim: int
    dropout: float
    leaky_slope: float
    bn_momentum: float
    bn_epsilon: float
    r_loss_factor: float
    learning_rate: float
    adam_epsilon: float
    batch_size: int

    @classmethod
    def of(cls, cfg: Config) -> Self:
        """Those of `cfg`, whose model is the book's."""
        known = vars(cfg.loop) | vars(cfg.optimizer) | vars(cfg.model)
        known["r_loss_factor"] = cfg.objective.weight(cfg.model.image_size)
        return cls(**{field.name: known[field.name] for field in dataclasses.fields(cls)})
