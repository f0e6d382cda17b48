"""Training as `jvae.train` does it, without its checks, logs and checkpoints: what the benchmarks time."""

import inspect
import types
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np

from jvae.config import Config
from jvae.data.feed import Chunk, Feed
from jvae.runtime.mesh import make_mesh, put, replicated
from jvae.training.loop import run_keys
from jvae.training.run import Record
from jvae.training.state import State, init_state, state_shapes
from jvae.training.step import Metrics, compile_chunk, train_chunk
from jvae.training.task import Hyper, Task


class Trainer:
    """The train loop's own program over the images of a feed; a call does a chunk, to its end.

    Args:
      cfg: of the run, whose objective takes no labels.
      images: uint8 [n,h,w,3], or what reads as such an array.
      rows: the training split; all rows when it is None.
      total_steps: of the whole run, for the learning rate.

    Attributes:
      task: what is trained, on the devices.
      state: after the last step.
      compile_s: seconds.
      compiled: the chunk's program.
    """

    def __init__(
        self, cfg: Config, images: Any, rows: np.ndarray | None = None, *, total_steps: int = 1_000_000
    ) -> None:
        mesh = self._mesh = make_mesh()
        self._chunk_steps, self._whole = cfg.loop.chunk_steps, replicated(mesh)
        init_key, order_key, self._key = run_keys(cfg.seed, mesh)
        rows = np.arange(len(images)) if rows is None else rows
        self.task: Task = put(Record(cfg).task(mesh), self._whole)
        self._hyper: Hyper = put(Hyper.of(cfg.optimizer, total_steps), self._whole)
        store: Any = types.SimpleNamespace(images=images, streamed=hasattr(images, "batches"))
        self.feed = Feed.of_run(cfg.loop, store, rows, key=order_key, mesh=mesh)
        self.state: State = init_state(self.task, init_key, self._hyper, mesh=mesh)
        shapes = state_shapes(self.task, self._hyper, mesh)
        self.compiled, self.compile_s = compile_chunk(shapes, self.feed.shapes, self.task, self._hyper, mesh)
        self._chunks: Iterator[Chunk] = self.feed.chunks(0)

    def next_chunk(self) -> Chunk:
        """The feed's next."""
        return next(self._chunks)

    def dispatch(self, chunk: Chunk, steps: int | None = None) -> Metrics:
        """Starts the first `steps` steps of a chunk, or all, and does not wait for their end."""
        count = jax.device_put(np.int32(self._chunk_steps if steps is None else steps), self._whole)
        self.state, metrics = self.compiled(self.state, chunk, count, self._key, self.task, self._hyper)
        return metrics

    def __call__(self) -> None:
        """One chunk of steps, to its end."""
        metrics = self.dispatch(self.next_chunk())
        jax.block_until_ready((self.state, metrics))

    def lowered(self, known_steps: bool = False) -> jax.stages.Lowered:
        """The chunk's program as it is written, before XLA makes it what it runs.

        Args:
          known_steps: the chunk is always whole, and the compiler knows of how many steps.
        """

        written: Any = inspect.unwrap(train_chunk)

        def chunk(state, chunk, count, *rest):
            return written(state, chunk, self._chunk_steps if known_steps else count, *rest, mesh=self._mesh)

        count = jax.ShapeDtypeStruct((), np.int32, sharding=self._whole)
        args = (self.state, self.feed.shapes, count, self._key, self.task, self._hyper)
        return jax.jit(chunk, donate_argnums=0).lower(*args)

    def close(self) -> None:
        """Ends the feed's thread."""
        self._chunks.close()  # pyright: ignore[reportAttributeAccessIssue]
