import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jvae.errors import InputError
from jvae.runtime.hashing import key_words, mix, random_key, shuffle

WORDS = jnp.array([123456789, 987654321], jnp.uint32)


@pytest.mark.parametrize("seed", [-1, 2**32, 2**70])
def test_a_seed_that_a_key_cannot_hold_is_refused(seed):
    with pytest.raises(InputError, match=f"seed={seed} must lie between 0 and 4294967295"):
        random_key(seed)


@pytest.mark.parametrize("n", [1, 2, 3, 23, 1000, 4097])
def test_a_shuffle_is_a_permutation(n):
    np.testing.assert_array_equal(np.sort(shuffle(jnp.arange(n), n, *WORDS)), np.arange(n))


def test_a_part_of_a_large_shuffle_is_had_alone():
    n = 2**31 - 1
    found = np.asarray(shuffle(jnp.array([0, 1, n - 1]), n, *WORDS))
    assert len(set(found)) == 3 and found.min() >= 0 and found.max() < n


def test_all_permutations_are_as_likely():
    n, keys = 4, 24_000
    first = jnp.arange(keys, dtype=jnp.uint32)[:, None]
    found = np.asarray(jax.jit(lambda f: shuffle(jnp.arange(n)[None], n, f, WORDS[1]))(first))  # [keys,n]
    counts = {p: 0 for p in itertools.permutations(range(n))}
    for row in found.tolist():
        counts[tuple(row)] += 1
    expected = keys / math.factorial(n)
    chi_square = sum((c - expected) ** 2 / expected for c in counts.values())
    assert chi_square < 23 + 5 * math.sqrt(2 * 23)  # 23 degrees of freedom, five standard deviations


def test_neighbours_go_their_own_ways():
    n = 100_000
    found = np.asarray(shuffle(jnp.arange(n), n, *WORDS)).astype(np.float64)
    for distance in (1, 2, 3, 7, 64):
        r = np.corrcoef(found[:-distance], found[distance:])[0, 1]
        assert abs(r) < 5 / math.sqrt(n), distance
    steps = np.diff(np.sort(found[: n // 100]))  # a hundredth of them lies as evenly as chance has it
    np.testing.assert_allclose([steps.mean(), steps.std()], [100, 100], rtol=0.15)


def test_every_bit_is_fair_and_answers_to_every_bit_of_the_index():
    index = jnp.arange(1 << 16, dtype=jnp.uint32)
    bits = np.unpackbits(np.asarray(mix(index, *WORDS)).view(np.uint8)).reshape(-1, 32)
    np.testing.assert_allclose(bits.mean(0), 0.5, atol=5 * 0.5 / 256)
    for bit in range(16):
        flipped = np.asarray(mix(index ^ jnp.uint32(1 << bit), *WORDS))
        changed = np.unpackbits((flipped ^ np.asarray(mix(index, *WORDS))).view(np.uint8)).reshape(-1, 32)
        np.testing.assert_allclose(changed.mean(0), 0.5, atol=0.08)


def test_words_differ_between_keys():
    keys = jax.random.split(random_key(0), 1000)
    assert len(np.unique(jax.jit(jax.vmap(key_words))(keys), axis=0)) == 1000


@jax.jit
def drawn(key):
    """What a key and those that come of it draw, [10,4096]; and the keys of rows that are folded in, [4096,4]."""
    first, second, third = jax.random.split(key, 3)
    keys = [key, first, second, third, *(jax.random.fold_in(key, i) for i in range(3, 6)), random_key(1)]
    keys.extend(jax.random.split(first, 2))
    of_rows = jax.vmap(lambda i: jax.random.normal(jax.random.fold_in(key, i), (4,)))(jnp.arange(4096))
    return jnp.stack([jax.random.normal(each, (4096,)) for each in keys]), of_rows


def test_draws_are_spread_as_they_should_be():
    n = 200_000
    even, bell = jax.jit(lambda key: (jax.random.uniform(key, (n,)), jax.random.normal(key, (n,))))(random_key(3))
    np.testing.assert_allclose(np.sort(even), (np.arange(n) + 0.5) / n, atol=1.9 / math.sqrt(n))  # Kolmogorov
    moments = [np.mean(np.asarray(bell, np.float64) ** power) for power in (1, 2, 3, 4)]
    spread = np.sqrt(np.array([1, 2, 15, 96]) / n)  # of those means
    np.testing.assert_array_less(np.abs(np.subtract(moments, [0, 1, 0, 3])), 4 * spread)


def test_keys_go_their_own_ways():
    draws, of_rows = (np.asarray(found, np.float64) for found in drawn(random_key(0)))
    np.testing.assert_array_less(np.abs(np.corrcoef(draws) - np.eye(10)), 5 / math.sqrt(4096))
    together = np.concatenate([of_rows[:-1], of_rows[1:]], 1)
    np.testing.assert_array_less(np.abs(np.corrcoef(together.T) - np.eye(8)), 5 / math.sqrt(4096))


def test_a_key_draws_under_vmap_what_it_draws_alone():
    keys = jax.random.split(random_key(2), 5)
    draw = jax.jit(lambda key: jax.random.normal(key, (3, 7)))
    np.testing.assert_array_equal(jax.vmap(draw)(keys), [draw(key) for key in keys])


@pytest.mark.parametrize("width", [8, 16, 32, 64])
def test_bits_of_every_width(width):
    with jax.enable_x64(width == 64):
        draw = jax.jit(lambda key: jax.random.bits(key, (50_000,), f"uint{width}"))
        bits = np.asarray(draw(random_key(0)))
    assert bits.dtype == f"uint{width}"
    np.testing.assert_allclose(np.unpackbits(bits.view(np.uint8)).reshape(-1, width).mean(0), 0.5, atol=0.012)
