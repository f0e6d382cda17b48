"""Whether edits land: attribute vectors applied to faces, judged from pixels, the same for every model."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jvae.data.packed import PackedStore
from jvae.judge.ranking import roc_auc
from jvae.latent.vectors import AttributeVectors
from jvae.models.model import to_float
from jvae.trained import TrainedModel

POOL = 4  # pixels a side of what the judge sees as one: a VAE's blur is finer
FACTORS = np.arange(0, 8.5, 0.5)  # of raw vectors: 1 leads from the mean face without an attribute to the one with it
RIDGE = 1e-3  # times the number of images
LEAST_AUC = 0.8  # of the judge on real images, for an attribute to be judged at all


class Judge(NamedTuple):
    """Linear classifiers of all attributes by an image's thumbnail; fitted by least squares.

    Attributes:
      weights: [p+1,a], the last row the intercept.
      thresholds: [a], scores above which an attribute is there: halfway between the class means.
    """

    weights: np.ndarray
    thresholds: np.ndarray

    def scores(self, images: jax.Array) -> jax.Array:
        """[n,a] of float images [n,h,w,3] in [0, 1]."""
        return thumbnails(images) @ self.weights[:-1] + self.weights[-1:]


class Edits(NamedTuple):
    """What the edits of some attributes did, at each of FACTORS.

    Attributes:
      hits: [a',f], the share of faces judged to be without an attribute that are now judged to have it.
      leaks: [a',f], the share of the other attributes' judgements that turned over.
    """

    hits: np.ndarray
    leaks: np.ndarray

    def leak_at(self, hits: float) -> np.ndarray:
        """[a'], the leak at the factor with which each attribute first reaches a share of hits; NaN where none does."""
        found = []
        for hit, leak in zip(self.hits, self.leaks, strict=True):
            first = int(np.argmax(hit >= hits))
            last = slice(max(first - 1, 0), first + 1)  # between the two factors around it by a line
            found.append(np.interp(hits, hit[last], leak[last]) if hit[first] >= hits else np.nan)
        return np.array(found)


def thumbnails(images: Any) -> jax.Array:
    """[n,p] of images [n,h,w,3]: means over squares of POOL pixels."""
    n, h, w, c = images.shape
    pooled = jnp.reshape(images, (n, h // POOL, POOL, w // POOL, POOL, c)).mean((2, 4))
    return pooled.reshape(n, -1)


def fit_judge(images: np.ndarray, attrs: np.ndarray) -> Judge:
    """A judge from uint8 images [n,h,w,3] and bool labels [n,a]."""
    small = jax.jit(lambda x: thumbnails(to_float(x)))
    x = np.concatenate([small(images[i : i + 1000]) for i in range(0, len(images), 1000)]).astype(np.float64)
    x = np.append(x, np.ones((len(x), 1)), axis=1)
    weights = np.linalg.solve(x.T @ x + RIDGE * len(x) * np.eye(x.shape[1]), x.T @ attrs)
    scores = x @ weights
    means = [[scores[side, i].mean() if side.any() else 0.0 for side in (has, ~has)] for i, has in enumerate(attrs.T)]
    thresholds = np.mean(means, axis=1)
    return Judge(weights.astype(np.float32), thresholds.astype(np.float32))


def judged_attributes(judge: Judge, images: np.ndarray, attrs: np.ndarray) -> list[int]:
    """The attributes that a judge tells well on images [n,h,w,3] with labels [n,a]."""
    batches = (jnp.asarray(images[i : i + 500]) for i in range(0, len(images), 500))
    scores = np.concatenate([judge.scores(to_float(batch)) for batch in batches])
    both_there = [i for i, has in enumerate(attrs.T) if has.any() and not has.all()]
    return [i for i in both_there if roc_auc(scores[:, i], attrs[:, i]) >= LEAST_AUC]


def edit(
    model: TrainedModel, z: np.ndarray, vectors: AttributeVectors, store: PackedStore, judge: Judge, faces: int = 100
) -> Edits:
    """Applies each attribute's vector to test faces without it, in steps, and judges the decoded pictures.

    Args:
      model: decodes.
      z: [n,d], its latents of the test split.
      vectors: its.
      store: with a test split.
      judge: of the store's attributes.
      faces: at most, an attribute.
    """
    rows = store.indices("test")
    images, attrs = store.images[rows], np.asarray(store.attrs[rows])

    @jax.jit
    def yes(variables: Any, z: jax.Array, step: jax.Array) -> jax.Array:
        points = z[:, None] + FACTORS[None, :, None].astype(np.float32) * step[None, None]  # [n,f,d]
        flat = model.decode_fn(variables, points.reshape(-1, points.shape[-1]))
        return (judge.scores(flat) > judge.thresholds[None]).reshape(*points.shape[:2], -1)  # [n,f,a]

    hits, leaks = [], []
    for i in judged_attributes(judge, images, attrs):
        start = z[~attrs[:, i]]
        start = start[:: max(1, len(start) // faces)][:faces]
        always = np.resize(start, (faces, z.shape[1]))  # one program for all attributes
        said = yes(model.variables, always, vectors[store.attribute_names[i]].vector.astype(np.float32))
        said = np.asarray(said)[: len(start)]
        without = said[~said[:, 0, i]]
        turned = np.delete(without != without[:, :1], i, axis=2)
        none = np.zeros(len(FACTORS))  # where the judge sees the attribute on every face from the start
        hits.append(without[:, :, i].mean(0) if len(without) else none)
        leaks.append(turned.mean((0, 2)) if len(without) else none)
    return Edits(np.array(hits), np.array(leaks))
