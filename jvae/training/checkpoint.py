"""A run directory's checkpoints (Orbax): the last and the best, each with all a resumed run needs.

A checkpoint has two items: `variables`, which inference reads, and `training`, the optimiser's state.
"""

import logging
import math
import os
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
    return Config.from_json(path.read_text())


def claim_run(run: Path, cfg: Config) -> None:
    """Makes `run` the directory of `cfg`, or checks that it already is.

    Its length (steps, epochs) may change from one call to the next, to train on; and what does not change the result.

    Raises:
      InputError: the directory holds a run of another config, or files that are none.
    """
    free = dict.fromkeys(("steps", "epochs", "chunk_steps", "residency", "eval_every"))
    if (run / CONFIG).is_file():
        before = read_config(run)
        ours, theirs = vars(cfg) | free, vars(before) | free
        differing = [f"{k}={theirs[k]} (now {ours[k]})" for k in ours if ours[k] != theirs[k]]
        if differing:
            raise InputError(f"{run} holds a run with {', '.join(differing)}: give the same settings, or another --out")
    elif run.exists() and (not run.is_dir() or any(run.iterdir())):
        raise InputError(f"{run} exists and is no run directory: give another --out")
    with replacing(run / CONFIG) as part:
        part.write_text(cfg.to_json())


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
        """
        if step in self._manager.all_steps():
            return
        training = {"step": state.step, "opt_state": state.opt_state}
        args = ocp.args.Composite(
            variables=ocp.args.StandardSave(state.variables), training=ocp.args.StandardSave(training)
        )
        self._manager.save(step, args=args, metrics={"objective": objective})

    def restore(self, state: State) -> State:
        """The newest checkpoint, with the shapes and shardings of `state`."""
        like = jax.tree.map(_abstract, state)
        training = {"step": like.step, "opt_state": like.opt_state}
        args = ocp.args.Composite(
            variables=ocp.args.StandardRestore(like.variables), training=ocp.args.StandardRestore(training)
        )
        items = self._manager.restore(self.last_step, args=args)
        training = items["training"]
        return State(training["step"], **items["variables"], opt_state=training["opt_state"])

    def restore_variables(self, which: Which, like: Any) -> tuple[int, Any]:
        """The step and the variables of the best or the last checkpoint, with the shapes and shardings of `like`.

        Raises:
          InputError: there is no checkpoint.
        """
        step = self.best_step if which == "best" else self.last_step
        if step is None:
            raise InputError(f"{self._run} has no checkpoint yet: train on with experiments/train.py --out {self._run}")
        args = ocp.args.Composite(variables=ocp.args.StandardRestore(like))
        return step, self._manager.restore(step, args=args)["variables"]

    def close(self) -> None:
        """Waits for what is being written."""
        self._manager.wait_until_finished()
        self._manager.close()

    def __enter__(self) -> "Checkpoints":
        """Itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Closes."""
        self.close()


def _objective(metrics: Any) -> float:
    return metrics["objective"]


def _abstract(leaf: jax.Array) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=leaf.sharding)
