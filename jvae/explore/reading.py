"""A run in; its scorecard's page, the map of its vectors, and the reconstructions that err most, out."""

import functools
import tempfile
from pathlib import Path

import numpy as np

from jvae.data.source import spread
from jvae.errors import InputError
from jvae.evaluate.provenance import SCORECARD, read_scorecard
from jvae.explore.studio import Studio
from jvae.render.vector_map import save_map

PAGE = SCORECARD.with_name("page.png")
MOST = 512  # faces that are reconstructed
SHOWN = 24


def scorecard(studio: Studio) -> bytes:
    """The page that `jvae scorecard` wrote, a PNG.

    Raises:
      InputError: it wrote none, or one of other weights or vectors.
    """
    found, stale = read_scorecard(studio.run, studio.model, studio.known, "shown")
    path, way = studio.run / PAGE, f"`jvae scorecard --run {studio.run} --data … --judge …` makes"
    if stale:
        raise InputError(f"{stale}: {way} it anew")
    if not found or not path.is_file():
        raise InputError(f"{studio.run} has no scorecard: {way} one")
    return path.read_bytes()


def vector_map(studio: Studio) -> bytes:
    """The cosines of all vectors beside the correlations of their labels, a PNG.

    Raises:
      InputError: the run has no vectors.
    """
    if studio.known is None:
        raise InputError(f"{studio.run} has no attribute vectors to draw a map of")
    with tempfile.TemporaryDirectory(prefix="jvae-") as folder:
        save_map(path := Path(folder, "map.png"), studio.known)
        return path.read_bytes()


@functools.lru_cache(1)
def worst(studio: Studio) -> tuple[list[tuple[str, float, np.ndarray]], int]:
    """The faces whose reconstructions are farthest off, worst first, and among how many they are.

    Returns:
      Of each its image_id, squared error (mean over pixels in [0,1]) and reconstruction uint8 [h,w,3].

    Raises:
      InputError: there is no store.
    """
    store, model = studio.store, studio.model
    if store is None:
        raise InputError("reconstructions are of a store's faces: start jvae explore with --data")
    there = [split for split in ("test", "validation", "train") if (store.splits == split).any()]
    rows = store.indices(there[0])
    rows = spread(rows, MOST)
    images = store.read(rows)
    decoded = model.decode(model.encode(images))
    errors = np.square((images.astype(np.float32) - decoded) / 255).mean((1, 2, 3))
    order = np.argsort(-errors)[:SHOWN]
    return [(str(store.image_ids[rows[i]]), float(errors[i]), decoded[i]) for i in order], len(rows)
