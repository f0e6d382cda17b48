"""The notebook's way against ours: one label a pass and one `predict` a cell, or one pass and one decoder call.

    python -m benchmarks.bench_book_loop

Vectors: the procedure of Generative Deep Learning, chapter 3 (see jvae/latent/book.py), without its early stop, so that
both ways give the same vectors: for each label shuffled batches of 500 go through the encoder, and the latents with the
label and without it are summed on the host. Ours is `attribute_statistics`, second moments and co-occurrences included,
and `AttributeVectors`. Two cases: from JPEGs, as the notebook starts (the loop decodes them with Pillow on all cores in
every pass; ours packs them first, and the time is in ours), and from pixels in memory, where the loop has all that a
notebook lacks. Its encoder is jitted in both. Labels are 40 random ones; of the loop a few are timed, and the time is
scaled to 40.

Grid: faces along an attribute, from latents to a uint8 picture on the host. The notebook decodes a latent at a time and
draws each into a cell of a Matplotlib figure; here its decoder is jitted, too. A second peer only puts the tiles
together in NumPy. Ours is `decode` and `sheet`.
"""

import os
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import jax
import numpy as np

from benchmarks import table, timing
from benchmarks.faces import images as some_images
from benchmarks.faces import untrained, write_celeba
from benchmarks.peers.pillow import by_pillow
from jvae.cli.run import run
from jvae.data.packed import pack
from jvae.data.sources.celeba import ATTRIBUTES, CelebAFolder
from jvae.latent.encoding import attribute_statistics
from jvae.latent.vectors import AttributeVectors
from jvae.render.sheet import sheet
from jvae.render.tiles import to_uint8
from jvae.trained import TrainedModel
from jvae.training.presets import preset

BATCH = 500  # the book's


def vector_of_one_label(encode: Callable, read: Callable, has: np.ndarray, seed: int) -> np.ndarray:
    """One pass over all images for the label `has` [n]: mean latent with it, minus mean latent without, [d]."""
    order = np.random.default_rng(seed).permutation(len(has))
    sums: list[np.ndarray | float] = [0.0, 0.0]
    for start in range(0, len(order), BATCH):
        rows = order[start : start + BATCH]
        z = np.asarray(encode(read(rows)))
        for side, there in enumerate((has[rows], ~has[rows])):
            sums[side] = sums[side] + z[there].sum(0, dtype=np.float64)
    return sums[0] / has.sum() - sums[1] / (~has).sum()


def grid_by_cells(decode: Callable, z: np.ndarray, vector: np.ndarray, factors: np.ndarray) -> np.ndarray:
    """A decoder call a cell: uint8 [r*h, c*w, 3] of latents [r,d] moved by factors [c] along `vector` [d]."""
    rows = [[np.asarray(decode((start + f * vector)[None]))[0] for f in factors] for start in z]
    return np.concatenate([np.concatenate(row, axis=1) for row in rows])


