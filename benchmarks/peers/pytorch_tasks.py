"""`python -m benchmarks.peers.pytorch_tasks` serves child.py: PyTorch at its tasks, in its fastest settings."""

import functools
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch  # pyright: ignore[reportMissingImports]  # the extra `bench` has it
from torch import Tensor  # pyright: ignore[reportMissingImports]

from benchmarks.peers import pytorch
from benchmarks.peers.child import serve
from benchmarks.peers.common import Common
from benchmarks.peers.pytorch import DEVICE, Settings
from jvae.io.fields import build


class Trainer:
    """Trains on images that are on the device.

    Attributes:
      net: the model.
      count: of the images.
    """

    def __init__(self, cfg: Common, dtype: str, images: np.ndarray, settings: Settings) -> None:
        self.net, self.count, self._settings, self._dtype = pytorch.build(cfg, settings), len(images), settings, dtype
        self._images, self._weight = pytorch.upload(images, settings), cfg.r_loss_factor
        self._first = {name: value.clone() for name, value in self.net.state_dict().items()}
        self._rows = torch.arange(cfg.batch_size, device=DEVICE) % len(images)
        cuda = DEVICE.type == "cuda"
        self._adam = torch.optim.Adam(
            self.net.parameters(), cfg.learning_rate, eps=cfg.adam_epsilon, fused=True, capturable=cuda
        )
        self._objective = torch.compile(self._loss) if settings.compiled else self._loss
        self._run = pytorch.captured(self._step) if settings.graph else self._step

    def terms(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Squared error of a sampled reconstruction, mean over pixels, and KL in nats, of uint8 images [b,3,h,w]."""
        x = x.float() / 255
        with pytorch.autocast(self._dtype):
            mean, logvar = self.net.encode(x)
            z = mean + torch.exp(0.5 * logvar) * torch.randn_like(mean)
            recon = self.net.decode(z, self._settings.layout)
        kl = 0.5 * (logvar.exp() + mean.square() - 1 - logvar).sum(1).mean()
        return (recon - x).square().mean(), kl

    def _loss(self, x: Tensor) -> Tensor:
        error, kl = self.terms(x)
        return self._weight * error + kl

    def _step(self) -> None:
        batch = self._images[self._rows]
        self._adam.zero_grad(set_to_none=True)
        self._objective(batch).backward()
        self._adam.step()

    def __call__(self, rows: Tensor) -> None:
        """One step on the images `rows`, int64 [b]."""
        self._rows.copy_(rows)
        self._run()

    def warm_up(self) -> None:
        """Does a step, with all that is compiled for it, and undoes it and what a graph's capture did."""
        self(self._rows.clone())
        self.net.load_state_dict(self._first)
        for moments in self._adam.state.values():
            for value in moments.values():
                value.zero_()


def training(cfg: Common, spec: dict[str, Any], images: np.ndarray, settings: Settings) -> Callable[[], None]:
    """`steps` train steps on random batches."""
    trainer = Trainer(cfg, spec["dtype"], images, settings)

    def steps() -> None:
        for rows in torch.randint(trainer.count, (spec["steps"], cfg.batch_size), device=DEVICE):
            trainer(rows)

    return steps


def curve(cfg: Common, spec: dict[str, Any], images: np.ndarray, settings: Settings) -> Callable[[], list[float]]:
    """Trains epoch by epoch and stops at each of the steps `stops`, one a call.

    Each call returns the seconds of training since the last, and error and KL of the images `test`.
    """
    trainer = Trainer(cfg, spec["dtype"], images, settings)
    test = pytorch.upload(np.load(spec["test"], allow_pickle=False), settings)
    stops = iter(spec["stops"])

    def batches() -> Iterator[Tensor]:
        while True:
            order = torch.randperm(trainer.count, device=DEVICE)
            yield from order[: trainer.count // cfg.batch_size * cfg.batch_size].view(-1, cfg.batch_size)

    def score() -> list[float]:
        trainer.net.eval()
        with torch.inference_mode():
            parts = [(len(x), *trainer.terms(x)) for x in test.split(256)]
        trainer.net.train()
        return [float(sum(n * part[i] for n, *part in parts) / len(test)) for i in (0, 1)]

    trainer.warm_up()
    step, source = 0, batches()

    def to_next_stop() -> list[float]:
        nonlocal step
        stop = next(stops)
        pytorch.synchronize()
        start = time.perf_counter()
        while step < stop:
            trainer(next(source))
            step += 1
        pytorch.synchronize()
        return [time.perf_counter() - start, *score()]

    return to_next_stop


def seconds(run: Callable[[], None]) -> float:
    """Of one call, to its end."""
    pytorch.synchronize()
    start = time.perf_counter()
    run()
    pytorch.synchronize()
    return time.perf_counter() - start


TASKS = {"train": training, "curve": training, "encode": pytorch.encoding, "decode": pytorch.decoding}


def prepare(spec: dict[str, Any]) -> tuple[str, Callable[[], Any]]:
    """The fastest of the candidates for a spec, by the median of three rounds after one; see child.py.

    Args:
      spec: "task" (a key of TASKS), "config" (the fields of a `Common`), "dtype", "images" (a file), "quick" (only
        the likeliest candidate), and what the task needs besides: "steps", or "rows", "columns" and "repeats", or
        for a curve "steps" (to choose a candidate by), "stops" and "test" (a file).
    """
    cfg, images = build(Common, spec["config"], "the spec"), np.load(spec["images"], allow_pickle=False)
    tried: list[tuple[float, Settings, Callable[[], None]]] = []
    for settings in pytorch.candidates(spec["dtype"]):
        try:
            run = TASKS[spec["task"]](cfg, spec, images, settings)
            seconds(run)
            tried.append((statistics.median(seconds(run) for _ in range(3)), settings, run))
        except Exception as error:  # no C++ compiler, say, or what a CUDA graph cannot hold: another will do
            print(f"PyTorch, {settings}: {str(error).splitlines()[0]}", file=sys.stderr)
        if spec["quick"] and tried:
            break
    if not tried:
        sys.exit("PyTorch ran in none of its configurations")
    _, settings, run = min(tried, key=lambda each: each[0])
    if spec["task"] == "curve":
        return str(settings), curve(cfg, spec, images, settings)
    return str(settings), functools.partial(seconds, run)


if __name__ == "__main__":
    serve(prepare)
