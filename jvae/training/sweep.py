"""Many models at once: whole training runs side by side in one compiled program.

A model this small leaves most of an accelerator idle. Here m of them, of one architecture, that differ in seed, peak
learning rate and loss weight, take each step together: `vmap` over the train step, the models split over the devices.
Each model's directory is a run like any other: `jvae.load` reads it, and `train` goes on with it.
"""

import contextlib
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh
from tqdm import tqdm

from jvae.config import Config
from jvae.data.feed import check_fills_a_batch, to_devices
from jvae.data.packed import PackedStore
from jvae.errors import InputError
from jvae.io.files import replacing
from jvae.models import loss, vae
from jvae.runtime.mesh import along_models, check_dtype, first_device, make_model_mesh, replicated
from jvae.training.checkpoint import Checkpoints
from jvae.training.history import recorded
from jvae.training.log import Log
from jvae.training.loop import VALIDATION_IMAGES, Report, run_keys
from jvae.training.many import sweep_chunk
from jvae.training.run import claimed
from jvae.training.state import Hyperparameters, State, hyperparameters, init_state, make_model, state_shapes
from jvae.training.step import Metrics
from jvae.training.validation import Scores, evaluate
from jvae.training.variants import WEIGHTS, Row

SWEEP = "sweep.json"
MAY_DIFFER = ("seed", "learning_rate", *WEIGHTS)


class Outcome(NamedTuple):
    """How a sweep ended.

    Attributes:
      step: steps done.
      total: steps of the whole sweep.
      rows: a row a model.
      images_per_s: images a second, summed over the models: the median of chunks, compilation and validation
        excluded; None where no chunk was timed.
      signum: the signal that stopped it before the end, or None.
    """

    step: int
    total: int
    rows: list[Row]
    images_per_s: float | None
    signum: int | None


def sweep(
    configs: Mapping[str, Config],
    store: PackedStore,
    out: str | os.PathLike[str],
    *,
    shared_batches: bool = False,
    devices: Sequence[Any] | None = None,
    progress: bool = True,
    stopped: Callable[[], int | None] = lambda: None,
) -> Outcome:
    """Trains many models on a store's training split, all at once; picks up where `out` left off.

    A model whose loss is not finite ends there, with its last good checkpoint; the others go on.

    Args:
      configs: by name; they differ in seed, learning rate and loss weight only. `variants.grid` makes them.
      store: the images; the training split must fit on each device.
      out: gets a run directory a model, and sweep.json, its rows.
      shared_batches: all models see the batches of the first, which are then read once a step; otherwise each has the
        order of its own seed, and is the model that `train` would make of its config.
      devices: None takes all there are; of them as many are used as the models divide over.
      progress: show a bar.
      stopped: asked between chunks; a signal number saves and ends the sweep.

    Raises:
      InputError: configs that differ in more, images that do not fit, a split too small, a dtype that the devices
        lack, or run directories of other configs or at different steps.
    """
    out = Path(out)
    members = [_Member(name, c.replace(image_size=store.size), out / name) for name, c in configs.items()]
    cfg, rows = _common(members), store.indices("train")
    mesh = make_model_mesh(len(members), devices)
    if cfg.dtype == "bfloat16":
        check_dtype(cfg.dtype, mesh)
    check_fills_a_batch(len(rows), cfg.batch_size)
    total = cfg.total_steps(len(rows))

    with contextlib.ExitStack() as stack:
        for member in members:
            member.open(stack, store, total)
        state, step = _begin(members, out, cfg, total, mesh)
        score = _Scorer(cfg, store, first_device(mesh))
        speed = _Speed(len(members) * cfg.batch_size)
        signum, compile_seconds = None, 0.0
        if step < total:
            store.verify()
            images = to_devices(store.images, rows, mesh, instead="fewer or smaller ones: a sweep does not stream")
            fixed = (*_keys_and_numbers(members, total, shared_batches, mesh), images)
            counts = jax.device_put((np.int32(step), np.int32(1)), replicated(mesh))
            began = time.perf_counter()
            program = sweep_chunk.lower(state, *fixed, *counts, cfg=cfg, mesh=mesh).compile()
            compile_seconds = time.perf_counter() - began
            waiting: tuple[int, int, Metrics] | None = None
            bar = tqdm(total=total, initial=step, unit="step", disable=None if progress else True, dynamic_ncols=True)
            stack.enter_context(bar)
            if progress:
                bar.write(f"{len(members)} models compiled in {compile_seconds:.1f} s", file=sys.stderr)
        for member in members:
            member.start(stack, total, compile_seconds)
        while step < total and not signum and not all(member.failed for member in members):
            count = min(cfg.chunk_steps, total - step)
            with jax.transfer_guard("disallow"):  # but for what is asked for by name
                now = jax.device_put((np.int32(step), np.int32(count)), replicated(mesh))
                state, metrics = program(state, *fixed, *now)
            step += count
            before, waiting = waiting, (step, count, metrics)
            _report(members, before, speed)  # the chunk before this one, while this one runs
            bar.set_postfix({"models": sum(not m.failed for m in members)} | speed.shown(), refresh=False)
            bar.update(count)
            signum = stopped()
            due = step == total or step // cfg.eval_every > (step - count) // cfg.eval_every
            if due or signum:
                before, waiting = waiting, None
                _report(members, before, speed)
                _save(members, state, step, score, due)
                _write(out, members)
                speed.restart()
        if step == total:
            for member, one in _alive(members, state, score.mesh):
                member.validation = member.validation or score(one.variables, member.cfg, "validation")
                member.test = score(one.variables, member.cfg, "test")
            _write(out, members)
        for member in members:
            if member.failed:
                member.call.failed(member.step, member.failed)
            else:
                member.call.ended(step, signum)
    return Outcome(step, total, [member.row() for member in members], speed.median, signum)


