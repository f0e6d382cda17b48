"""The train step against PyTorch in its best configuration and against Flax written the plain way.

    python -m benchmarks.bench_train

Images a second of `train_chunk`, the loop that training runs, with the images on the device; PyTorch (peers/pytorch.py)
has its data on the device, too, and runs in its own process with the allocator settings that suit it; plain Flax
(peers/plain_flax.py) is float32. The same pixels, rounds in turn. The step of `celeba64` includes its moving average,
which no peer keeps.

The limit is the least time that the device could take for a step (limits.py): operations and bytes of the compiled loop
by `cost_analysis`, which counts the body of a loop once, over rates measured on the same device. By hand, a forward
pass of `book` at 128x128 multiplies and adds, in millions an image:

    encoder 128>64 3>32     64·64·9·3·32     3.54        decoder 8>16    64>64     8·8·9·64·64      2.36
            64>32  32>64    32·32·9·32·64   18.87                16>32   64>64     16·16·9·64·64    9.44
            32>16  64>64    16·16·9·64·64    9.44                32>64   64>32     32·32·9·64·32   18.87
            16>8   64>64    8·8·9·64·64      2.36                64>128  32>3      64·64·9·32·3     3.54
            posterior       4096·2·200       1.64                dense             200·4096         0.82

70.9 in all: 142 million operations, and a step three times that (the gradients by the inputs and by the weights cost a
forward pass each): 425 million, 418 without the first layer's gradient by its input, which nobody needs. `step_flops`
does the same sum; of the residual network, XLA counts them in the program as it is written. The bytes are those of the
compiled program's buffers, each counted whenever it is read or written, so where a cache holds them the device may beat
this limit.
"""

from pathlib import Path
from typing import Any

import jax
import numpy as np

from benchmarks import faces, limits, table, timing
from benchmarks.peers.child import pytorch
from benchmarks.peers.common import Common
from benchmarks.peers.plain_flax import training as plain_training
from benchmarks.training import Trainer
from jvae.cli.run import run
from jvae.config import Config
from jvae.errors import InputError
from jvae.training.presets import preset

CELEBA_TRAIN, EPOCHS = 162_770, 200  # images of CelebA's training split; the book's epochs
TARGETS = {  # on a CPU
    ("book", "float32"): "ratio >= 1.8",
    ("book", "bfloat16"): "ratio >= 1.2",
    ("celeba64", "float32"): "ratio >= 1.1",
    ("celeba64", "bfloat16"): "ratio >= 1.0",
    ("residual64", "float32"): "ratio >= 1.1, limit_fraction >= 0.5",
    ("residual64", "bfloat16"): "ratio >= 1.0",
}


def step_flops(cfg: Common) -> float:
    """Operations of a train step, matrix work only, counted by hand as above."""
    products, first, side, inputs = 0, 0, cfg.image_size, 3
    for width in cfg.widths:
        side //= 2
        products += 2 * side * side * 9 * inputs * width  # in the encoder, and in the decoder that mirrors it
        first = first or products // 2
        inputs = width
    products += 3 * cfg.latent_dim * side * side * inputs
    return 2 * cfg.batch_size * (3 * products - first)


