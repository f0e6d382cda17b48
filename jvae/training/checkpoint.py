"""A run directory's checkpoints (Orbax): the last and the best, each with all a resumed run needs.

A checkpoint has two items: `variables`, which inference reads, and `training`: the optimiser's state, and the trained
variables where `variables` are their moving average.
"""

import contextlib
import logging
import math
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import jax
import orbax.checkpoint as ocp
from orbax.checkpoint.checkpoint_managers import preservation_policy as keep

from jvae.config import Config
from jvae.errors import InputError
from jvae.files import replacing
from jvae.training.state import State

CONFIG = "config.json"
CHECKPOINTS = "checkpoints"
Which = Literal["best", "last"]

logging.getLogger("absl").setLevel(logging.ERROR)  # Orbax reports every step of every save at INFO and WARNING


def read_config(run: str | os.PathLike[str]) -> Config:
    """The config of a run directory. Raises `InputError` if it is no run."""
    path = Path(run) / CONFIG
    if not path.is_file():
        raise InputError(
            f"{run} is no run directory, it has no {CONFIG}: make one with experiments/train.py --out {run}"
        )
    return Config.from_json(path.read_bytes(), str(path))


def claim_run(run: Path, cfg: Config) -> None:
    """Makes `run` the directory of `cfg`, or checks that it already is.

    Once there is a checkpoint, the length (steps, epochs) may change from one call to the next, to train on, and so may
    what does not change the result. A run that failed before its first checkpoint may start anew with any settings.

    Raises:
      InputError: the directory holds checkpoints of another config, or files that are no run's.
    """
    free = dict.fromkeys(("steps", "epochs", "chunk_steps", "residency", "eval_every"))
    if (run / CONFIG).is_file():
        before = read_config(run)
        ours, theirs = vars(cfg) | free, vars(before) | free
        differing = [f"{k}={theirs[k]} (now {ours[k]})" for k in ours if ours[k] != theirs[k]]
        if differing and _has_checkpoint(run):
            raise InputError(f"{run} holds a run with {', '.join(differing)}: give the same settings, or another --out")
    elif run.exists() and (not run.is_dir() or any(run.iterdir())):
        raise InputError(f"{run} exists and is no run directory: give another --out")
    with replacing(run / CONFIG) as part:
        part.write_text(cfg.to_json())


def _has_checkpoint(run: Path) -> bool:
    if not (run / CHECKPOINTS).is_dir():
        return False
    with Checkpoints(run, read_only=True) as checkpoints:
        return checkpoints.last_step is not None


class Checkpoints:
    """The checkpoints of a run directory: at most two, the last saved and the one of the lowest objective."""

    def __init__(self, run: str | os.PathLike[str], *, read_only: bool = False) -> None:
        best = keep.BestN(get_metric_fn=_objective, reverse=True, n=1, keep_checkpoints_without_metrics=False)
        policy = keep.AnyPreservationPolicy([keep.LatestN(1), best])
        options = ocp.CheckpointManagerOptions(
            preservation_policy=policy,
            best_fn=_objective,
            best_mode="min",
            read_only=read_only,
            create=not read_only,
            cleanup_tmp_directories=not read_only,
        )
        self._run = Path(run)
        if read_only and not (self._run / CHECKPOINTS).is_dir():
            raise self._none_yet()
        self._manager = ocp.CheckpointManager((self._run / CHECKPOINTS).absolute(), options=options)

    @property
    def last_step(self) -> int | None:
        """Step of the newest checkpoint, or None."""
        return self._manager.latest_step()

    @property
    def best_step(self) -> int | None:
        """Step of the checkpoint with the lowest objective; the newest where none was scored; None if there is none."""
        best = self._manager.best_step()
        return best if best is not None else self.last_step

    def save(self, step: int, state: State, objective: float = math.inf) -> None:
        """Saves `state` in the background, once it is copied; a checkpoint of the same step stays.

        Args:
          step: of the state, known to the host without asking the device.
          state: as it is on the devices.
          objective: of the validation split; infinity where it was not measured.

        Raises:
          InputError: the disk is too full for it; the checkpoints before it stay.
        """
        if step in self._manager.all_steps():
            return
        needed = round(1.1 * sum(leaf.nbytes for leaf in jax.tree.leaves(state))) + 2**20
        free = shutil.disk_usage(self._run).free
        if free < needed:
            raise self._disk_full(
                f"{needed / 2**20:.0f} MiB are needed for step {step}, {free / 2**20:.0f} MiB are free"
            )
        training = _besides_variables(state)
        args = ocp.args.Composite(
            variables=ocp.args.StandardSave(state.variables), training=ocp.args.StandardSave(training)
        )
        with self._full_disk_named():
            self._manager.save(step, args=args, metrics={"objective": objective})

    def restore(self, state: State) -> State:
        """The newest checkpoint, with the shapes and shardings of `state`."""
        like = jax.tree.map(_abstract, state)
        args = ocp.args.Composite(
            variables=ocp.args.StandardRestore(like.variables),
            training=ocp.args.StandardRestore(_besides_variables(like)),
        )
        items = self._manager.restore(self.last_step, args=args)
        training, variables = items["training"], items["variables"]
        trained, average = (variables, None) if like.average is None else (training["trained"], variables)
        return State(training["step"], **trained, opt_state=training["opt_state"], average=average)

    def restore_variables(self, which: Which, like: Any) -> tuple[int, Any]:
        """The step and the variables of the best or the last checkpoint, with the shapes and shardings of `like`.

        Raises:
          InputError: there is no checkpoint.
        """
        step = self.best_step if which == "best" else self.last_step
        if step is None:
            raise self._none_yet()
        args = ocp.args.Composite(variables=ocp.args.StandardRestore(like))
        return step, self._manager.restore(step, args=args)["variables"]

    def close(self) -> None:
        """Waits for what is being written."""
        with self._full_disk_named():
            self._manager.wait_until_finished()
        self._manager.close()

    def _none_yet(self) -> InputError:
        return InputError(f"{self._run} has no checkpoint yet: train on with experiments/train.py --out {self._run}")

    def _disk_full(self, what: str) -> InputError:
        whole = self._manager.all_steps(read=True)  # those on disk: the one that failed is not among them
        kept = f"the checkpoint of step {max(whole)} is kept" if whole else "no checkpoint was saved"
        return InputError(
            f"the disk of {self._run} is too full for a checkpoint: {what}; {kept}: free space and run again"
        )

    @contextlib.contextmanager
    def _full_disk_named(self) -> Iterator[None]:
        """Orbax writes in the background and reports a full disk as a ValueError of tensorstore, at the next call."""
        try:
            yield
        except ValueError as error:
            if "RESOURCE_EXHAUSTED" not in str(error) and "No space left" not in str(error):
                raise
            raise self._disk_full("writing one failed") from error

    def __enter__(self) -> "Checkpoints":
        """Itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Closes."""
        self.close()


def _objective(metrics: Any) -> float:
    return metrics["objective"]


def _besides_variables(state: State) -> dict[str, Any]:
    """What a resumed run needs besides `state.variables`."""
    trained = {} if state.average is None else {"trained": state.trained}
    return {"step": state.step, "opt_state": state.opt_state} | trained


def _abstract(leaf: jax.Array) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=leaf.sharding)
