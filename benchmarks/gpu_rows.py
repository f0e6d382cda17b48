"""What `python -m benchmarks --gpu` measures, row by row: `python -m benchmarks.gpu_rows` serves gpu.py.

A line of JSON on stdin says which row, and a row on stdout answers it. Images are noise, the same in every process, so
nothing is read or downloaded. The limit of a row is the least time in which the device could do it: the operations of
the program as it is written over the rate of matrix products, or what goes in and out once over the rate of the
memory, where that takes longer; limits.py measures both rates on the device.
"""

import contextlib
import dataclasses
import functools
import gc
import json
import os
import sys
import types
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from benchmarks import faces, limits, timing
from benchmarks.bench_encode import encode, resident_vectors
from benchmarks.limits import Limits
from benchmarks.peers.child import pytorch, serve, start
from benchmarks.peers.common import Common
from benchmarks.training import Trainer
from jvae.config import Config
from jvae.data.sources.celeba import ATTRIBUTES
from jvae.errors import InputError
from jvae.latent.trajectories import lerp
from jvae.render.sheet import sheet
from jvae.runtime.mesh import along_models, compute_dtype, first_device, make_mesh, make_model_mesh, put, replicated
from jvae.training.loop import run_keys
from jvae.training.presets import preset
from jvae.training.run import Record
from jvae.training.state import init_state
from jvae.training.sweep import _Many
from jvae.training.task import Hyper

Spec = dict[str, Any]
SMALLEST = {"image_size": 16, "widths": (4,), "latent_dim": 3}  # a model that compiles in no time


def noise(count: int, size: int) -> np.ndarray:
    """uint8 [count,size,size,3]."""
    return np.random.default_rng(0).integers(0, 256, (count, size, size, 3), np.uint8)


