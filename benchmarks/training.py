"""Training as `jvae.train` does it, without its checks, logs and checkpoints: what the benchmarks time."""

from collections.abc import Iterator
from typing import Any

import jax
import numpy as np

from jvae.config import Config
from jvae.data.feed import Chunk, Feed
from jvae.runtime.mesh import make_mesh, replicated
from jvae.training.loop import run_keys
from jvae.training.state import State, hyperparameters, init_state
from jvae.training.step import Metrics, compile_chunk


class Trainer:
    """The train loop's own program over the images of a feed; a call does a chunk, to its end.

    Args:
      cfg: of the run.
      images: uint8 [n,h,w,3], or what reads as such an array.
      rows: the training split; all rows when it is None.
      total_steps: of the whole run, for the learning rate.

    Attributes:
      state: after the last step.
      compile_s: seconds.
      compiled: the chunk's program.
    """

    def __init__(
        self, cfg: Config, images: Any, rows: np.ndarray | None = None, *, total_steps: int = 1_000_000
    ) -> None:
        mesh = make_mesh()
        init_key, order_key, self._key = run_keys(cfg.seed, mesh)
        rows = np.arange(len(images)) if rows is None else rows
        self.feed = Feed.of_run(cfg, images, rows, key=order_key, mesh=mesh)
        self.state: State = init_state(init_key, cfg=cfg, mesh=mesh)
        self.compiled, self.compile_s = compile_chunk(cfg, mesh, self.feed.shapes)
        self._chunk_steps, self._whole = cfg.chunk_steps, replicated(mesh)
        self._hyper = jax.device_put(hyperparameters(cfg, total_steps), self._whole)
        self._chunks: Iterator[Chunk] = self.feed.chunks(0)

    def next_chunk(self) -> Chunk:
        """The feed's next."""
        return next(self._chunks)

    def dispatch(self, chunk: Chunk, steps: int | None = None) -> Metrics:
        """Starts the first `steps` steps of a chunk, or all, and does not wait for their end."""
        count = jax.device_put(np.int32(self._chunk_steps if steps is None else steps), self._whole)
        self.state, metrics = self.compiled(self.state, chunk, count, self._key, self._hyper)
        return metrics

    def __call__(self) -> None:
        """One chunk of steps, to its end."""
        metrics = self.dispatch(self.next_chunk())
        jax.block_until_ready((self.state, metrics))

    def close(self) -> None:
        """Ends the feed's thread."""
        self._chunks.close()  # pyright: ignore[reportAttributeAccessIssue]
