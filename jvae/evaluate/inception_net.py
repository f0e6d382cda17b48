"""InceptionV3: images in, the 2,048 features that Fréchet distances are published in, out.

Szegedy et al. (2016), "Rethinking the Inception Architecture for Computer Vision". The layers' names are torchvision's.
"""

import dataclasses
import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

SIDE = 299
EPSILON = 1e-3


class Unit(nn.Module):
    """Convolution without a bias, BatchNorm by the running statistics, ReLU."""

    features: int
    kernel: tuple[int, int]
    stride: int = 1
    padding: str = "SAME"

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """[b,h,w,c] -> [b,h',w',features]."""
        strides = (self.stride, self.stride)
        x = nn.Conv(self.features, self.kernel, strides, self.padding, use_bias=False, name="conv")(x)
        return nn.relu(nn.BatchNorm(use_running_average=True, epsilon=EPSILON, name="bn")(x))


def _unit(name: str, features: int, h: int = 1, w: int = 1, stride: int = 1, padding: str = "SAME") -> Unit:
    return Unit(features, (h, w), stride, padding if stride == 1 else "VALID", name=name)


class _Block(nn.Module):
    """Branches beside each other, and last a pooling one.

    Attributes:
      kind: A to E, in the order of the network.
      width: channels that differ from block to block of a kind.
      pad_counts: whether the mean at the border counts what lies beyond it, as zeros.
      pools_maximum: the pooling branch takes the largest, not the mean.
    """

    kind: str
    width: int = 0
    pad_counts: bool = False
    pools_maximum: bool = False

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        return jnp.concatenate(getattr(self, f"_{self.kind}")(x), axis=-1)

    def _pooled(self, x: jax.Array, features: int) -> jax.Array:
        if self.pools_maximum:
            x = nn.max_pool(x, (3, 3), padding="SAME")
        else:
            x = nn.avg_pool(x, (3, 3), padding="SAME", count_include_pad=self.pad_counts)
        return _unit("branch_pool", features)(x)

    def _A(self, x: jax.Array) -> list[jax.Array]:
        five = _unit("branch5x5_2", 64, 5, 5)(_unit("branch5x5_1", 48)(x))
        three = _unit("branch3x3dbl_2", 96, 3, 3)(_unit("branch3x3dbl_1", 64)(x))
        three = _unit("branch3x3dbl_3", 96, 3, 3)(three)
        return [_unit("branch1x1", 64)(x), five, three, self._pooled(x, self.width)]

    def _B(self, x: jax.Array) -> list[jax.Array]:
        double = _unit("branch3x3dbl_2", 96, 3, 3)(_unit("branch3x3dbl_1", 64)(x))
        double = _unit("branch3x3dbl_3", 96, 3, 3, stride=2)(double)
        return [_unit("branch3x3", 384, 3, 3, stride=2)(x), double, nn.max_pool(x, (3, 3), (2, 2))]

    def _C(self, x: jax.Array) -> list[jax.Array]:
        seven = _unit("branch7x7_2", self.width, 1, 7)(_unit("branch7x7_1", self.width)(x))
        seven = _unit("branch7x7_3", 192, 7, 1)(seven)
        double = _unit("branch7x7dbl_1", self.width)(x)
        for i, (h, w) in enumerate([(7, 1), (1, 7), (7, 1), (1, 7)], 2):
            double = _unit(f"branch7x7dbl_{i}", 192 if i == 5 else self.width, h, w)(double)
        return [_unit("branch1x1", 192)(x), seven, double, self._pooled(x, 192)]

    def _D(self, x: jax.Array) -> list[jax.Array]:
        three = _unit("branch3x3_2", 320, 3, 3, stride=2)(_unit("branch3x3_1", 192)(x))
        seven = _unit("branch7x7x3_2", 192, 1, 7)(_unit("branch7x7x3_1", 192)(x))
        seven = _unit("branch7x7x3_4", 192, 3, 3, stride=2)(_unit("branch7x7x3_3", 192, 7, 1)(seven))
        return [three, seven, nn.max_pool(x, (3, 3), (2, 2))]

    def _E(self, x: jax.Array) -> list[jax.Array]:
        three = _unit("branch3x3_1", 384)(x)
        double = _unit("branch3x3dbl_2", 384, 3, 3)(_unit("branch3x3dbl_1", 448)(x))
        return [
            _unit("branch1x1", 320)(x),
            _unit("branch3x3_2a", 384, 1, 3)(three),
            _unit("branch3x3_2b", 384, 3, 1)(three),
            _unit("branch3x3dbl_3a", 384, 1, 3)(double),
            _unit("branch3x3dbl_3b", 384, 3, 1)(double),
            self._pooled(x, 192),
        ]


class InceptionV3(nn.Module):
    """Images [b,h,w,3] in [0, 1], of any size, to the means [b,2048] of the last block.

    Attributes:
      original: as in the graph of 2015 that Fréchet distances are computed with, where the means at the border leave
        out what lies beyond it, and the last pooling branch takes the largest; else as torchvision has it.
    """

    original: bool = True

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Resized by bilinear interpolation, without antialiasing, as is the custom."""
        x = jax.image.resize(x, (len(x), SIDE, SIDE, 3), "bilinear", antialias=False) * 2 - 1
        x = _unit("Conv2d_1a_3x3", 32, 3, 3, stride=2)(x)
        x = _unit("Conv2d_2a_3x3", 32, 3, 3, padding="VALID")(x)
        x = nn.max_pool(_unit("Conv2d_2b_3x3", 64, 3, 3)(x), (3, 3), (2, 2))
        x = _unit("Conv2d_4a_3x3", 192, 3, 3, padding="VALID")(_unit("Conv2d_3b_1x1", 80)(x))
        x = nn.max_pool(x, (3, 3), (2, 2))
        pad = not self.original
        for name, kind, width in (
            ("5b", "A", 32), ("5c", "A", 64), ("5d", "A", 64), ("6a", "B", 0), ("6b", "C", 128), ("6c", "C", 160),
            ("6d", "C", 160), ("6e", "C", 192), ("7a", "D", 0), ("7b", "E", 0), ("7c", "E", 0),
        ):  # fmt: skip
            x = _Block(kind, width, pad, self.original and name == "7c", name=f"Mixed_{name}")(x)
        return x.mean((1, 2))


@functools.cache
def shapes() -> Any:
    """The variables of the network, as shapes."""
    return jax.eval_shape(InceptionV3().init, jax.random.key(0), jnp.zeros((1, SIDE, SIDE, 3)))


@dataclasses.dataclass(frozen=True)
class InceptionFeatures:
    """Features [b,2048] of float images [b,h,w,3] in [0, 1]: `InceptionFeatures(net)(variables, x)`."""

    net: InceptionV3

    def __call__(self, variables: Any, x: jax.Array) -> jax.Array:
        """Pure and jittable."""
        return self.net.apply(variables, x)  # type: ignore[return-value]
