import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jvae.runtime.hashing import key_words, mix, shuffle

WORDS = jnp.array([123456789, 987654321], jnp.uint32)


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
    keys = jax.random.split(jax.random.key(0, impl="rbg"), 1000)
    assert len(np.unique(jax.jit(jax.vmap(key_words))(keys), axis=0)) == 1000
