"""Images in, a logit of every attribute out: a classifier small enough to train in minutes on two cores."""

import dataclasses
import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from jvae.config import ModelConfig
from jvae.errors import InputError
from jvae.models import conv
from jvae.models.blocks import Activate, Block
from jvae.models.model import Variables

FEATURES = 128
LAST = 2  # convolutions of the same width, after which residual blocks may follow
WIDTH = 128  # their channels; each before has half of the next, LEAST at least
LEAST = 16
MOST_BLOCKS = 64  # after a convolution
SMALLEST = 4  # height and width at which no convolution follows
EPSILON, MOMENTUM, SLOPE = 1e-3, 0.95, 0.1


class Judgement(NamedTuple):
    """Of each image: logits [b,a], the features they are linear in [b,FEATURES], and every layer before, float32."""

    logits: jax.Array
    features: jax.Array
    layers: tuple[jax.Array, ...]  # [b,h/2,w/2,c], [b,h/4,w/4,c'], …


@dataclass(frozen=True, kw_only=True)
class JudgeNetwork(ModelConfig):
    """Settings of the judge's network.

    Attributes:
      dropout: share that dropout sets to 0 of the features and of the last convolution's outputs, in [0, 1).
      blocks: residual blocks after each of the last two convolutions: another network than without, to score by where
        one without has taught.
    """

    dropout: float = 0.3
    blocks: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        widths(self.image_size)
        self.check_share("dropout")
        self.check_at_least(0, "blocks")
        if self.blocks > MOST_BLOCKS:
            raise InputError(f"blocks={self.blocks}: {MOST_BLOCKS} are the most")

    def module(self, dtype: Any) -> Any:
        """None: raises `InputError`, as a judge's network is trained by no objective but the judge's."""
        raise InputError(
            "model=judge: it neither encodes nor decodes, as this objective needs: give --objective judge, or another "
            "--model"
        )


class JudgeNet(nn.Module):
    """Images [b,h,w,3] float in [0, 1] to their `Judgement`.

    Attributes:
      attributes: a.
      image_size: h and w, a multiple of 4.
      dropout: rate of the features and of the last convolution's outputs.
      blocks: residual blocks after each of the last two convolutions.
      dtype: of the matrix work.
    """

    attributes: int
    image_size: int
    dropout: float = 0.3
    blocks: int = 0
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = False) -> Judgement:
        """Needs the random stream "dropout" when training."""
        x = x.astype(self.dtype) - 0.5
        all_widths, layers = widths(self.image_size), []

        def activate(name: str) -> Callable[[jax.Array], jax.Array]:
            return functools.partial(Activate(EPSILON, MOMENTUM, SLOPE, 0.0, name=name), train=train)

        for i, width in enumerate(all_widths):
            kernel = self.param(f"kernel_{i}", nn.initializers.he_normal(), (3, 3, x.shape[-1], width))
            x = conv.down(x, kernel.astype(self.dtype))  # [b,h/2,w/2,width]
            dropout = self.dropout if i == len(all_widths) - 1 else 0.0
            x = Activate(EPSILON, MOMENTUM, SLOPE, dropout, name=f"norm_{i}")(x, train)
            for j in range(self.blocks if len(all_widths) - i <= LAST else 0):
                x = Block(activate, name=f"block_{i}_{j}")(x)
            layers.append(x.astype(jnp.float32))
        x = x.reshape(x.shape[0], -1)
        x = nn.Dense(FEATURES, use_bias=False, dtype=self.dtype, name="dense")(x)
        x = Activate(EPSILON, MOMENTUM, SLOPE, self.dropout, name="norm")(x[:, None, None], train)
        features = x[:, 0, 0].astype(jnp.float32)  # [b,FEATURES]
        return Judgement(nn.Dense(self.attributes, name="head")(features), features, tuple(layers))


def widths(image_size: int) -> tuple[int, ...]:
    """Channels of the stride-2 convolutions for images of `image_size` pixels.

    Raises:
      InputError: the size is no multiple of 4.
    """
    if image_size < SMALLEST or image_size % 4:
        raise InputError(f"image_size={image_size}: a judge takes a multiple of 4, such as 64")
    side, count = image_size, 0
    while (side > SMALLEST and side % 2 == 0) or not count:
        side, count = side // 2, count + 1
    return tuple(max(LEAST, WIDTH >> max(0, count - LAST - i)) for i in range(count))


def init_judge(net: JudgeNet, key: jax.Array) -> Variables:
    """Fresh parameters and running statistics, as plain dicts of float32 arrays."""
    size = net.image_size
    keys: Any = dict(zip(("params", "dropout"), jax.random.split(key), strict=True))
    variables = net.init(keys, jnp.zeros((2, size, size, 3)), train=True)
    return {name: variables[name] for name in ("params", "batch_stats")}


@dataclasses.dataclass(frozen=True)
class Logits:
    """Logits [b,a] of float images [b,h,w,3] in [0, 1], by the running statistics: `Logits(net)(variables, x)`.

    Two of one net are equal, so that what is compiled for one serves the other.
    """

    net: JudgeNet

    def __call__(self, variables: Variables, x: jax.Array) -> jax.Array:
        """Pure and jittable. InputError: the images are not of the judge's size."""
        return _judge(self.net, variables, x).logits


@dataclasses.dataclass(frozen=True)
class Features:
    """Features [b,FEATURES] of float images [b,h,w,3] in [0, 1]; as `Logits`."""

    net: JudgeNet

    def __call__(self, variables: Variables, x: jax.Array) -> jax.Array:
        """Pure and jittable. InputError: the images are not of the judge's size."""
        return _judge(self.net, variables, x).features


def _judge(net: JudgeNet, variables: Variables, x: jax.Array) -> Judgement:
    size = net.image_size
    if x.ndim != 4 or x.shape[1:] != (size, size, 3) or not jnp.issubdtype(x.dtype, jnp.floating):
        raise InputError(f"the judge takes float images [b,{size},{size},3], not {x.dtype} {list(x.shape)}")
    return net.apply(variables, x)  # type: ignore[return-value]