def config(spec: Spec) -> Config:
    """The run of a row, or the model that it works with; by Adam, as PyTorch trains it."""
    smaller = SMALLEST if spec["smallest"] else {}
    cfg = preset(spec["preset"]).replace(residency="resident", name="adam", mirror=False, **smaller)
    batch_size = spec.get("batch", cfg.loop.batch_size)
    steps = 2 if spec["smallest"] else max(20, 25_600 // batch_size)
    return cfg.replace(batch_size=batch_size, chunk_steps=steps, dtype=spec.get("dtype", "auto"))


def training_images(spec: Spec, cfg: Config) -> np.ndarray:
    """200 MB of noise, which no cache holds, or two batches."""
    size, batch = cfg.model.image_size, cfg.loop.batch_size
    return noise(batch if spec["smallest"] else max(2 * batch, 200_000_000 // (3 * size * size)), size)


def row(spec: Spec, unit: str, figures: tuple[float, float, float], **fields: Any) -> timing.Row:
    """The row of a spec. `figures`: the median, the least and the most."""
    return timing.row("gpu", spec["case"], unit, figures[0], spread=figures[1:], n=spec["rounds"], **fields)


def least_seconds(function: Callable[..., Any], *args: Any, known: Limits, dtype: str) -> float:
    """The least time that a call of `function` could take, of arrays that are in the device's memory."""
    lowered = jax.jit(function).lower(*args)
    moved = sum(x.size * x.dtype.itemsize for x in jax.tree.leaves((args, lowered.out_info)))
    return max(limits.written_flops(lowered) / known.matmul(dtype), moved / known.copy_bytes)


def against_pytorch(
    spec: Spec, ours: timing.Run, task: str, images: np.ndarray, amount: int, unit: str, least: float, **more: Any
) -> timing.Row:
    """Times `ours` and PyTorch, in its likeliest configuration, in turn; where there is no PyTorch, the row says why.

    Args:
      spec: of the row.
      ours: a round.
      task: of pytorch_tasks.py.
      images: uint8 [n,h,w,3], for PyTorch.
      amount: of what a round does, in the unit's own: images, or pictures where it is "ms".
      unit: "images/s" or "ms".
      least: the least seconds that a round could take.
      more: what the task needs besides.
    """
    cfg, ms = config(spec), unit == "ms"
    dtype = str(compute_dtype(cfg.loop.dtype, make_mesh()))
    runs = {"jvae": ours}
    with contextlib.ExitStack() as stack:
        try:
            peer = stack.enter_context(pytorch(task, Common.of(cfg), dtype, images, quick=True, **more))
            error = None if peer else "PyTorch is not installed"
        except InputError as failed:  # our own figure counts all the same
            peer, error = None, f"PyTorch: {failed}"
        if peer:
            runs["PyTorch"] = peer
        times = timing.in_turn(runs, rounds=spec["rounds"])
    figures = {name: took.rates(amount) for name, took in times.items()}
    if ms:
        figures = {name: (1e3 / mid, 1e3 / most, 1e3 / least) for name, (mid, least, most) in figures.items()}
    found = row(
        spec,
        unit,
        figures["jvae"],
        peer_name="PyTorch",
        peer=figures["PyTorch"][0] if peer else None,
        higher_is_better=not ms,
        limit_fraction=least / times["jvae"].median,
        compile_s=times["jvae"].compile_s,
    )
    return dataclasses.replace(found, error=error)


def limit(spec: Spec, known: Limits) -> timing.Row:
    """A rate of matrix products, or the memory's."""
    scale, unit = (1e9, "GB/s") if spec["rate"] == "copy_bytes" else (1e12, "TFLOP/s")
    return timing.row("gpu", spec["case"], unit, getattr(known, spec["rate"]) / scale)


def train(spec: Spec, known: Limits) -> timing.Row:
    """Steps of a model on images that are on the device."""
    cfg = config(spec)
    images, steps = training_images(spec, cfg), cfg.loop.chunk_steps
    ours = Trainer(cfg, images)
    written = limits.written_flops(ours.lowered())
    least = limits.limit_seconds(ours.compiled, known, cfg.loop.dtype, least_flops=written)  # of a step
    amount = steps * cfg.loop.batch_size
    found = against_pytorch(spec, ours, "train", images, amount, "images/s", steps * least, steps=steps)
    return dataclasses.replace(found, compile_s=ours.compile_s)


def encoding(spec: Spec, known: Limits) -> timing.Row:
    """Posterior means of images, from the host's memory to the host's memory."""
    cfg, count = config(spec), spec["count"]
    model, images, batch = faces.untrained(cfg), noise(count, cfg.model.image_size), cfg.loop.batch_size
    dtype = str(compute_dtype(cfg.loop.dtype, model.mesh))
    least = count / batch * least_seconds(model.encode_fn, model.variables, images[:batch], known=known, dtype=dtype)

    def ours() -> None:
        encode(model, images, np.zeros((count, 1), bool), batch)

    return against_pytorch(spec, ours, "encode", images, count, "images/s", least)


def grid(spec: Spec, known: Limits) -> timing.Row:
    """Latents on the host to a finished picture there: see bench_grid.py."""
    cfg, rows, columns, repeats = config(spec), spec["rows"], spec["columns"], spec["repeats"]
    model, rng = faces.untrained(cfg), np.random.default_rng(0)
    latents = rng.standard_normal((rows, columns, model.latent_dim), np.float32)
    if columns == 1:
        latents = lerp(latents[0, 0], latents[-1, 0], np.linspace(0, 1, rows)).astype(np.float32)[:, None]
    dtype, flat = str(compute_dtype(cfg.loop.dtype, model.mesh)), latents.reshape(-1, model.latent_dim)
    least = repeats * least_seconds(model.decode_fn, model.variables, flat, known=known, dtype=dtype)

    def ours() -> None:
        for _ in range(repeats):
            sheet(model.decode(latents), raw=True)

    none = noise(0, model.image_size)
    more = {"rows": rows, "columns": columns, "repeats": repeats}
    return against_pytorch(spec, ours, "decode", none, repeats, "ms", least, **more)


def models(spec: Spec, known: Limits) -> timing.Row:
    """Steps of many models in one program, against those of one."""
    cfg, count = config(spec), spec["count"]
    images, amount = training_images(spec, cfg), cfg.loop.chunk_steps * cfg.loop.batch_size
    one, many = Trainer(cfg, images), _many(cfg, count, images)

    def ours() -> None:
        metrics = many.advance(0, cfg.loop.chunk_steps)
        jax.block_until_ready((many.state, metrics))

    times = timing.in_turn({"jvae": ours, "1 model": one}, rounds=spec["rounds"])
    dtype = str(compute_dtype(cfg.loop.dtype, make_mesh()))
    least = limits.limit_seconds(one.compiled, known, dtype, least_flops=limits.written_flops(one.lowered()))
    return row(
        spec,
        "models·images/s",
        times["jvae"].rates(count * amount),
        peer_name="1 model",
        peer=times["1 model"].rates(amount)[0],
        limit_fraction=count * cfg.loop.chunk_steps * least / times["jvae"].median,
    )


def _many(cfg: Config, count: int, images: np.ndarray) -> _Many:
    mesh = make_model_mesh(count, jax.devices()[:1])
    alone = first_device(mesh)
    hyper, whole = Hyper.of(cfg.optimizer, 1_000_000), replicated(alone)
    members: list[Any] = []
    states = []
    for seed in range(count):
        task: Any = Record(cfg).task(alone)
        members.append(types.SimpleNamespace(cfg=cfg.replace(seed=seed), task=task))
        states.append(init_state(put(task, whole), run_keys(seed, alone)[0], put(hyper, whole), mesh=alone))
    state = jax.tree.map(lambda *leaves: np.stack(leaves), *jax.device_get(states))
    store: Any = types.SimpleNamespace(images=images)
    state = jax.device_put(state, along_models(mesh))
    return _Many(members, [hyper] * count, state, store, np.arange(len(images)), False, mesh)


def statistics(spec: Spec, known: Limits) -> timing.Row:
    """Images and labels that are on the device to all attributes' vectors."""
    cfg, count = config(spec), spec["count"]
    model, batch, size, key = faces.untrained(cfg), cfg.loop.batch_size, cfg.model.image_size, run_keys(0, make_mesh())
    images = jax.random.bits(key[0], (count, size, size, 3), np.uint8)
    attrs = jax.random.bernoulli(key[1], 0.2, (count, len(ATTRIBUTES)))
    dtype = str(compute_dtype(cfg.loop.dtype, model.mesh))
    least = count / batch * least_seconds(model.encode_fn, model.variables, images[:batch], known=known, dtype=dtype)

    def ours() -> None:
        resident_vectors(model, images, attrs, batch)

    took = timing.measure(ours, rounds=spec["rounds"])
    figures, share = (took.median, took.least, took.most), least / took.median
    return row(spec, "s", figures, limit_fraction=share, compile_s=took.compile_s, target="ours <= 2")


def changed(spec: Spec, known: Limits) -> timing.Row:
    """Steps of a program that is compiled otherwise, in a process with flags of its own, against those of the usual."""
    cfg = config(spec)
    runs: dict[str, timing.Run] = {"usual": Trainer(cfg, training_images(spec, cfg))}
    flags = {"XLA_FLAGS": f"{os.environ.get('XLA_FLAGS', '')} {spec['flags']}".strip()}
    with contextlib.ExitStack() as stack:
        other = stack.enter_context(start("benchmarks.gpu_rows", spec, flags, {})) if spec["flags"] else None
        runs["changed"] = other or _variant(spec)
        times = timing.in_turn(runs, rounds=spec["rounds"])
    amount = cfg.loop.chunk_steps * cfg.loop.batch_size
    usual = times["usual"].rates(amount)[0]
    return row(spec, "images/s", times["changed"].rates(amount), peer_name="without", peer=usual)


def _variant(spec: Spec) -> Trainer:
    cfg = config(spec)
    other = Trainer(cfg, training_images(spec, cfg))
    if spec["known_steps"]:
        other.compiled = other.lowered(known_steps=True).compile()
    return other


KINDS = {
    "limit": limit,
    "train": train,
    "encode": encoding,
    "grid": grid,
    "models": models,
    "statistics": statistics,
    "changed": changed,
}


def answer(spec: Spec) -> timing.Row:
    """The row of a spec; one with its error where it fails."""
    try:
        return KINDS[spec["kind"]](spec, limits.limits(True, spec["smallest"]))
    except Exception as error:
        said = f"{type(error).__name__}: {error}".split("\n")[0][:300]
        print(f"{spec['case']}: {said}", file=sys.stderr)
        return timing.Row(bench="gpu", case=spec["case"], device="", unit="", ours=None, error=said)


def main() -> None:
    """Answers line by line; what libraries print is no answer."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    for line in sys.stdin:
        print(answer(json.loads(line)).to_json(), file=answers, flush=True)
        gc.collect()  # arrays of the device, before the next row asks for its own


if __name__ == "__main__":
    if len(sys.argv) > 1:
        serve(lambda spec: ("compiled otherwise", functools.partial(timing.seconds, _variant(spec))))
    else:
        main()
