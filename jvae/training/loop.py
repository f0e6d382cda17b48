"""The training loop: chunks of compiled steps, validation and checkpoints between them."""

import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh

from jvae.config import Config
from jvae.data.decoded import DecodedStore
from jvae.data.feed import Feed
from jvae.data.packed import PackedStore
from jvae.errors import InputError
from jvae.models import loss, vae
from jvae.render.figure import labelled, save_png
from jvae.render.grid import render_grid, split_grid
from jvae.runtime.mesh import check_batch_size, check_dtype, make_mesh, put, replicated
from jvae.runtime.processes import Stopped, check_same, is_main, share
from jvae.training.checkpoint import Checkpoints
from jvae.training.history import recorded
from jvae.training.log import Log, NoLog
from jvae.training.run import claimed
from jvae.training.state import hyperparameters, init_state, learning_rate, make_model, state_shapes
from jvae.training.step import Metrics, compile_chunk
from jvae.training.validation import Scores, evaluate

VALIDATION_IMAGES = 2048


class Outcome(NamedTuple):
    """How training ended.

    Attributes:
      step: steps done.
      total: steps of the whole run.
      scores: of the last validation.
      signum: the signal that stopped it before the end, or None.
    """

    step: int
    total: int
    scores: Scores | None
    signum: int | None


def train(
    cfg: Config,
    store: PackedStore | DecodedStore,
    run: str | os.PathLike[str],
    *,
    mesh: Mesh | None = None,
    progress: bool = True,
    stopped: Callable[[], int | None] = lambda: None,
) -> Outcome:
    """Trains a VAE on a store's training split; picks up where the run directory left off.

    Args:
      cfg: of the run; its image size becomes the store's.
      store: the images, packed or decoded on the way.
      run: the run directory: config.json, checkpoints/, metrics.jsonl, timings.jsonl, events/, figures/.
      mesh: the devices; None takes all there are.
      progress: show a bar.
      stopped: asked between chunks; a signal number saves and ends the run.

    Raises:
      InputError: a batch that does not divide over the devices, a split too small, a dtype that the devices lack,
        images that were to be resident and do not fit, damaged images, a run directory of another config or in use,
        no whole checkpoint among those there are, or a loss that is not finite: its step is named, and the last good
        checkpoint stays.
    """
    cfg, run = cfg.replace(image_size=store.size), Path(run)
    mesh = make_mesh() if mesh is None else mesh
    check_batch_size(cfg.batch_size, mesh)
    if cfg.dtype == "bfloat16":
        check_dtype(cfg.dtype, mesh)
    rows = store.indices("train")
    total = cfg.total_steps(len(rows))
    check_same("settings or data", f"{cfg} {store.checksum}")

    init_key, order_key, step_key = run_keys(cfg.seed, mesh)
    whole = replicated(mesh)
    with (
        ThreadPoolExecutor(2) as beside,
        claimed(run, cfg),
        recorded(run, store, total) as call,
        Checkpoints(run) as checkpoints,
    ):
        resumed = checkpoints.restore(state_shapes(cfg, mesh))
        step = int(resumed.step) if resumed else 0
        if step >= total:
            call.ended(step)
            return Outcome(step, total, None, None)
        read = [share(part) for part in (rows, store.indices("validation"))]
        checking = beside.submit(store.verify, *read)
        feed = Feed.of_run(cfg, store.images, rows, key=order_key, mesh=mesh)
        compiling = beside.submit(compile_chunk, cfg, mesh, feed.shapes)  # most of what a start takes
        state = resumed or init_state(init_key, cfg=cfg, mesh=mesh)
        hyper = put(hyperparameters(cfg, total), whole)
        validate = Validation(cfg, store, run, mesh)
        stop = Stopped(stopped, mesh)
        with Log(run, step, total, progress=progress) if is_main() else NoLog() as log:
            program = compiling.result()
            checking.result()  # before the first step: nothing is learnt from damaged images
            report = Report(cfg, log, total, program.seconds, last_good=checkpoints.last_step)
            chunks = feed.chunks(step)
            while True:
                count = min(cfg.chunk_steps, total - step)
                with jax.transfer_guard("disallow"):  # but for what is asked for by name
                    chunk = next(chunks)
                    steps = put(np.int32(count), whole)
                    stop.ask()
                    state, metrics = program.run(state, chunk, steps, step_key, hyper)
                step += count
                report.add(step, count, metrics)  # reads the chunk before this one, while this one runs
                signum = stop.answer()
                due = step == total or step // cfg.eval_every > (step - count) // cfg.eval_every
                if due or signum:
                    report.flush()  # a state that is not finite is never saved
                    scores = validate(step, state.variables) if due else None
                    if scores:
                        report.validation(step, scores)
                    log.sync()  # a checkpoint is never ahead of its rows: those after it are dropped on resuming
                    checkpoints.save(step, state, scores.objective if scores else np.inf)
                    report.saved(step)
                    if signum or step == total:
                        call.ended(step, signum)
                        return Outcome(step, total, scores, signum)


