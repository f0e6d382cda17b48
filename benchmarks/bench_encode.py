"""Encoding a store, and what all attributes' vectors cost on top.

    python -m benchmarks.bench_encode

Three rows for `celeba64` at 64x64:

* encoding: every image's posterior mean, from uint8 pixels in the host's memory to float32 there, against PyTorch in
  its best configuration and with the same batches, rounds in turn;
* `attribute_statistics` and `AttributeVectors` of 40 labels (counts, co-occurrences, first and second moments, all by
  compensated sums) against our encoding alone, which reads and uploads the same batches the same way: at most 10 %
  more time;
* the same from images that are on the device already, as after training: CelebA's 202,599 images on an accelerator.

Labels are random, at rates from 5 to 50 %; first parameters: the time does not depend on them.
"""

import functools
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import faces, table, timing
from benchmarks.peers.child import pytorch
from benchmarks.peers.common import Common
from jvae.cli.run import run
from jvae.data.sources.celeba import ATTRIBUTES
from jvae.latent.encoding import Padded, attribute_statistics, check_finite, encode_step, start, stream
from jvae.latent.vectors import AttributeVectors
from jvae.trained import TrainedModel
from jvae.training.presets import preset

CELEBA = 202_599


@functools.partial(jax.jit, static_argnums=0)
def _mean(encode_fn: Callable, variables: Any, images: jax.Array) -> jax.Array:
    return encode_fn(variables, images)[0]


def encode(model: TrainedModel, images: np.ndarray, attrs: np.ndarray, batch_size: int) -> np.ndarray:
    """Posterior means [n,d] of uint8 images [n,h,w,3], their batches read as `attribute_statistics` reads them."""
    groups = (np.arange(i, min(i + batch_size, len(images))) for i in range(0, len(images), batch_size))
    means: list[np.ndarray] = []
    queue: deque[jax.Array] = deque()
    for batch in stream(images, attrs, groups, batch_size, model.mesh):
        queue.append(_mean(model.encode_fn, model.variables, batch.images))
        if len(queue) > 2:
            means.append(np.asarray(queue.popleft()))
    return np.concatenate([*means, *map(np.asarray, queue)])[: len(images)]


@functools.partial(jax.jit, static_argnames="size")
def _rows(images: jax.Array, attrs: jax.Array, first: jax.Array, *, size: int) -> Padded:
    """The batch of `size` rows from `first` on, without those beyond the end, of arrays that are on the device."""
    rows = first + jnp.arange(size, dtype=jnp.int32)
    mask = rows < len(images)
    return Padded(images[rows], attrs[rows], rows, mask)  # a row beyond the end reads the last one


def resident_vectors(model: TrainedModel, images: jax.Array, attrs: jax.Array, batch_size: int) -> AttributeVectors:
    """All vectors of uint8 images [n,h,w,3] and labels [n,a] that are on the device."""
    stats, bad = start(attrs.shape[1], model.latent_dim, model.mesh)
    key = jax.random.key(0)
    for first in range(0, len(images), batch_size):
        batch = _rows(images, attrs, np.int32(first), size=batch_size)
        stats, bad = encode_step(
            stats, bad, model.variables, batch, key, encode_fn=model.encode_fn, latent="mean", mesh=model.mesh
        )
    check_finite(stats, bad)
    return AttributeVectors.from_statistics(stats, ATTRIBUTES)


def main(quick: bool = False, path: Path | None = None, count: int | None = None, rounds: int | None = None) -> None:
    """Times encoding against PyTorch, and the statistics of 40 attributes against encoding alone.

    Args:
      quick: fewer images and rounds, and one configuration of PyTorch.
      path: a packed store of 64x64 images; rendered faces when there is none.
      count: images a round (default: 8192 on a CPU, quick 1024; CelebA's 202,599 on an accelerator).
      rounds: timed rounds of each (default: 9, quick 2).
    """
    cfg = preset("celeba64")
    rounds = rounds or (2 if quick else 9)
    n = count or timing.by_platform(1024 if quick else 8192, 8192 if quick else CELEBA)
    batch_size = timing.by_platform(512, 2048)
    some = faces.images(path, min(n, 4096), cfg.model.image_size)
    images = np.resize(some, (n, *some.shape[1:]))  # over and over
    rng = np.random.default_rng(0)
    attrs = rng.random((n, len(ATTRIBUTES))) < rng.uniform(0.05, 0.5, len(ATTRIBUTES))
    model = faces.untrained(cfg)
    images_there, attrs_there = jax.device_put((images, attrs))

    def vectors() -> None:
        stats = attribute_statistics(model, images, attrs, np.arange(n), batch_size=batch_size)
        AttributeVectors.from_statistics(stats, ATTRIBUTES)

    def encoding() -> None:
        encode(model, images, attrs, batch_size)

    def resident() -> None:
        resident_vectors(model, images_there, attrs_there, batch_size)

    runs: dict[str, timing.Run] = {"encoding": encoding, "vectors": vectors, "resident": resident}
    dtype = timing.by_platform("float32", "bfloat16")  # what "auto" is
    with pytorch("encode", Common.of(cfg.replace(batch_size=batch_size)), dtype, images, quick=quick) as child:
        if child is not None:
            runs["PyTorch"] = child
        times = timing.in_turn(runs, rounds=rounds)
    rates = {name: t.rates(n) for name, t in times.items()}
    took = times["resident"]
    rows = [
        timing.row(
            "encode",
            f"{cfg.preset}, posterior means of {n:,} images",
            "images/s",
            rates["encoding"][0],
            peer_name="PyTorch",
            peer=rates["PyTorch"][0] if "PyTorch" in rates else None,
            spread=rates["encoding"][1:],
            compile_s=times["encoding"].compile_s,
            target=timing.by_platform("ratio >= 1.4", "ratio >= 1.0"),
            n=rounds,
        ),
        timing.row(
            "encode",
            f"{cfg.preset}, vectors and second moments of {len(ATTRIBUTES)} labels, {n:,} images",
            "images/s",
            rates["vectors"][0],
            peer_name="encoding alone",
            peer=rates["encoding"][0],
            spread=rates["vectors"][1:],
            compile_s=times["vectors"].compile_s,
            target="ratio >= 0.909",  # 10 % more time
            n=rounds,
        ),
        timing.row(
            "encode",
            f"{cfg.preset}, {n:,} images on the device to all vectors",
            "s",
            took.median,
            spread=(took.least, took.most),
            compile_s=took.compile_s,
            target="ours <= 2" if n >= CELEBA and timing.platform() != "cpu" else None,
            n=rounds,
        ),
    ]
    timing.write(rows)
    print(table.text(rows))


if __name__ == "__main__":
    run(main)
