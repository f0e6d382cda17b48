"""Randomness by hashing an index: no state, no stored bits, and every element is had alone, on whichever device."""

import math
from typing import Any

import jax
import jax.extend.random
import jax.numpy as jnp
import numpy as np
from jax import lax

from jvae.config import check_seed

ROUNDS = 64


def key_words(key: jax.Array) -> jax.Array:
    """The first two words [2] uint32 of a key's data, which `fold_in` and `split` mix."""
    return jax.random.key_data(key).reshape(-1)[:2]


def mix(index: Any, first: Any, second: Any) -> Any:
    """32 random bits for an index: "lowbias32" of Wellons' hash-prospector, keyed before and inside.

    Args:
      index: uint32, any shape.
      first: uint32, the first word of the key.
      second: uint32, the second.

    Returns:
      uint32, of the shape that the three broadcast to.
    """
    h = index * np.uint32(0x9E3779B9) + first
    h = (h ^ (h >> 16)) * np.uint32(0x7FEB352D) ^ second
    h = (h ^ (h >> 15)) * np.uint32(0x846CA68B)
    return h ^ (h >> 16)


def bits(words: Any, shape: tuple[int, ...]) -> jax.Array:
    """32 random bits for each element of an array, uint32 of `shape`, from a key's two words."""
    index = lax.iota(jnp.uint32, math.prod(shape)).reshape(shape)
    return mix(index, words[0], words[1])


def _words(number: Any, words: jax.Array) -> jax.Array:
    """The words of the key that a number makes of another's, [...,2]."""
    number = jnp.asarray(number).astype(jnp.uint32)
    return jnp.stack([mix(number, words[0], words[1]), mix(number, words[1], ~words[0])], -1)


def _bits(words: jax.Array, bit_width: int, shape: tuple[int, ...]) -> jax.Array:
    drawn = bits(words, shape)
    if bit_width == 64:
        return drawn.astype(jnp.uint64) << 32 | bits(words[::-1], shape).astype(jnp.uint64)
    return (drawn >> (32 - bit_width)).astype(f"uint{bit_width}")


# JAX's "threefry2x32" and "rbg" take a CPU up to ten times as long to compile, and what "rbg" draws under vmap is not
# what each of its keys would draw alone: models of a sweep would not be those that are trained by themselves.
HASH = jax.extend.random.define_prng_impl(
    key_shape=(2,),
    seed=lambda seed: _words(seed, jnp.array([0x243F6A88, 0x85A308D3], jnp.uint32)),  # of the fraction of pi
    split=lambda words, shape: _words(lax.iota(jnp.uint32, math.prod(shape)).reshape(shape), words),
    random_bits=_bits,
    fold_in=lambda words, number: _words(number, words),
    name="jvae_hash",
    tag="hash",
)


def random_key(seed: int | jax.Array) -> jax.Array:
    """A key for `jax.random` whose draws are hashes: one short kernel each, under vmap and over devices as well.

    Raises:
      InputError: a seed of more than 32 bits, of which the key would not hold the rest, or a negative one.
    """
    checked = check_seed(seed) if isinstance(seed, int) else seed  # within jit it is traced, and cannot be looked at
    return jax.random.key(checked, impl=HASH)


def shuffle(index: jax.Array, n: int, first: jax.Array, second: jax.Array) -> jax.Array:
    """Where a random permutation of 0 … n − 1 takes `index`, without the rest of it: the cost does not depend on n.

    The swap-or-not shuffle (Hoang, Morris and Rogaway 2012, figure 1): in each round an index and its mirror image
    about a random point change positions or not, by a bit that both share.

    Args:
      index: int32 [...], from 0 to n − 1.
      n: at least 1, below 2³¹.
      first: uint32, word of the permutation's key; broadcasts with `index`, as does the next.
      second: uint32.

    Returns:
      int32 [...].
    """

    def round_of(r: jax.Array, x: jax.Array) -> jax.Array:
        return _swap_or_not(r.astype(jnp.uint32), x, n, first, second, jnp)

    shape = jnp.broadcast_shapes(index.shape, first.shape, second.shape)
    x = jnp.broadcast_to(index.astype(jnp.uint32), shape)
    return lax.fori_loop(0, ROUNDS, round_of, x).astype(jnp.int32)


def _swap_or_not(r: Any, x: Any, n: int, first: Any, second: Any, xp: Any) -> Any:
    """A round of the shuffle, with the functions of `xp`: jax.numpy or numpy."""
    point = mix(2 * r, first, second) % np.uint32(n)
    mirror = xp.where(point >= x, point - x, point + np.uint32(n) - x)
    coin = mix(xp.maximum(x, mirror), mix(2 * r + 1, first, second), second)
    return xp.where(coin >> 31 == 1, mirror, x)


def shuffle_on_host(index: np.ndarray, n: int, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """`shuffle`, bit for bit, without JAX: for processes that only read. `index` has one axis at least."""
    x = np.asarray(index, np.uint32)
    for r in range(ROUNDS):
        x = _swap_or_not(np.full((1,), r, np.uint32), x, n, first, second, np)
    return x.astype(np.int32)


def epoch_words(epoch: Any, words: Any) -> tuple[Any, Any]:
    """The key of an epoch's own permutation, two uint32 of the shape of `epoch` (uint32), from the run's two."""
    return mix(2 * epoch, *words), mix(2 * epoch + 1, *words)


def epoch_rows(words: np.ndarray, step: int, n: int, b: int) -> np.ndarray:
    """Which of n rows the batch of one step holds, int32 [b]: a row of `jvae.data.feed.chunk_order`, without JAX."""
    epoch, nth = divmod(step, n // b)
    first, second = epoch_words(np.full((1,), epoch, np.uint32), words[:, None])
    return shuffle_on_host(nth * b + np.arange(b), n, first, second)
