import mpmath
import numpy as np
import pytest
from scripted import ScriptedEntropy

from models.errors import AccountingError
from models.privacy import blocks, keystream, sampler
from models.quantities import SamplingRate
from models.randomness import SystemEntropy


class Constant:
    """A broken source: every token is the same."""

    def token(self, size: int) -> bytes:
        return bytes(size)


def test_the_same_entropy_gives_the_same_numbers_and_other_entropy_others() -> None:
    def draw(seed: int) -> list[int]:
        return sampler.discrete_gaussian(
            scale=1000, size=50, entropy=ScriptedEntropy(seed)
        ).tolist()

    assert draw(1) == draw(1)
    assert draw(1) != draw(2)


@pytest.mark.parametrize("size", [0, 1, 1000, 40_000])
def test_what_is_added_in_place_is_what_would_be_drawn(size: int) -> None:
    values = np.arange(size, dtype=np.int64)
    sampler.add_discrete_gaussian(values, scale=1000, entropy=ScriptedEntropy(1))
    drawn = sampler.discrete_gaussian(scale=1000, size=size, entropy=ScriptedEntropy(1))
    assert np.array_equal(values, np.arange(size) + drawn)
    other = sampler.discrete_gaussian(scale=1000, size=size, entropy=ScriptedEntropy(2))
    assert size == 0 or not np.array_equal(drawn, other)


def test_each_call_draws_one_fresh_key() -> None:
    entropy = ScriptedEntropy(1)
    first = sampler.discrete_gaussian(scale=1000, size=200_000, entropy=entropy)
    second = sampler.discrete_gaussian(scale=1000, size=200_000, entropy=entropy)
    assert entropy.tokens == 2
    assert not np.array_equal(first, second)


def test_system_entropy_never_repeats_itself() -> None:
    draws = {
        sampler.discrete_gaussian(scale=2**25, size=8, entropy=SystemEntropy()).tobytes()
        for _ in range(50)
    }
    assert len(draws) == 50


@pytest.mark.parametrize("size", [0, 1, 3, 70_000])
@pytest.mark.parametrize("scale", [1, 2**25])
def test_as_many_numbers_as_asked_for(size: int, scale: int) -> None:
    found = sampler.discrete_gaussian(scale=scale, size=size, entropy=ScriptedEntropy(1))
    assert found.shape == (size,)
    assert found.dtype == np.int64


@pytest.mark.parametrize("scale", [0, -3, 2**25 + 1])
def test_a_scale_outside_the_exact_range_is_refused(scale: int) -> None:
    with pytest.raises(AccountingError, match="outside the range"):
        sampler.discrete_gaussian(scale=scale, size=1, entropy=ScriptedEntropy(1))


def test_words_are_the_keystream_of_aes_256_in_counter_mode() -> None:
    # NIST SP 800-38A has no all-zero vector; this is AES-256 of the zero block under the zero key.
    block = bytes.fromhex("dc95c078a2408989ad48a21492842087")
    assert keystream.Stream(Constant()).octets(16) == block
    words = keystream.Stream(Constant()).words(2)
    assert words.tolist() == [
        int.from_bytes(part, "little") >> 2 for part in (block[:8], block[8:])
    ]


def test_words_on_a_boundary_are_told_apart_exactly() -> None:
    # 62-bit words do not fit into float64: comparing in floating point would merge neighbours.
    stream = keystream.Stream(ScriptedEntropy(1))
    words, q = stream.blocks(parts=3, size=1000)
    assert q == 2**62 // 3
    assert (words < 3 * q).all()
    assert [int(w) // q for w in words] == (words // q).tolist()


@pytest.mark.parametrize(("population", "rate"), [(0, 0.5), (10, 1.0), (0, 1.0), (200_000, 1e-9)])
def test_samples_at_the_edges(population: int, rate: float) -> None:
    found = sampler.poisson_sample(
        population=population, rate=SamplingRate(rate), entropy=ScriptedEntropy(1)
    )
    expected = list(range(population)) if rate == 1.0 else []
    assert found.tolist() == expected
    assert found.dtype == np.int64


def test_samples_rise_and_repeat_nobody() -> None:
    found = sampler.poisson_sample(
        population=150_000, rate=SamplingRate(0.4), entropy=ScriptedEntropy(1)
    )
    assert (np.diff(found) > 0).all()
    assert found[0] >= 0
    assert found[-1] < 150_000
    assert (found > 131_072).any()  # the last block, which is not a full one


def test_a_sampling_threshold_is_never_above_the_rate() -> None:
    for rate in (0.1, 1 / 3, 0.9999999999999999, 5e-324, 2.0**-65):
        threshold = int(sampler._threshold(SamplingRate(rate)))
        numerator, denominator = rate.as_integer_ratio()
        assert threshold * denominator <= numerator * 2**64
        assert (threshold + 1) * denominator > numerator * 2**64


def test_a_table_is_that_of_exact_fractions() -> None:
    for scale in (1, 5, 40, 1000, 2**25):
        found = blocks.table(scale)
        with mpmath.workdps(200):
            weights = [
                mpmath.exp(-(mpmath.mpf(k << found.bits) ** 2) / (2 * mpmath.mpf(scale) ** 2))
                for k in range(len(found.sums) + 1)
            ]
            total, running = mpmath.fsum(weights), mpmath.mpf(0)
            for weight, known in zip(weights, found.sums, strict=False):
                running += weight
                assert abs(running / total - mpmath.ldexp(known, -382)) < mpmath.ldexp(1, -372)


def test_a_number_whose_first_bits_are_an_edge_is_placed_by_the_others() -> None:
    found = blocks.table(1000)
    index = 30
    edge = found.edges[index : index + 1]
    lower = found.sums[index] & (2**320 - 1)

    class Lower:
        def __init__(self, value: int) -> None:
            self.value = value

        def octets(self, size: int) -> bytes:
            return self.value.to_bytes(size, "little")

    assert found.find(Lower(lower), edge).tolist() == [index + 1]
    assert found.find(Lower(lower - 1), edge).tolist() == [index]


def test_a_guide_says_what_a_search_says() -> None:
    for scale in (1, 33, 2**20):
        found = blocks.table(scale)
        words = keystream.Stream(ScriptedEntropy(9)).words(20_000)
        guided = found.guide[words >> 50]
        searched = np.searchsorted(found.edges, words, side="right")
        assert ((guided == searched) | (guided == -1)).all()
        assert (guided == -1).mean() < 0.2


def test_ratios_are_compared_exactly_next_to_the_boundary() -> None:
    stream = keystream.Stream(ScriptedEntropy(10))
    for numerator, parts in ((1, 3), (2**50 + 1, 2**51 - 1), (12345, 99991)):
        boundary = (numerator << 62) // parts
        words = np.array([boundary - 1, boundary + 1])
        told = keystream.below_ratio(stream, words, np.full(2, numerator), parts=parts)
        assert told.tolist() == [True, False]
        on_it = np.full(4000, boundary)
        told = keystream.below_ratio(stream, on_it, np.full(4000, numerator), parts=parts)
        share = (numerator << 62) % parts / parts  # of the numbers that begin like this
        assert abs(told.mean() - share) < 5 * np.sqrt(0.25 / 4000)