class _Member:
    """One model of a sweep: its config, run directory, checkpoints, curve and scores, and whether it failed."""

    def __init__(self, name: str, cfg: Config, run: Path) -> None:
        self.name, self.cfg, self.run, self.step = name, cfg, run, 0
        self.failed: str | None = None
        self.validation: Scores | None = None
        self.test: Scores | None = None

    def open(self, stack: contextlib.ExitStack, store: PackedStore, total: int) -> None:
        stack.enter_context(claimed(self.run, self.cfg))
        self.call = stack.enter_context(recorded(self.run, store, total))
        self.checkpoints = stack.enter_context(Checkpoints(self.run))

    def start(self, stack: contextlib.ExitStack, total: int, compile_seconds: float) -> None:
        self._log = stack.enter_context(Log(self.run, self.step, total, progress=False))
        self._curve = Report(self.cfg, self._log, total, compile_seconds, last_good=self.checkpoints.last_step)

    def add(self, step: int, count: int, metrics: Metrics) -> None:
        """Writes the metrics [k] of the steps that end at `step`; a loss that is not finite ends this model alone."""
        try:
            self._curve.add(step, count, metrics)
            self._curve.flush()
            self.step = step
        except InputError as error:
            self.failed = str(error)

    def save(self, step: int, state: State, scores: Scores | None) -> None:
        """A checkpoint, and before it the rows that belong to it."""
        if scores:
            self.validation = scores
            self._curve.validation(step, scores)
        self._log.sync()
        self.checkpoints.save(step, state, scores.objective if scores else np.inf)

    def saved(self, step: int) -> None:
        self._curve.saved(step)

    def row(self) -> Row:
        row = Row(self.name, self.cfg.seed, self.cfg.learning_rate, loss.loss_weights(self.cfg).beta, self.step)
        if self.validation and not self.failed:
            row = row._replace(validation=self.validation.objective)
        if self.test:
            row = row._replace(test=self.test.objective, error=self.test.error, kl=self.test.kl)
        return row._replace(failed=self.failed)


