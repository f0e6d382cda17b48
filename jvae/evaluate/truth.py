"""Rendered faces and attribute vectors in; how near edits come to the faces rendered with the attribute, out."""

from typing import NamedTuple, Protocol

import numpy as np

from jvae.data.packed import PackedStore
from jvae.data.sources.face_drawing import draw
from jvae.data.sources.rendered import BATCH, attributes, counterfactual, holds_faces_of, sample_factors
from jvae.errors import InputError
from jvae.evaluate.edits import FACTORS
from jvae.latent.attribute import AttributeVector
from jvae.latent.trajectories import apply_vector

CHANGED = 2 / 255  # of a channel, from which a pixel counts as one that ought to change


class Autoencoder(Protocol):
    """What encodes and decodes: see `jvae.trained.TrainedModel`."""

    @property
    def image_size(self) -> int:
        """Height and width in pixels."""
        ...

    def encode(self, images: np.ndarray) -> np.ndarray:
        """Images uint8 [n,h,w,3] -> latents [n,d] float32."""
        ...

    def decode(self, z: np.ndarray) -> np.ndarray:
        """Latents [...,d] -> images uint8 [...,h,w,3]."""
        ...


class Truth(NamedTuple):
    """Squared errors to the faces rendered with the attribute, per pixel and channel, values in [0, 1].

    Attributes:
      faces: how many.
      region: share of the pixels that ought to change.
      inside: [f], of the edited reconstruction where it ought to change, at each factor; the first is without an edit.
      outside: [f], where it ought not to.
      inside_best: of the reconstruction of the face rendered with the attribute, which no edit can hope to beat by far.
      outside_best: likewise.
    """

    faces: int
    region: float
    inside: np.ndarray
    outside: np.ndarray
    inside_best: float
    outside_best: float

    @property
    def best(self) -> int:
        """The index of the factor with the least error inside."""
        return int(np.argmin(self.inside))

    @property
    def closed(self) -> float:
        """The share of the error inside, beyond that of the best reconstruction, which the best factor takes away."""
        gap = self.inside[0] - self.inside_best
        return float((self.inside[0] - self.inside[self.best]) / gap) if gap > 0 else float("nan")

    @property
    def spoilt(self) -> float:
        """The error outside at that factor over the error there without an edit: 1 spoils nothing."""
        return float(self.outside[self.best] / self.outside[0]) if self.outside[0] else float("nan")


class Pairs(NamedTuple):
    """Rendered faces without an attribute, and the same faces rendered with it.

    Attributes:
      z: [n,d], latents of those without it.
      target: float32 [n,h,w,3], those with it.
      ought: bool [n,h,w,1], the pixels that differ.
      best: uint8 [n,h,w,3], the reconstructions of those with it.
    """

    z: np.ndarray
    target: np.ndarray
    ought: np.ndarray
    best: np.ndarray


def check_truth(store: PackedStore, seed: int) -> None:
    """Raises InputError unless a store is of rendered faces, and of other ones than those of a seed."""
    if store.source != "rendered":
        raise InputError(
            f"truth={seed}: edits are held against rendered faces, and the images of {store.path} are of another "
            f"source ({store.source}): leave it out, or give a store of the source rendered"
        )
    if holds_faces_of(store, seed):
        raise InputError(
            f"truth={seed}: faces of this seed are those of {store.path}, which the model may know: give another seed"
        )


def rendered_pairs(model: Autoencoder, attribute: str, *, seed: int, faces: int = 128) -> Pairs:
    """Renders faces, with and without an attribute.

    Args:
      model: of faces of its size.
      attribute: one of `RenderedFaces.attribute_names`.
      seed: of the faces; one that the model was not trained on.
      faces: how many are rendered; those that have the attribute already are left out.

    Raises:
      InputError: no such attribute in rendered faces, or all of the faces have it.
    """
    originals, targets = [], []
    for first in range(0, faces, BATCH):  # in batches of the renderer's own size, which compile once
        indices = np.arange(first, first + BATCH)
        sampled = sample_factors(seed, indices)
        changed = counterfactual(sampled, attribute, True)
        new = np.asarray((attributes(sampled) != attributes(changed)).any(1)) & (indices < faces)
        for kind, into in ((sampled, originals), (changed, targets)):
            into.append(np.asarray(draw(kind, model.image_size))[new])
    x, target = np.concatenate(originals), np.concatenate(targets)
    if not len(x):
        raise InputError(f"all of the {faces} faces have {attribute}: render more of them")
    ought = np.asarray((np.abs(target - x) > CHANGED).any(-1, keepdims=True))
    z, best = (model.encode(np.round(images * 255).astype(np.uint8)) for images in (x, target))
    return Pairs(z, target, ought, model.decode(best))


def edit_truth(model: Autoencoder, vector: AttributeVector, pairs: Pairs, *, factors: np.ndarray = FACTORS) -> Truth:
    """Edits rendered faces without an attribute, and holds the edits against the same faces rendered with it.

    Args:
      model: decodes.
      vector: of the attribute.
      pairs: of the attribute and the model.
      factors: [f], the first is 0, in standard deviations along the vector.
    """
    z, target, ought, best = pairs
    inside, outside = [], []
    for pictures in (*np.moveaxis(apply_vector(z, vector, factors, "sd", model), 1, 0), best):
        error = ((pictures.astype(np.float32) / 255 - target) ** 2).mean(-1, keepdims=True)
        inside.append(float(error.mean(where=ought)))
        outside.append(float(error.mean(where=~ought)))
    return Truth(len(z), float(ought.mean()), np.array(inside[:-1]), np.array(outside[:-1]), inside[-1], outside[-1])
