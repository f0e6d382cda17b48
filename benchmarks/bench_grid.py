"""Latents to a finished picture, and a morph to its frames, against PyTorch's decoder.

    python -m benchmarks.bench_grid

From float32 latents in the host's memory to uint8 pixels there: `decode` and a bare `sheet` of 5x9 and 20x20 faces of
`celeba64`, and the 120 frames of a morph. PyTorch decodes the same latents in one call (peers/pytorch.py) and puts the
picture together
on the device. Rounds in turn; a round repeats a picture often enough to last. Random latents and first parameters: the
time does not depend on them.
"""

import numpy as np

from benchmarks import faces, table, timing
from benchmarks.peers.child import pytorch
from benchmarks.peers.common import Common
from jvae.cli.run import run
from jvae.config import Config
from jvae.latent.trajectories import lerp
from jvae.render.sheet import sheet
from jvae.trained import TrainedModel
from jvae.training.presets import preset

# rows, columns, target on a CPU, target on a GPU
CASES = {
    "5x9 faces": (5, 9, "ratio >= 1.1", "ours <= 2"),
    "20x20 faces": (20, 20, "ratio >= 1.1", None),
    "morph of 120 frames": (120, 1, "ratio >= 1.1", None),
}


def case_row(case: str, cfg: Config, model: TrainedModel, *, repeats: int, rounds: int, quick: bool) -> timing.Row:
    """Measures one of CASES.

    Args:
      case: its name.
      cfg: of the model.
      model: decodes.
      repeats: pictures a round.
      rounds: timed rounds.
      quick: try one configuration of PyTorch only.
    """
    rows, columns, cpu, gpu = CASES[case]
    rng = np.random.default_rng(0)
    if columns == 1:  # frame under frame, so that a frame is a slice of the picture
        start, end = rng.standard_normal((2, model.latent_dim))
        latents = lerp(start, end, np.linspace(0, 1, rows)).astype(np.float32)[:, None]
    else:
        latents = rng.standard_normal((rows, columns, model.latent_dim), np.float32)

    def ours() -> None:
        for _ in range(repeats):
            picture = sheet(model.decode(latents), raw=True)
        assert picture.shape == (rows * model.image_size, columns * model.image_size, 3)

    runs: dict[str, timing.Run] = {"jvae": ours}
    dtype = timing.by_platform("float32", "bfloat16")  # what "auto" is
    none = np.zeros((0, model.image_size, model.image_size, 3), np.uint8)
    more = {"rows": rows, "columns": columns, "repeats": repeats}
    with pytorch("decode", Common.of(cfg), dtype, none, quick=quick, **more) as child:
        if child is not None:
            runs["PyTorch"] = child
        times = timing.in_turn(runs, rounds=rounds)
    ms = {name: 1000 / repeats * t.median for name, t in times.items()}
    took = times["jvae"]
    return timing.row(
        "grid",
        f"{cfg.preset}, {case}",
        "ms",
        ms["jvae"],
        peer_name="PyTorch",
        peer=ms.get("PyTorch"),
        higher_is_better=False,
        spread=(1000 / repeats * took.least, 1000 / repeats * took.most),
        compile_s=took.compile_s,
        target=timing.by_platform(cpu, gpu),
        n=rounds,
    )


def main(quick: bool = False, rounds: int | None = None) -> None:
    """Times pictures of 5x9 and 20x20 faces and a morph of 120 frames, from latents to uint8, against PyTorch.

    Args:
      quick: fewer and shorter rounds, and one configuration of PyTorch.
      rounds: timed rounds of each (default: 15, quick 2).
    """
    cfg = preset("celeba64")
    model = faces.untrained(cfg)
    rows = []
    for case, (r, c, *_) in CASES.items():
        print(case, flush=True)
        # a face takes about a third of a millisecond on two cores
        repeats = max(1, timing.by_platform(45 if quick else 1200, 100_000) // (r * c))
        rows.append(case_row(case, cfg, model, repeats=repeats, rounds=rounds or (2 if quick else 15), quick=quick))
    timing.write(rows)
    print(table.text(rows))


if __name__ == "__main__":
    run(main)
