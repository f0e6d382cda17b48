"""One run while it trains, alone or among others: its directory, curve, checkpoints and validations."""

import contextlib
import math
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from jvae.config import Config
from jvae.data.source import DataId, Store
from jvae.errors import InputError, InputWarning
from jvae.models.model import Variables
from jvae.render.sheet import save_png, sheet
from jvae.render.tiles import to_uint8
from jvae.runtime.mesh import put, replicated
from jvae.runtime.processes import check_same, is_main
from jvae.training.checkpoint import Checkpoints, digest_of
from jvae.training.history import Call, lasting_name, recorded
from jvae.training.log import METRICS, Log, NoLog, NoTracker, Tracker, read_rows
from jvae.training.run import Record, claimed, to_fields
from jvae.training.state import State
from jvae.training.task import Hyper, Task
from jvae.training.validation import Scores, score

VALIDATION_IMAGES = 2048
SHOWN = 10  # images in a picture
SETTLED = 100  # steps; before them what a task finds wrong may be that it has only begun
TOLD = 7  # scores in a line on the screen


class NotFinite(InputError):
    """A loss, a gradient or a state is not finite: the failure of one run, by which the others of a sweep go on."""


class Member:
    """A run in the loop.

    Attributes:
      name: of the run.
      cfg: its config.
      task: prepared, on the host.
      run: its directory.
      checkpoints: open between `open` and the end of its stack.
      call: what its history will say of how this call ended.
      step: steps done.
      scores: of the last validation.
      failed: why it ended early, or None.
    """

    checkpoints: Checkpoints
    call: Call

    def __init__(self, name: str, cfg: Config, task: Task, run: Path) -> None:
        self.name, self.cfg, self.task, self.run, self.step = name, cfg, task, run, 0
        self.scores: Scores | None = None
        self.failed: str | None = None
        self._stepped = self._troubled = False

    def open(
        self,
        stack: contextlib.ExitStack,
        store: Store,
        total: int,
        begin: Callable[[Path, str, dict[str, Any]], Tracker] = NoTracker,
    ) -> None:
        """Claims the directory until `stack` ends, and opens its history and its checkpoints.

        Args:
          stack: of the call of training.
          store: what it trains on.
          total: steps of the whole run.
          begin: what begins its curves elsewhere, of `jvae.training.trackers`.

        Raises:
          InputError: the directory is of another config, other data or another judge, or another process trains in it.
        """
        teacher, labels = self.task.teacher, self.cfg.objective.labels(store)
        judge = "" if teacher is None else digest_of(teacher)
        check_same("weights of the judge", judge)
        stack.enter_context(claimed(self.run, Record(self.cfg, labels, DataId.of(store), judge)))
        self.call = stack.enter_context(recorded(self.run, store, total, self.task.best))
        self.checkpoints = stack.enter_context(Checkpoints(self.run))
        if is_main():
            self._tracker = begin(self.run, lasting_name(self.run), to_fields(self.cfg))
            stack.callback(self._tracker.finish)

    def start(
        self, stack: contextlib.ExitStack, step: int, hyper: Hyper, compile_seconds: float, validate: "Validation"
    ) -> None:
        """Opens the curve, from `step` on; one that has failed stays where it did."""
        self.step, self._rate, self._validate = self.step if self.failed else step, hyper.rate, validate
        self._log = stack.enter_context(Log(self.run, self.step, self._tracker) if is_main() else NoLog())
        if self.failed:
            self.fail(self.failed)
        self._last_good = self.checkpoints.last_step
        self._compiled = {"compile_seconds": compile_seconds}  # of the first row alone

    def add(self, step: int, count: int, metrics: Mapping[str, np.ndarray], images_per_s: float) -> dict[str, float]:
        """Writes a row of the `count` steps that end at `step`, of their metrics [k] on the host; returns its means.

        Raises:
          NotFinite: a loss was not, or a gradient, after which the state is not; its step is named.
        """
        values = {name: rows[:count] for name, rows in metrics.items()}
        loss, gradient = (np.isfinite(values[name]) for name in ("loss", "grad_norm"))
        bad = np.flatnonzero(~(loss & gradient))
        if len(bad):
            raise self._not_finite("gradient" if loss[bad[0]] else "loss", step - count + int(bad[0]) + 1)
        row = {name: float(np.mean(rows, dtype=np.float64)) for name, rows in values.items()}
        self._log.write(step, "train", row | {"learning_rate": float(np.asarray(self._rate(step)))})
        self._log.write_times(step, {"images_per_s": images_per_s} | self._compiled)
        self._compiled, self.step, self._stepped = {}, step, True
        if step >= SETTLED:
            self._tell(self.task.trouble(row))
        return row

    def save(self, step: int, state: State, due: bool, say: Callable[[str], None]) -> None:
        """Validates the state where that is due, and saves a checkpoint after the rows that belong to it.

        Raises:
          NotFinite: a variable is not, as a finite gradient can still leave it.
          InputError: the disk is full, or its task goes by a score that there is not.
        """
        if not _finite(state.variables):
            raise self._not_finite("state", step)
        self.step = step
        if due:
            self.scores = self._validate(self, step, state.inference)
            if self.task.best not in self.scores:
                known = ", ".join(self.scores)
                raise InputError(f"{type(self.task).__name__}.best={self.task.best!r} is none of its scores: {known}")
            self._log.write(step, "validation", self.scores)
            names = dict.fromkeys((self.task.best, *self.scores))  # the best first
            shown = ", ".join(f"{name} {self.scores[name]:.4g}" for name in list(names)[:TOLD] if name != "n")
            say(f"step {step}: validation {shown}")
            if not math.isfinite(best := self.scores[self.task.best]):
                self._tell(
                    f"{self.task.best} is {best} on the validation split, though finite in training, so that this "
                    "checkpoint is not taken for the best; train anew with a learning rate below "
                    f"{self.cfg.optimizer.learning_rate:g}"
                )
            elif not self._stepped:  # solved in closed form
                self._tell(self.task.trouble(self.scores))
        self._log.sync()  # a checkpoint is never ahead of its rows: those after it are dropped on resuming
        measured = self.scores[self.task.best] if due and self.scores else math.inf
        self.checkpoints.save(step, state, measured if math.isfinite(measured) else math.inf)
        self._last_good = step

    def fail(self, why: str) -> None:
        """Ends it here, and says so in its history at once: the others may go on for long."""
        self.failed = why
        self.call.failed(self.step, why)
        self.call.close()

    def _not_finite(self, what: str, step: int) -> NotFinite:
        kept = f"the checkpoint of step {self._last_good} is kept" if self._last_good else "no checkpoint was saved"
        return NotFinite(
            f"the {what} is not finite at step {step}: {kept}; "
            f"train anew with a learning rate below {self.cfg.optimizer.learning_rate:g}"
        )

    def tell_bend(self) -> None:
        """Warns where training goes on and the learning rate by another schedule than so far."""
        step, path = self.step, self.run / METRICS
        there = bool(step) and not self.failed and is_main() and path.is_file()
        rows = [row for row in read_rows(path) if row["split"] == "train"] if there else []
        known = [row for row in rows if row["step"] == step and "learning_rate" in row]
        if known and not math.isclose(was := known[-1]["learning_rate"], now := float(self._rate(step)), rel_tol=1e-4):
            warnings.warn(
                f"{self.name}: the learning rate was {was:.3g} at step {step} and is {now:.3g} in a training of this "
                "length, as its schedule ends with the last step: what comes of it differs from a training of one "
                "length; for that, train anew",
                InputWarning,
                stacklevel=3,
            )

    def _tell(self, reason: str | None) -> None:
        """Warns of what comes to nothing, the first time there is a reason to."""
        if reason and not self._troubled:
            warnings.warn(f"{self.name}, step {self.step}: {reason}", InputWarning, stacklevel=3)
            self._troubled = True


