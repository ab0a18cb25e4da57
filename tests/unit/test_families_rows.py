"""What a resident contributes does not depend on who else is there, to the last bit.

Otherwise one resident more or less would move the contributions of others too, and a sum could
move by more than the sensitivity that is paid for. The weights here are what a hostile
coordinator would send: their terms cancel, so that the order of a sum decides its outcome.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import pytest

from models.evaluation import histograms
from models.families import chunks
from models.families.chunks import Carry, Chunk, pieces
from models.families.descent import Descent, Settings
from models.families.network import NetworkSpec, probabilities, shapes
from models.families.rows import affine, slopes
from models.privacy.mechanisms import BoundedSum, to_units
from models.quantities import ClipNorm, NoiseMultiplier
from tests.support.scripted import ScriptedEntropy

Arrays = dict[str, npt.NDArray[np.float32]]
Doubles = npt.NDArray[np.float64]

SPECS = [
    NetworkSpec(inputs=30, hidden=(), classes=2),
    NetworkSpec(inputs=100, hidden=(), classes=5),
    NetworkSpec(inputs=30, hidden=(16, 8), classes=2),
    NetworkSpec(inputs=30, hidden=(16,), classes=3),
]
COUNTS = [1, 3, 1, 40, 2, 1, 1, 9, 1, 5, 1, 1, 2]
SETTINGS = Settings(bound=ClipNorm(0.3), noise=NoiseMultiplier(1.5), learning_rate=0.5)


def cancelling(shape: tuple[int, ...], seed: int) -> npt.NDArray[np.float32]:
    generator = np.random.default_rng(seed)
    sizes = 10.0 ** generator.integers(-8, 8, size=shape)
    return (generator.normal(size=shape) * sizes).astype(np.float32)


def hostile(spec: NetworkSpec) -> Arrays:
    return {
        name: cancelling(shape, seed) for seed, (name, shape) in enumerate(shapes(spec).items())
    }


def sample(spec: NetworkSpec) -> Chunk:
    generator = np.random.default_rng(5)
    owners = np.repeat(np.arange(len(COUNTS)), COUNTS)
    return Chunk(
        inputs=generator.uniform(-1, 1, size=(len(owners), spec.inputs)).astype(np.float32),
        outcomes=generator.integers(0, spec.classes, size=len(owners)),
        owners=owners,
        shares=1.0 / np.array(COUNTS, dtype=np.float64)[owners],
        complete=True,
    )


def only(whole: Chunk, residents: Sequence[int], *, width: int) -> Iterator[Chunk]:
    """Give the rows of some residents, in pieces as the node's work cuts them."""
    mine = np.isin(whole.owners, residents)
    owners = np.unique(whole.owners[mine], return_inverse=True)[1]
    for piece, complete in pieces(owners, width=width):
        yield Chunk(
            inputs=whole.inputs[mine][piece],
            outcomes=whole.outcomes[mine][piece],
            owners=owners[piece] - owners[piece.start],
            shares=whole.shares[mine][piece],
            complete=complete,
        )


def contributed(
    spec: NetworkSpec, whole: Chunk, residents: Sequence[int], monkeypatch: pytest.MonkeyPatch
) -> Doubles:
    """Give what each of the residents adds to the sum of a training step, after clipping."""
    added: list[Doubles] = []
    with monkeypatch.context() as patch:
        patch.setattr(
            BoundedSum,
            "add",
            lambda self, rows: added.append(to_units(rows, bound=ClipNorm(0.3), bits=24)),
        )
        descent = Descent(spec, hostile(spec), settings=SETTINGS, entropy=ScriptedEntropy(1))
        descent.step(only(whole, residents, width=7), divisor=1.0)
    return np.concatenate(added)