def figure_by_cells(decode: Callable, z: np.ndarray, vector: np.ndarray, factors: np.ndarray) -> np.ndarray:
    """The same as a Matplotlib figure of the notebook's size, a cell at a time: uint8 [h,w,4]."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(18, 10))
    canvas = FigureCanvasAgg(figure)
    cells = ((start, factor) for start in z for factor in factors)
    for number, (start, factor) in enumerate(cells, 1):
        cell = figure.add_subplot(len(z), len(factors), number)
        cell.axis("off")
        cell.imshow(np.asarray(decode((start + factor * vector)[None]))[0])
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())


def vector_row(
    model: TrainedModel, case: str, store: Callable, read: Callable, count: int, labels: int, rounds: int
) -> timing.Row:
    """Times the vectors of 40 labels, of which the loop does `labels`.

    Args:
      model: gives the latents.
      case: of the row.
      store: gives our images, uint8 [n,h,w,3].
      read: gives the loop those of some rows.
      count: n.
      labels: how many the loop does.
      rounds: timed calls.
    """
    rng = np.random.default_rng(0)
    attrs = rng.random((count, len(ATTRIBUTES))) < rng.uniform(0.05, 0.5, len(ATTRIBUTES))
    encode = jax.jit(lambda x: model.encode_fn(model.variables, x)[0])
    found: dict[str, np.ndarray] = {}

    def loop() -> None:
        found["loop"] = np.stack([vector_of_one_label(encode, read, attrs[:, i], i) for i in range(labels)])

    def ours() -> None:
        stats = attribute_statistics(model, store(), attrs, np.arange(count))
        vectors = AttributeVectors.from_statistics(stats, ATTRIBUTES)
        found["ours"] = np.stack([vectors[name].vector for name in ATTRIBUTES[:labels]])

    times = timing.in_turn({"ours": ours, "loop": loop}, rounds=rounds)
    difference = np.abs(found["ours"] - found["loop"]).max() / np.abs(found["loop"]).max()
    print(f"{case}: the vectors of both ways differ by {100 * difference:.2g} % at most")
    return timing.row(
        "book_loop",
        f"vectors of {len(ATTRIBUTES)} labels, {count} images {case} (loop: {labels} timed, scaled)",
        "s",
        times["ours"].median,
        peer_name="a pass a label",
        peer=times["loop"].median * len(ATTRIBUTES) / labels,
        higher_is_better=False,
        spread=(times["ours"].least, times["ours"].most),
        compile_s=times["ours"].compile_s,
        target="ratio >= 40",
        n=rounds,
    )


def vector_rows(model: TrainedModel, path: Path | None, count: int, labels: int, rounds: int) -> list[timing.Row]:
    """Times the vectors from JPEGs and from memory."""
    images = some_images(path, count)
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(os.cpu_count()) as pool:
        write_celeba(Path(folder) / "celeba", count)
        source = CelebAFolder(Path(folder) / "celeba")

        def decode(row: int) -> np.ndarray:
            return by_pillow(source.folder / source.image_ids[row], model.image_size, "center")

        def packed() -> np.ndarray:
            out = Path(folder) / "store"
            return pack(source, out, size=model.image_size, crop="center", overwrite=True, progress=False).images

        return [
            vector_row(
                model, "from JPEGs", packed, lambda rows: np.stack([*pool.map(decode, rows)]), count, labels, rounds
            ),
            vector_row(model, "in memory", lambda: images, images.__getitem__, len(images), labels, rounds),
        ]


def grid_rows(model: TrainedModel, rounds: int) -> list[timing.Row]:
    """Times a grid of 5 faces by 9 factors."""
    rng = np.random.default_rng(0)
    z = rng.standard_normal((5, model.latent_dim), np.float32)
    vector = rng.standard_normal(model.latent_dim, np.float32)
    factors = np.arange(-4, 5, dtype=np.float32)
    decode = jax.jit(lambda z: to_uint8(model.decode_fn(model.variables, z)))
    found: dict[str, np.ndarray] = {}

    def ours() -> None:
        latents = z[:, None] + factors[None, :, None] * vector
        found["ours"] = sheet(model.decode(latents), raw=True)

    def cells() -> None:
        found["cells"] = grid_by_cells(decode, z, vector, factors)

    def figure() -> None:
        figure_by_cells(decode, z, vector, factors)

    times = timing.in_turn({"ours": ours, "figure": figure, "cells": cells}, rounds=rounds, warm=2)
    difference = np.abs(found["ours"].astype(int) - found["cells"].astype(int)).max()
    assert difference <= timing.by_platform(1, 8), f"the two ways differ by {difference} of 255"
    peers = {"figure": "a predict and a figure cell each", "cells": "a predict each, tiled in NumPy"}
    return [
        timing.row(
            "book_loop",
            f"grid of 5x9, {peers[name]}",
            "ms",
            1000 * times["ours"].median,
            peer_name=peers[name],
            peer=1000 * times[name].median,
            higher_is_better=False,
            spread=(1000 * times["ours"].least, 1000 * times["ours"].most),
            compile_s=times["ours"].compile_s,
            target=target,
            n=rounds,
        )
        for name, target in (("figure", timing.by_platform("ratio >= 10", "ratio >= 50")), ("cells", None))
    ]


def main(quick: bool = False, path: Path | None = None, images: int | None = None, labels: int | None = None) -> None:
    """Times attribute vectors and a grid the notebook's way and ours.

    Args:
      quick: fewer images and rounds.
      path: a packed store of 64x64 for the case in memory; rendered faces without.
      images: how many; 10,240 unless told, fewer with --quick.
      labels: how many of the 40 the loop does; 3 unless told, 1 with --quick.
    """
    model = untrained(preset("celeba64"))
    count = images or (1024 if quick else 10_240)
    rows = vector_rows(model, path, count, labels or (1 if quick else 3), 1 if quick else 5)
    rows += grid_rows(model, 3 if quick else 20)
    timing.write(rows)
    print(table.text(rows))


if __name__ == "__main__":
    run(main)