class Validation:
    """Scores a sample of the validation split, and draws originals over reconstructions.

    Args:
      store: the images, and labels where a task asks for them.
      mesh: the devices.
    """

    def __init__(self, store: Store, mesh: Mesh) -> None:
        self.store, self.mesh = store, mesh
        self._shown = np.asarray(store.images[self.rows("validation")[:SHOWN]])

    def rows(self, split: str) -> Any:
        """An even sample of a split, of at most VALIDATION_IMAGES."""
        rows = self.store.indices(split)
        return rows[:: -(-len(rows) // VALIDATION_IMAGES)]

    def score(self, task: Task, variables: Variables, split: str) -> Scores:
        """Scores `variables` on the sample of a split."""
        return score(task, variables, self.store, self.rows(split), mesh=self.mesh)

    def __call__(self, member: Member, step: int, variables: Variables) -> Scores:
        """Scores `variables` on the validation split; writes figures/step-….png where there is something to show."""
        task = put(member.task, replicated(self.mesh))
        made = _pictures(task, variables, put(self._shown, replicated(self.mesh)))
        if made is not None and is_main():
            picture = sheet(np.stack([self._shown, np.asarray(made)]), title=f"step {step}")
            save_png(member.run / "figures" / f"step-{step:07d}.png", picture)
        return self.score(member.task, variables, "validation")


@jax.jit
def _finite(variables: Variables) -> jax.Array:
    """Whether all of them are."""
    return jnp.stack([jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(variables)]).all()


@jax.jit
def _pictures(task: Task, variables: Variables, images: jax.Array) -> jax.Array | None:
    made = task.reconstruct(variables, images)
    return None if made is None else to_uint8(made)