def run_keys(seed: int, mesh: Mesh) -> jax.Array:
    """Keys [3] of the parameters, the order of the images, and the steps.

    Of the implementation "rbg": a draw of the default takes XLA seconds to compile on a CPU (jax 0.10: a uniform array
    2.6 s against 0.1 s), and accelerators longer to run.
    """
    return put(jax.random.split(jax.random.key(seed, impl="rbg"), 3), replicated(mesh))


class Validation:
    """Scores a sample of the validation split, and draws originals over reconstructions."""

    def __init__(self, cfg: Config, store: PackedStore | DecodedStore, run: Path, mesh: Mesh) -> None:
        module = make_model(cfg, mesh)
        rows = store.indices("validation")
        self._rows = rows[:: -(-len(rows) // VALIDATION_IMAGES)]
        self._cfg, self._images, self._run, self._mesh = cfg, store.images, run, mesh
        self._encode, self._decode = vae.Encode(module), vae.Decode(module)
        self._posterior = jax.jit(self._encode)
        self._shown = np.asarray(store.images[self._rows[:10]])

    def __call__(self, step: int, variables: Any) -> Scores:
        """Scores `variables` and writes figures/step-….png."""
        mean, _ = self._posterior(variables, self._shown)
        recon = split_grid(render_grid(self._decode, variables, mean[None]), 1, len(self._shown))
        if is_main():
            sheet = labelled(np.concatenate([self._shown[None], recon]), title=f"step {step}")
            save_png(self._run / "figures" / f"step-{step:07d}.png", sheet)
        return evaluate(self._encode, self._decode, variables, self._cfg, self._images, self._rows, mesh=self._mesh)


class Report:
    """Training metrics to the log, one chunk late, so that the device never waits for the host."""

    def __init__(
        self, cfg: Config, log: Log | NoLog, total: int, compile_seconds: float, last_good: int | None
    ) -> None:
        self._cfg, self._log, self._last_good = cfg, log, last_good
        self._rate = learning_rate(cfg, cfg.learning_rate, total)
        self._waiting: tuple[int, int, Metrics] | None = None
        self._clock = time.perf_counter()
        self._compiled: dict[str, float] = {"compile_seconds": compile_seconds}  # of the first row alone
        weights = loss.loss_weights(cfg)
        log.say(" ".join(f"{name}={value:.6g}" for name, value in weights._asdict().items()))
        log.say(f"compiled in {compile_seconds:.1f} s, beside the rest of the start")

    def add(self, step: int, count: int, metrics: Metrics) -> None:
        """Takes the metrics [k] of the `count` steps that end at `step`, and reports those taken before."""
        before, self._waiting = self._waiting, (step, count, metrics)
        if before:
            self._report(*before)

    def flush(self) -> None:
        """Reports what is waiting. Raises `InputError` if a loss was not finite."""
        before, self._waiting = self._waiting, None
        if before:
            self._report(*before)

    def _report(self, step: int, count: int, metrics: Metrics) -> None:
        values = {name: rows[:count] for name, rows in jax.device_get(metrics)._asdict().items()}
        bad = np.flatnonzero(~np.isfinite(values["loss"]))
        if len(bad):
            kept = f"the checkpoint of step {self._last_good} is kept" if self._last_good else "no checkpoint was saved"
            raise InputError(
                f"the loss is not finite at step {step - count + int(bad[0]) + 1}: {kept}; "
                f"train anew with a learning rate below {self._cfg.learning_rate:g}"
            )
        now = time.perf_counter()
        seconds, self._clock = now - self._clock, now
        row = {name: float(np.mean(value, dtype=np.float64)) for name, value in values.items()}
        row["learning_rate"] = float(np.asarray(self._rate(step)))
        self._log.write(step, "train", row)
        rate = count * self._cfg.batch_size / seconds
        self._log.write_times(step, {"images_per_s": rate} | self._compiled)
        self._compiled = {}
        shown = {name: f"{row[name]:.4g}" for name in ("loss", "error", "kl")}
        self._log.advance(count, shown | {"images/s": f"{rate:.0f}"})

    def validation(self, step: int, scores: Scores) -> None:
        """Reports scores."""
        weights = loss.loss_weights(self._cfg)._asdict()
        self._log.write(step, "validation", scores._asdict() | weights)
        self._log.say(
            f"step {step}: validation objective {scores.objective:.2f} (error {scores.error:.5f}, "
            f"KL {scores.kl:.1f} nats, {scores.bits_per_dim:.3f} bits/dim)"
        )

    def saved(self, step: int) -> None:
        """Takes note of a checkpoint; the clock of the training rate starts anew."""
        self._last_good, self._clock = step, time.perf_counter()