def case_rows(cfg: Config, images: np.ndarray, *, rounds: int, plain_steps: int, quick: bool) -> list[timing.Row]:
    """Measures one config.

    Args:
      cfg: its chunk_steps are a round of ours and of PyTorch.
      images: uint8 [n,h,w,3].
      rounds: timed rounds.
      plain_steps: a round of plain Flax, 0 to leave it out.
      quick: try one configuration of PyTorch only.

    Returns:
      A row against each peer.
    """
    same, dtype, steps = Common.of(cfg), cfg.loop.dtype, cfg.loop.chunk_steps
    limits.check_dtype(dtype)
    case = f"{cfg.preset} {same.image_size}x{same.image_size} b{same.batch_size} {dtype}"
    print(case, flush=True)
    ours = Trainer(cfg, images)
    runs: dict[str, timing.Run] = {"jvae": ours}
    if plain_steps:
        runs["plain Flax"] = plain_training(same, images, plain_steps)
    with pytorch("train", same, dtype, images, quick=quick, steps=steps) as child:
        if child is not None:
            runs["PyTorch"] = child
        times = timing.in_turn(runs, rounds=rounds)
    amounts = dict.fromkeys(runs, steps * same.batch_size) | {"plain Flax": plain_steps * same.batch_size}
    rates = {name: t.rates(amounts[name]) for name, t in times.items()}
    median, least, most = rates["jvae"]
    counted = limits.written_flops(ours.lowered()) if same.blocks else step_flops(same)
    flops, moved = limits.cost(ours.compiled)
    seconds = limits.limit_seconds(ours.compiled, limits.limits(quick), dtype, least_flops=counted)  # of one step
    print(
        f"a step: {flops / 1e9:.1f} GFLOP ({counted / 1e9:.1f} counted), {moved / 1e9:.2f} GB: at least {seconds:.2g} s"
    )

    def against(peer: str, **fields: Any) -> timing.Row:
        return timing.row(
            "train",
            case,
            "images/s",
            median,
            peer_name=peer,
            peer=rates[peer][0] if peer in rates else None,
            spread=(least, most),
            limit_fraction=seconds * median / same.batch_size,
            compile_s=ours.compile_s,
            n=rounds,
            **fields,
        )

    target = timing.by_platform(TARGETS[cfg.preset, dtype], "ratio >= 1.5, limit_fraction >= 0.4")
    rows = [against("PyTorch", target=target)]
    if plain_steps:
        rows.append(against("plain Flax", target=timing.by_platform("ratio >= 5", None)))
    return rows


def whole_run(rows: list[timing.Row]) -> timing.Row:
    """The book's training of CelebA at 128x128, in seconds, by the fastest of `rows`."""
    best = max(rows, key=lambda r: r.ours or 0)
    assert best.ours is not None and best.spread is not None
    images = CELEBA_TRAIN * EPOCHS
    return timing.row(
        "train",
        f"{EPOCHS} epochs of {CELEBA_TRAIN:,} images, by {best.case}",
        "s",
        images / best.ours,
        spread=(images / best.spread[1], images / best.spread[0]),
        target="ours <= 300",
        n=best.n,
    )


def main(quick: bool = False, path: Path | None = None, rounds: int | None = None, only: tuple[str, ...] = ()) -> None:
    """Times train steps of `book`, `celeba64` and `residual64` against PyTorch, and plain Flax, in two dtypes.

    Args:
      quick: fewer and shorter rounds, float32 alone, one configuration of PyTorch, no plain Flax.
      path: a packed store of 128x128 images, shrunk for the others; rendered faces when there is none.
      rounds: timed rounds of each (default: 7, quick 2).
      only: the presets to run.
    """
    jax.config.update("jax_enable_compilation_cache", False)  # or a second run would show no compile time
    rounds = rounds or (2 if quick else 7)
    count = timing.by_platform(256 if quick else 2048, 16384)  # far more than a cache holds
    steps = timing.by_platform(3 if quick else 10, 50 if quick else 200)
    big: np.ndarray = faces.images(path, count, 128)
    small = big.reshape(len(big), 64, 2, 64, 2, 3).mean((2, 4)).astype(np.uint8)
    cases: list[tuple[Config, np.ndarray]] = [
        (preset("book"), big),
        (preset("celeba64").replace(batch_size=128, name="adam", mirror=False), small),
        (preset("residual64").replace(batch_size=128), small),
    ]
    if timing.platform() != "cpu":  # a batch of 32 leaves most of an accelerator idle
        cases.insert(1, (preset("book").replace(batch_size=512), big))
    rows: list[timing.Row] = []
    for dtype in ("float32",) if quick else ("float32", "bfloat16"):
        for base, images in cases:
            if only and base.preset not in only:
                continue
            cfg = base.replace(dtype=dtype, residency="resident", chunk_steps=steps)
            compared = dtype == "float32" and not quick and base.preset != "residual64"  # of the book's network alone
            plain = timing.by_platform(1, 20) if compared else 0  # slow to compile
            try:
                rows += case_rows(cfg, images, rounds=rounds, plain_steps=plain, quick=quick)
            except InputError as error:  # a dtype that the device lacks: the other cases still count
                print(f"error: {error}", flush=True)
    book = [r for r in rows if r.case.startswith("book")]
    if book and timing.platform() != "cpu":
        rows.append(whole_run(book))
    timing.write(rows)
    print(table.text(rows))


if __name__ == "__main__":
    run(main)
