"""A run directory in; what of it is exported, out: its model, its vectors of every kind, and what is known of both."""

import dataclasses
import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from jvae.data.decode import crop_box
from jvae.errors import InputWarning
from jvae.evaluate.provenance import read_scorecard
from jvae.latent.kinds import Kind
from jvae.latent.priors import Prior, nearest_normal
from jvae.latent.vectors import AttributeVectors
from jvae.photo.frame import EYES, HEIGHT, WIDTH
from jvae.trained import TrainedModel, load, load_vectors, vectors_file
from jvae.training.log import METRICS, read_rows

CALM = 0.7  # temperature of sampled faces: fewer are odd than at 1


@dataclasses.dataclass(frozen=True)
class Bundle:
    """What is exported of a run.

    Attributes:
      name: of the run.
      model: trained model, of the best checkpoint.
      kinds: attribute vectors, each of another kind; edits are by the first. None where there are no vectors.
      scores: what validation found at the model's step, by name.
      scorecard: what `jvae scorecard` wrote of these weights and vectors, or nothing.
      named: whether the first kind was asked for by name.
      stale: whether there was a scorecard, of other weights or vectors.
    """

    name: str
    model: TrainedModel
    kinds: tuple[AttributeVectors, ...]
    scores: dict[str, float]
    scorecard: dict[str, Any]
    named: bool = False
    stale: bool = False

    @property
    def vectors(self) -> AttributeVectors | None:
        """Those that edits are by."""
        return self.kinds[0] if self.kinds else None

    @property
    def source(self) -> str:
        """What the images are that it was trained on, in words."""
        return self.model.data.source if self.model.data else "images that the run does not name"

    @property
    def eyes(self) -> list[list[float]]:
        """Where the eyes lie in the model's images, x and y from 0 to 1 each, that further left first."""
        left, top, right, bottom = crop_box(WIDTH, HEIGHT, self.model.crop or "center")
        return [[(eye.real - left) / (right - left), (eye.imag - top) / (bottom - top)] for eye in EYES]


def read_bundle(
    run: str | os.PathLike[str],
    vectors: str | os.PathLike[str] | None = None,
    kind: Kind | str | None = None,
    kinds: Callable[[AttributeVectors], tuple[Kind, ...]] = lambda known: (),
) -> Bundle:
    """What is exported of a run.

    Args:
      run: its directory.
      vectors: file of its attribute vectors; None is vectors.npz in the run, and none of it where that is not there.
      kind: kind of the vectors that edits are by, or its name; None is the kind they were saved as.
      kinds: the other kinds that go along, given the vectors.

    Raises:
      InputError: see `jvae.trained.load` and `load_vectors`.

    Warns:
      InputWarning: the run has no vectors, or its scorecard is of others or of other weights, and is left out.
    """
    run = Path(run)
    model = load(run)
    found: list[AttributeVectors] = []
    if vectors is None and not vectors_file(run).is_file():
        warnings.warn(
            f"{run} has no attribute vectors, so what is exported makes no edits: `jvae vectors --run {run} --data …` "
            "estimates them",
            InputWarning,
            stacklevel=2,
        )
    else:
        found.append(load_vectors(run, model, vectors, kind))
        found += [found[0].of_kind(other) for other in kinds(found[0]) if other != found[0].kind]
    rows = [row for row in read_rows(run / METRICS) if row["step"] == model.step and row["split"] == "validation"]
    scores = {name: value for name, value in (rows or [{}])[-1].items() if name not in ("step", "split")}
    scorecard, stale = read_scorecard(run, model, found[0] if found else None, "exported")
    if stale:
        scorecard = {}
        warnings.warn(
            f"{stale}, and is left out: `jvae scorecard --run {run} --data … --judge …` makes it anew",
            InputWarning,
            stacklevel=2,
        )
    return Bundle(run.resolve().name, model, tuple(found), scores, scorecard, kind is not None, bool(stale))


def directions(vectors: AttributeVectors) -> np.ndarray:
    """What a factor of 1 adds to z for each attribute: [a,d] float32, a standard deviation of the data each."""
    return np.stack([vectors[name].step("sd") for name in vectors.names]).astype(np.float32)


def prior_of(bundle: Bundle) -> Prior:
    """A normal distribution like that of the data's latents; without vectors the prior, which they were to be like."""
    return nearest_normal(None if bundle.vectors is None else bundle.vectors.totals, bundle.model.latent_dim)


def faces(bundle: Bundle, count: int, seed: int = 0) -> np.ndarray:
    """Latents [count,d] float32 of faces that nobody has, drawn from `prior_of`, nearer to its mean than the data."""
    return prior_of(bundle).sample(count, temperature=CALM, seed=seed)


def licence(source: str) -> tuple[str, str]:
    """The licence of weights by what they were trained on: its name for a hub, and what that means."""
    if "celeb" in source.lower():
        return "other", (
            "CelebA may be used for non-commercial research alone, and so may what was learnt from it. Its people were "
            "not asked; its labels are judgements of others on their looks."
        )
    if source.startswith("rendered"):
        return (
            "apache-2.0",
            "The faces it was trained on are drawn by code and show nobody: there is no licence to heed.",
        )
    return "other", "The pictures are the exporter's own: their licence, and the consent of those they show, apply."
