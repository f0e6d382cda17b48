"""A VAE whose posterior mean must tell the labels: a linear head on it, by logistic regression."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jvae.data.feed import Batch
from jvae.errors import InputError
from jvae.models.model import Encode, Posterior, Variables, latent_dim
from jvae.training.task import named, part, static
from jvae.training.tasks.vae import Vae, VaeTask


@dataclass(frozen=True, kw_only=True)
class Supervised(Vae):
    """Settings of the VAE's objective, and of the labels beside it.

    Attributes:
      label_weight: weight of the labels' cross-entropy (nats, summed over the attributes) beside the KL.
      attributes: attributes to learn; all of the store's when none is named.
    """

    label_weight: float = 1.0
    attributes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_positive("label_weight")

    def labels(self, store: Any) -> tuple[str, ...]:
        """The attributes named, or all. Raises `InputError` where the store has none, or not these."""
        if not store.attribute_names:
            raise InputError(f"{store.path} has no labels, which the objective supervised needs: pack them, or use vae")
        for name in self.attributes:
            store.attribute(name)
        return self.attributes or tuple(store.attribute_names)

    def task(self, model: Any, labels: tuple[str, ...], dtype: Any) -> "SupervisedTask":
        """The task."""
        weight = np.float32(self.label_weight)
        return SupervisedTask(**self.shared(model, dtype), attributes=labels, label_weight=weight)


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class SupervisedTask(VaeTask):
    """The VAE's loss, and label_weight · the cross-entropy of the labels by a linear head on the posterior mean.

    Attributes:
      attributes: names of the a attributes that the head tells.
      label_weight: float32 [], weight of the cross-entropy beside the KL.
    """

    attributes: tuple[str, ...] = static()
    label_weight: Any

    @property
    def labels(self) -> tuple[str, ...]:
        """The attributes."""
        return self.attributes

    def init(self, key: jax.Array) -> Variables:
        """Fresh variables of the model, and a head that says nothing yet."""
        variables, a = super().init(key), len(self.attributes)
        d = latent_dim(self.module, part(variables, "model"), self.config.image_size)
        return named(variables, head={"params": linear_head(d, a)})

    def terms(
        self, variables: Variables, batch: Batch, x: jax.Array, recon: jax.Array, posterior: Posterior
    ) -> dict[str, jax.Array]:
        """The labels' cross-entropy."""
        logits = read_off(variables["params"]["head"], posterior.mean)
        each = optax.sigmoid_binary_cross_entropy(logits, batch.labels.astype(jnp.float32))
        return {"labels": self.label_weight * each.sum(1)}

    def score(self, variables: Variables, batch: Batch, keys: jax.Array) -> dict[str, jax.Array]:
        """The VAE's scores, and label_accuracy, the share of the labels that the head tells."""
        mean = Encode(self.module)(part(variables, "model"), batch.images).mean
        said = read_off(variables["params"]["head"], mean) > 0
        return super().score(variables, batch, keys) | {"label_accuracy": jnp.mean(said == batch.labels, axis=1)}


def linear_head(d: int, a: int) -> dict[str, jax.Array]:
    """Parameters of a linear head on a posterior mean, which says nothing yet."""
    return {"kernel": jnp.zeros((d, a)), "bias": jnp.zeros(a)}


def read_off(head: dict[str, jax.Array], mean: jax.Array) -> jax.Array:
    """Logits [b,a] of posterior means [b,d]."""
    return mean @ head["kernel"] + head["bias"][None]
