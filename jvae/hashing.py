"""Randomness by hashing an index: no state, no stored bits, and every element is had alone, on whichever device."""

import jax
import jax.numpy as jnp
from jax import lax

ROUNDS = 64


def key_words(key: jax.Array) -> jax.Array:
    """The first two words [2] uint32 of a key's data, which `fold_in` and `split` mix."""
    return jax.random.key_data(key).reshape(-1)[:2]


def mix(index: jax.Array, first: jax.Array, second: jax.Array) -> jax.Array:
    """32 random bits for an index: "lowbias32" of Wellons' hash-prospector, keyed before and inside.

    Args:
      index: uint32, any shape.
      first: uint32, the first word of the key.
      second: uint32, the second.

    Returns:
      uint32, of the shape that the three broadcast to.
    """
    h = index * jnp.uint32(0x9E3779B9) + first
    h = (h ^ (h >> 16)) * jnp.uint32(0x7FEB352D) ^ second
    h = (h ^ (h >> 15)) * jnp.uint32(0x846CA68B)
    return h ^ (h >> 16)


def shuffle(index: jax.Array, n: int, first: jax.Array, second: jax.Array) -> jax.Array:
    """Where a random permutation of 0 … n − 1 takes `index`, without the rest of it: the cost does not depend on n.

    The swap-or-not shuffle (Hoang, Morris and Rogaway 2012, figure 1): in each round an index and its mirror image
    about a random point change places or not, by a bit that both share.

    Args:
      index: int32 [...], from 0 to n − 1.
      n: at least 1, below 2³¹.
      first: uint32, word of the permutation's key; broadcasts with `index`, as does the next.
      second: uint32.

    Returns:
      int32 [...].
    """

    def swap_or_not(r: jax.Array, x: jax.Array) -> jax.Array:
        point = mix(2 * r.astype(jnp.uint32), first, second) % jnp.uint32(n)
        mirror = jnp.where(point >= x, point - x, point + jnp.uint32(n) - x)
        coin = mix(jnp.maximum(x, mirror), mix(2 * r.astype(jnp.uint32) + 1, first, second), second)
        return jnp.where(coin >> 31 == 1, mirror, x)

    shape = jnp.broadcast_shapes(index.shape, first.shape, second.shape)
    x = jnp.broadcast_to(index.astype(jnp.uint32), shape)
    return lax.fori_loop(0, ROUNDS, swap_or_not, x).astype(jnp.int32)
