"""The same VAE in PyTorch, as fast as its settings make it: the model, and what it does once it is trained.

The layers, their widths and the loss are jvae's. Its convolutions pad one pixel on each side, where jvae's, as
TensorFlow's, pad below and right alone: the work is the same, and an asymmetric padding would cost PyTorch a copy.

Which settings are fastest depends on device, shape and dtype, so each case tries `candidates` for a few rounds and
keeps the fastest (pytorch_tasks.py). On a CPU the allocator gives big blocks back to the system after each use, and
pages that are touched anew cost 20 to 30 % of a step; child.py sets variables that make it keep them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch  # pyright: ignore[reportMissingImports]  # the extra `bench` has it
from torch import Tensor, nn  # pyright: ignore[reportMissingImports]

from benchmarks.peers.common import Common
from benchmarks.peers.pytorch_residual import Residual

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


class Activate(nn.Sequential):
    """Batch normalisation, LeakyReLU, dropout: what follows a hidden convolution of `c` channels."""

    def __init__(self, cfg: Common, c: int) -> None:
        layers = [nn.BatchNorm2d(c, cfg.bn_epsilon, 1 - cfg.bn_momentum), nn.LeakyReLU(cfg.leaky_slope)]
        super().__init__(*layers, *([nn.Dropout(cfg.dropout)] if cfg.dropout else []))


class VAE(nn.Module):
    """Encoder and decoder of `cfg`."""

    def __init__(self, cfg: Common) -> None:
        super().__init__()
        widths, side = cfg.widths, cfg.image_size // 2 ** len(cfg.widths)
        self.top, features = (widths[-1], side, side), side * side * widths[-1]
        down: list[nn.Module] = []
        for i, o in zip((3, *widths[:-1]), widths, strict=True):
            down += [nn.Conv2d(i, o, 3, 2, padding=1, bias=False), Activate(cfg, o)]
        up: list[nn.Module] = []
        for i, o in zip(widths[:0:-1], widths[-2::-1], strict=True):
            up += [nn.ConvTranspose2d(i, o, 3, 2, padding=1, output_padding=1, bias=False), Activate(cfg, o)]
        self.down, self.up = nn.Sequential(*down, nn.Flatten()), nn.Sequential(*up)
        self.posterior = nn.Linear(features, 2 * cfg.latent_dim)
        self.dense = nn.Linear(cfg.latent_dim, features)
        self.last = nn.ConvTranspose2d(widths[0], 3, 3, 2, padding=1, output_padding=1)

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance [b,d] of images [b,3,h,w] in [0, 1]."""
        mean, logvar = self.posterior(self.down(x)).float().chunk(2, dim=1)
        return mean, logvar

    def decode(self, z: Tensor, layout: torch.memory_format) -> Tensor:
        """Images [b,3,h,w] in [0, 1] of latents [b,d]."""
        top = self.dense(z).view(-1, *self.top).to(memory_format=layout)
        return torch.sigmoid(self.last(self.up(top)).float())


@dataclass(frozen=True)
class Settings:
    """One way of running it: through torch.compile or not, channels last or first, as one CUDA graph or not."""

    compiled: bool
    channels_last: bool
    graph: bool = False

    def __str__(self) -> str:
        words = ["torch.compile" if self.compiled else "eager"]
        words.append("channels_last" if self.channels_last else "channels first")
        return ", ".join(words + (["CUDA graph"] if self.graph else []))

    @property
    def layout(self) -> torch.memory_format:
        """The memory format of images and weights."""
        return torch.channels_last if self.channels_last else torch.contiguous_format


def candidates(dtype: str) -> list[Settings]:
    """What is tried, the likeliest first."""
    if DEVICE.type == "cuda":
        return [Settings(c, last, g) for g in (True, False) for c in (True, False) for last in (True, False)]
    eager = dtype == "float32"  # measured on two cores: compiling pays in bfloat16
    return [Settings(c, last) for last in (True, False) for c in (not eager, eager)]