@pytest.mark.parametrize("numbers", [1 << 22, 70])
@pytest.mark.parametrize("spec", SPECS)
def test_a_resident_trains_alike_in_any_company(
    spec: NetworkSpec, numbers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chunks, "_NUMBERS", numbers)
    whole = sample(spec)
    everybody = range(len(COUNTS))
    together = contributed(spec, whole, everybody, monkeypatch)
    assert len(together) == len(COUNTS)
    for without in everybody:
        rest = [resident for resident in everybody if resident != without]
        np.testing.assert_array_equal(
            contributed(spec, whole, rest, monkeypatch), together[rest], strict=True
        )
        alone = contributed(spec, whole, [without], monkeypatch)
        np.testing.assert_array_equal(alone, together[[without]], strict=True)


@pytest.mark.parametrize("numbers", [1 << 22, 70])
@pytest.mark.parametrize("spec", SPECS)
def test_a_resident_is_evaluated_alike_in_any_company(
    spec: NetworkSpec, numbers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chunks, "_NUMBERS", numbers)
    whole, parameters = sample(spec), hostile(spec)
    # Every term has its opposite: what is left of the first layer is how its sum was rounded.
    half = spec.inputs // 2
    whole.inputs[:, half:] = whole.inputs[:, half - 1 :: -1]
    weight = np.random.default_rng(8).normal(size=(len(parameters["0.weight"]), half)) * 1e17
    parameters["0.weight"] = np.hstack([weight, -weight[:, ::-1]]).astype(np.float32)

    def counted(residents: Sequence[int]) -> Doubles:
        carry, found = Carry(), []
        for chunk in only(whole, residents, width=7):
            scores = probabilities(parameters, chunk.inputs)
            sums = histograms.contributions(scores, chunk=chunk)
            found.append(carry.whole(sums, complete=chunk.complete))
        return np.concatenate(found)

    everybody = range(len(COUNTS))
    together = counted(everybody)
    for without in everybody:
        rest = [resident for resident in everybody if resident != without]
        np.testing.assert_array_equal(counted(rest), together[rest], strict=True)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("inner", "outer"), [(1, 1), (13, 1), (100, 5), (64, 64), (600, 3)])
def test_a_row_of_a_product_is_the_same_among_any_number_of_rows(
    inner: int, outer: int, dtype: type[np.float32]
) -> None:
    weight = cancelling((outer, inner), 1).astype(dtype)
    bias = cancelling((outer,), 2).astype(dtype)
    x = np.random.default_rng(3).normal(size=(1100, inner)).astype(dtype)
    whole = affine(x, weight, bias)
    assert whole.dtype == dtype
    for rows in (1, 2, 3, 5, 7, 8, 15, 17, 31, 33, 64, 100, 513, 1099):
        for part in (slice(rows), slice(1100 - rows, None)):
            np.testing.assert_array_equal(affine(x[part].copy(), weight, bias), whole[part])


def test_a_product_is_the_product() -> None:
    generator = np.random.default_rng(4)
    x, weight, bias = (generator.normal(size=size) for size in ((50, 9), (4, 9), 4))
    np.testing.assert_allclose(affine(x, weight, bias), x @ weight.T + bias, rtol=1e-12)
    assert affine(x[:0], weight, bias).shape == (0, 4)


@pytest.mark.parametrize("outputs", [1, 2, 3, 9, 300])
def test_a_row_of_slopes_is_the_same_among_any_number_of_rows(outputs: int) -> None:
    scores = np.random.default_rng(6).normal(size=(70, outputs)) * 5
    truths = np.arange(70) % max(2, outputs)
    whole = slopes(scores, truths)
    for row in range(70):
        alone = slopes(scores[row : row + 1].copy(), truths[row : row + 1])
        np.testing.assert_array_equal(alone[0], whole[row])


@pytest.mark.parametrize("width", [1, 2, 5, 300])
def test_the_integers_of_a_row_are_the_same_among_any_number_of_rows(width: int) -> None:
    contributions = np.random.default_rng(7).normal(size=(70, width)).astype(np.float32)
    whole = to_units(contributions, bound=ClipNorm(0.7), bits=24)
    for row in range(70):
        alone = to_units(contributions[row : row + 1].copy(), bound=ClipNorm(0.7), bits=24)
        np.testing.assert_array_equal(alone[0], whole[row])