class _Scorer:
    """Scores variables on a sample of a split; compiled once for all models."""

    def __init__(self, cfg: Config, store: PackedStore, mesh: Mesh) -> None:
        module = make_model(cfg, mesh)
        self._encode, self._decode = vae.Encode(module), vae.Decode(module)
        self._store, self.mesh = store, mesh

    def __call__(self, variables: Any, cfg: Config, split: str) -> Scores:
        rows = self._store.indices(split)
        rows = rows[:: -(-len(rows) // VALIDATION_IMAGES)]
        return evaluate(self._encode, self._decode, variables, cfg, self._store.images, rows, mesh=self.mesh)


class _Speed:
    """Images a second, summed over the models, from when the metrics of one chunk came to when the next ones did."""

    def __init__(self, images_per_step: int) -> None:
        self._images, self._rates, self._last = images_per_step, [], None

    def came(self, count: int) -> None:
        now = time.perf_counter()
        if self._last is not None:
            self._rates.append(count * self._images / (now - self._last))
        self._last = now

    def restart(self) -> None:
        self._last = None

    @property
    def median(self) -> float | None:
        return float(np.median(self._rates)) if self._rates else None

    def shown(self) -> dict[str, str]:
        return {"models·images/s": f"{self._rates[-1]:.0f}"} if self._rates else {}


def _common(members: Sequence[_Member]) -> Config:
    """The first config, once it is known that the others differ from it only where they may."""
    if not members:
        raise InputError("a sweep of no models: give at least one config")
    first = members[0].cfg
    for member in members:
        for field, value in vars(member.cfg).items():
            if field not in (*MAY_DIFFER, "preset") and value != vars(first)[field]:
                raise InputError(
                    f"{members[0].name} and {member.name} differ in {field}={vars(first)[field]} and {value}: "
                    f"in one sweep only {', '.join(MAY_DIFFER)} may"
                )
    if first.residency == "streamed":
        raise InputError("residency=streamed: a sweep keeps the images on the devices, leave it out")
    return first


def _begin(members: Sequence[_Member], out: Path, cfg: Config, total: int, mesh: Mesh) -> tuple[State, int]:
    """The models' states, every leaf [m,…], and the step they are at: 0, or that of their last checkpoints.

    Raises:
      InputError: they are at different steps.
    """
    on_one = first_device(mesh)
    like = state_shapes(cfg, on_one)
    if any(member.checkpoints.steps for member in members) and (out / SWEEP).is_file():
        failed = {row["name"]: row["failed"] for row in json.loads((out / SWEEP).read_text())}
        for member in members:
            member.failed = failed.get(member.name)
    states = {member: member.checkpoints.restore(like) for member in members}
    at = {member: int(state.step) if state else 0 for member, state in states.items()}
    step = min((at[member] for member in members if not member.failed), default=total)
    for member in members:
        if at[member] > step and not member.failed:  # a kill between two checkpoints: go back to one that all have
            before = member.checkpoints.restore(like, newest=step)
            missing = int(before.step) != step if before else step or len(member.checkpoints.steps) > 1
            if missing or at[member] > total:
                raise InputError(
                    f"the models of {out} are at different steps ({', '.join(f'{m.name}: {s}' for m, s in at.items())})"
                    ": train on each with experiments/train.py, or give another --out"
                )
            states[member], at[member] = before, step
        member.step = at[member]
    stacked = []
    for member, state in states.items():
        key = run_keys(member.cfg.seed, on_one)[0]
        state = state or init_state(key, cfg=cfg, mesh=on_one)
        stacked.append(jax.device_get(state))
    return jax.device_put(jax.tree.map(lambda *leaves: np.stack(leaves), *stacked), along_models(mesh)), step


def _keys_and_numbers(
    members: Sequence[_Member], total: int, shared_batches: bool, mesh: Mesh
) -> tuple[jax.Array, jax.Array, Hyperparameters]:
    """What `sweep_chunk` takes of the models: keys of their steps and orders, and hyperparameters."""
    of_seed = (run_keys(member.cfg.seed, first_device(mesh)) for member in members)
    keys = np.stack([jax.device_get(jax.random.key_data(three)) for three in of_seed])  # [m,3,4]
    hyper = jax.tree.map(lambda *of_models: np.stack(of_models), *(hyperparameters(m.cfg, total) for m in members))
    order_keys = keys[0, 1] if shared_batches else keys[:, 1]
    split = along_models(mesh)
    shardings = (split, replicated(mesh) if shared_batches else split, split)
    return jax.device_put((keys[:, 2], order_keys, hyper), shardings)


def _report(members: Sequence[_Member], chunk: tuple[int, int, Metrics] | None, speed: _Speed) -> None:
    """Writes a chunk's metrics [m,k] to the curves of the models that have not failed; waits for it."""
    if chunk is None:
        return
    step, count, metrics = chunk
    values = jax.device_get(metrics)
    speed.came(count)
    for i, member in enumerate(members):
        if not member.failed:
            member.add(step, count, Metrics(*(rows[i] for rows in values)))


def _alive(members: Sequence[_Member], state: State, mesh: Mesh) -> Iterator[tuple[_Member, State]]:
    """The models that have not failed, each with its own state on the devices of `mesh`."""
    host = jax.device_get(state)
    for i, member in enumerate(members):
        if not member.failed:
            one = jax.tree.map(lambda leaf, i=i: np.asarray(leaf[i]), host)
            yield member, jax.device_put(one, replicated(mesh))


def _save(members: Sequence[_Member], state: State, step: int, score: _Scorer, due: bool) -> None:
    """A checkpoint for each model that has not failed, with its validation where that is due."""
    alive = []
    for member, one in _alive(members, state, score.mesh):
        member.save(step, one, score(one.variables, member.cfg, "validation") if due else None)
        alive.append(member)
    for member in alive:  # afterwards: it starts the clock of a curve's rate anew
        member.saved(step)


def _write(out: Path, members: Sequence[_Member]) -> None:
    with replacing(out / SWEEP) as part:
        part.write_text(json.dumps([member.row()._asdict() for member in members], indent=1) + "\n")
