"""A judge's objective: a classifier of attributes that has seen photographs alone, and nothing of a VAE."""

import dataclasses
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jvae.config import ObjectiveConfig
from jvae.data.augment import augment
from jvae.data.feed import Batch
from jvae.errors import InputError
from jvae.judge.net import JudgeNet, JudgeNetwork, init_judge
from jvae.models.model import Variables, to_float
from jvae.training.task import Loss, Task, named, part, static

TEMPER = 0.5  # 0: a rare label weighs as it is rare; 1: having it and not weigh the same in all


@dataclass(frozen=True, kw_only=True)
class JudgeObjective(ObjectiveConfig):
    """Settings of the judge's objective: none. It learns every attribute that can be judged, see `judgeable`."""

    def labels(self, store: Any) -> tuple[str, ...]:
        """The attributes that can be judged. Raises `InputError` where there is none."""
        return tuple(judgeable(store)[0])

    def task(self, model: Any, labels: tuple[str, ...], dtype: Any) -> "JudgeTask":
        """The task, of weights 1 until it is prepared. Raises `InputError` for a network other than a judge's."""
        if not isinstance(model, JudgeNetwork):
            raise InputError(
                f"objective=judge: it trains the network of a judge, not a {type(model).__name__}: give --model judge, "
                "or another --objective"
            )
        net = JudgeNet(len(labels), model.image_size, model.dropout, model.blocks, dtype)
        return JudgeTask(net=net, attributes=labels, weights=np.ones((2, len(labels)), np.float32))


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class JudgeTask(Task):
    """Weighted sigmoid cross-entropy of the labels, on images moved, blurred and lit a little differently.

    Attributes:
      net: the network.
      attributes: names of the a attributes, in the order of the logits.
      weights: float32 [2,a], weights of the labels, see `class_weights`.
    """

    best: ClassVar[str] = "loss"
    net: JudgeNet = static()
    attributes: tuple[str, ...] = static()
    weights: Any

    @property
    def labels(self) -> tuple[str, ...]:
        """The attributes."""
        return self.attributes

    def prepared(self, store: Any) -> Self:
        """The task with the weights of the store's training split."""
        columns = [store.attribute(name) for name in self.attributes]
        attrs = np.asarray(store.attrs[np.asarray(store.indices("train"))])[:, columns]
        return dataclasses.replace(self, weights=class_weights(attrs))

    def init(self, key: jax.Array) -> Variables:
        """Fresh variables of the network."""
        return named(judge=init_judge(self.net, key))

    def loss(self, variables: Variables, batch: Batch, key: jax.Array, step: jax.Array) -> Loss:
        """The cross-entropy, with the part "accuracy", the share of labels that are told."""
        augment_key, dropout_key = jax.random.split(key)
        x = augment(augment_key, to_float(batch.images))
        own = part(variables, "judge")
        kept = [name for name in own if name != "params"]
        found: Any = self.net.apply(own, x, train=True, rngs={"dropout": dropout_key}, mutable=kept)
        judgement, collections = found
        values = judge_loss(judgement.logits, batch.labels, self.weights)
        return Loss(values, {"accuracy": _told(judgement.logits, batch.labels)}, named(variables, judge=collections))

    def score(self, variables: Variables, batch: Batch, keys: jax.Array) -> dict[str, jax.Array]:
        """The loss of the images as they are, and accuracy."""
        found: Any = self.net.apply(part(variables, "judge"), to_float(batch.images))
        values = judge_loss(found.logits, batch.labels, self.weights)
        return {"loss": values, "accuracy": _told(found.logits, batch.labels)}


def judgeable(store: Any) -> tuple[list[str], dict[str, str]]:
    """The attributes that some images of each split have and some have not, and why the others cannot be judged.

    Raises:
      InputError: a split is empty, or no attribute is left.
    """
    rows = {split: store.indices(split) for split in ("train", "validation", "test")}
    missing: dict[str, str] = {}
    for split, indices in rows.items():
        counts = store.attrs[np.asarray(indices)].sum(0)
        for name, count in zip(store.attribute_names, counts, strict=True):
            if not 0 < count < len(indices):
                who = "all" if count else "none"
                missing.setdefault(name, f"{who} of the {len(indices):,} {split} images have it")
    names = [name for name in store.attribute_names if name not in missing]
    if not names:
        raise InputError(f"{store.path} has no attribute that some images of each split have and some have not")
    return names, missing


def class_weights(attrs: np.ndarray) -> np.ndarray:
    """What an image's label weighs: [2,a] float32, of not having the attribute and of having it.

    Rare labels weigh more, to the power TEMPER; the mean weight over the labels attrs [n,a] is 1.
    """
    share = attrs.mean(0, dtype=np.float64)
    shares = np.clip(np.stack([1 - share, share]), 1 / len(attrs), None)
    weights = shares**-TEMPER
    return (weights / (shares * weights).sum(0)).astype(np.float32)


def judge_loss(logits: jax.Array, labels: jax.Array, weights: jax.Array) -> jax.Array:
    """Weighted sigmoid cross-entropy, nats an attribute, [b].

    Args:
      logits: [b,a].
      labels: [b,a] bool.
      weights: [2,a], see `class_weights`.
    """
    each = optax.sigmoid_binary_cross_entropy(logits, labels.astype(logits.dtype))
    return jnp.mean(each * jnp.where(labels, weights[1:], weights[:1]), 1)


def _told(logits: jax.Array, labels: jax.Array) -> jax.Array:
    return jnp.mean((logits > 0) == labels, axis=1)