def synchronize() -> None:
    """Waits for the device."""
    if DEVICE.type == "cuda":
        torch.cuda.synchronize()


def autocast(dtype: str) -> torch.autocast:
    """Matrix work in `dtype`, the rest in float32."""
    return torch.autocast(DEVICE.type, torch.bfloat16, enabled=dtype == "bfloat16")


def build(cfg: Common, settings: Settings) -> VAE | Residual:
    """A fresh model on the device, initialised as Keras does."""
    torch.manual_seed(0)
    torch.backends.cudnn.benchmark = True
    torch.set_float32_matmul_precision("high")  # TensorFloat-32 where there is some, as in JAX by default
    torch.backends.cudnn.allow_tf32 = True
    net = Residual(cfg) if cfg.blocks else VAE(cfg)
    for name, parameter in net.named_parameters():
        if parameter.ndim > 1:
            nn.init.xavier_uniform_(parameter)
        elif name.endswith("bias"):
            nn.init.zeros_(parameter)
    return net.to(device=DEVICE, memory_format=settings.layout)  # pyright: ignore[reportCallIssue]


def upload(images: np.ndarray, settings: Settings) -> Tensor:
    """uint8 [n,h,w,3] to the device as [n,3,h,w] in the layout of `settings`."""
    return torch.from_numpy(images).permute(0, 3, 1, 2).to(DEVICE, memory_format=settings.layout)


def captured(step: Callable[[], Any]) -> Callable[[], Any]:
    """`step` as one CUDA graph: no work for the host between its kernels."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(5):
            step()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    return graph.replay


def inference(function: Callable, settings: Settings, dtype: str) -> Callable:
    """`function` of a tensor, without gradients, in `dtype`, by `settings`."""
    if settings.compiled:
        function = torch.compile(function, mode="reduce-overhead" if settings.graph else None)

    def call(x: Tensor) -> Tensor:
        with torch.inference_mode(), autocast(dtype):
            return function(x)

    return call


def encoding(cfg: Common, spec: dict[str, Any], images: np.ndarray, settings: Settings) -> Callable[[], None]:
    """The means [n,d] of all images, from host memory to host memory."""
    net = build(cfg, settings).eval()
    encode = inference(lambda x: net.encode(x.float() / 255)[0], settings, spec["dtype"])
    whole = torch.from_numpy(images).permute(0, 3, 1, 2)  # [n,3,h,w], channels last in memory
    whole = whole.pin_memory() if DEVICE.type == "cuda" else whole

    def run() -> None:
        parts = []
        for i in range(0, len(whole), cfg.batch_size):
            batch = whole[i : i + cfg.batch_size].to(DEVICE, non_blocking=True, memory_format=settings.layout)
            parts.append(encode(batch).clone())  # a graph's output is overwritten by its next call
        torch.cat(parts).cpu().numpy()

    return run


def decoding(cfg: Common, spec: dict[str, Any], images: np.ndarray, settings: Settings) -> Callable[[], None]:
    """One uint8 picture [r*h, c*w, 3] on the host, of latents [r*c,d] on the host; `repeats` times."""
    net = build(cfg, settings).eval()
    r, c, side = spec["rows"], spec["columns"], cfg.image_size
    latents = np.random.default_rng(0).standard_normal((r * c, cfg.latent_dim), np.float32)

    def picture(z: Tensor) -> Tensor:
        tiles = (net.decode(z, settings.layout) * 255).round().to(torch.uint8)  # a sigmoid needs no clipping
        return tiles.view(r, c, 3, side, side).permute(0, 3, 1, 4, 2).reshape(r * side, c * side, 3)

    draw = inference(picture, settings, spec["dtype"])

    def run() -> None:
        for _ in range(spec["repeats"]):
            draw(torch.from_numpy(latents).to(DEVICE)).cpu().numpy()

    return run
