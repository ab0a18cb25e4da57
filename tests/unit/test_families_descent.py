"""The fast path against a slow one, and what its randomness may depend on."""

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import opacus.optimizers.optimizer as opacus_optimizer
import pytest
import torch

from models.families import chunks
from models.families.chunks import Carry, Chunk, pieces
from models.families.descent import Descent, Settings
from models.families.network import NetworkSpec, shapes
from models.families.neural import build
from models.privacy.mechanisms import noisy_sum
from models.quantities import ClipNorm, NoiseMultiplier
from tests.support.losses import row_losses
from tests.support.scripted import ScriptedEntropy

Arrays = dict[str, npt.NDArray[np.float32]]

SPECS = [
    NetworkSpec(inputs=4, hidden=(), classes=2),
    NetworkSpec(inputs=4, hidden=(), classes=3),
    NetworkSpec(inputs=4, hidden=(5, 3), classes=2),
    NetworkSpec(inputs=4, hidden=(5,), classes=3),
]
PRIVATE = Settings(bound=ClipNorm(0.3), noise=NoiseMultiplier(1.5), learning_rate=0.5)
PLAIN = Settings(bound=ClipNorm(0.3), noise=None, learning_rate=0.5)


def parameters_of(spec: NetworkSpec, seed: int = 0) -> Arrays:
    generator = np.random.default_rng(seed)
    return {
        name: generator.normal(size=shape).astype(np.float32)
        for name, shape in shapes(spec).items()
    }


def sample(spec: NetworkSpec, counts: Sequence[int], *, seed: int = 1) -> Chunk:
    """Give residents with so many rows each."""
    generator = np.random.default_rng(seed)
    owners = np.repeat(np.arange(len(counts)), counts)
    return Chunk(
        inputs=generator.normal(size=(len(owners), spec.inputs)).astype(np.float32),
        outcomes=generator.integers(0, spec.classes, size=len(owners)),
        owners=owners,
        shares=1.0 / np.array(counts, dtype=np.float64)[owners],
        complete=True,
    )


def cut(whole: Chunk, *, width: int) -> Iterator[Chunk]:
    for piece, complete in pieces(whole.owners, width=width):
        yield Chunk(
            inputs=whole.inputs[piece],
            outcomes=whole.outcomes[piece],
            owners=whole.owners[piece] - whole.owners[piece.start],
            shares=whole.shares[piece],
            complete=complete,
        )


def one_step(spec: NetworkSpec, taken: Sequence[Chunk], settings: Settings) -> Arrays:
    descent = Descent(spec, parameters_of(spec), settings=settings, entropy=ScriptedEntropy(7))
    descent.step(taken, divisor=3.0)
    return descent.parameters()


def contributions(spec: NetworkSpec, start: Arrays, whole: Chunk) -> npt.NDArray[np.float64]:
    """The slow way: one resident after the other, the gradient of the mean loss of its rows."""
    module = build(spec)
    module.load_state_dict({name: torch.tensor(array) for name, array in start.items()})
    result = []
    for resident in range(whole.residents):
        mine = whole.owners == resident
        module.zero_grad()
        outputs = module(torch.tensor(whole.inputs[mine]))
        row_losses(outputs, whole.outcomes[mine]).mean().backward()
        result.append(
            np.concatenate([p.grad.numpy().ravel().astype(np.float64) for p in module.parameters()])
        )
    return np.array(result)


def oracle_step(spec: NetworkSpec, whole: Chunk, settings: Settings) -> Arrays:
    start = parameters_of(spec)
    total = noisy_sum(
        contributions(spec, start, whole),
        bound=settings.bound,
        noise=settings.noise,
        entropy=ScriptedEntropy(7),
    )
    result, at = {}, 0
    for name, array in start.items():
        part = total[at : at + array.size].reshape(array.shape)
        result[name] = (array - settings.learning_rate * part / 3.0).astype(np.float32)
        at += array.size
    return result


def assert_close(one: Arrays, other: Arrays, *, atol: float = 2e-6) -> None:
    assert list(one) == list(other)
    for name, array in one.items():
        np.testing.assert_allclose(array, other[name], rtol=0, atol=atol, err_msg=name)


@pytest.mark.parametrize("settings", [PRIVATE, PLAIN], ids=["private", "public"])
@pytest.mark.parametrize("spec", SPECS)
@pytest.mark.parametrize("counts", [[1], [1] * 20, [3, 1, 9, 2, 1, 30]])
def test_one_pass_over_rows_equals_a_loop_over_residents(
    spec: NetworkSpec, counts: list[int], settings: Settings
) -> None:
    whole = sample(spec, counts)
    assert_close(one_step(spec, [whole], settings), oracle_step(spec, whole, settings))


def test_the_oracle_tells_a_clip_per_row_from_a_clip_per_resident() -> None:
    spec = SPECS[0]
    whole = sample(spec, [3, 1, 9, 2, 1, 30])
    rows = Chunk(
        inputs=whole.inputs,
        outcomes=whole.outcomes,
        owners=np.arange(len(whole.owners)),
        shares=np.ones(len(whole.owners)),
        complete=True,
    )
    with pytest.raises(AssertionError):
        assert_close(one_step(spec, [rows], PRIVATE), oracle_step(spec, whole, PRIVATE))


@pytest.mark.parametrize("width", [1, 7, 20, 1000])
@pytest.mark.parametrize("spec", SPECS[1:3])
def test_small_pieces_give_what_one_piece_gives(
    spec: NetworkSpec, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chunks, "_NUMBERS", 20)
    whole = sample(spec, [3, 1, 9, 2, 1, 30])
    parts = list(cut(whole, width=width))
    assert (len(parts) > 1) == (width > 0)
    assert_close(one_step(spec, parts, PRIVATE), one_step(spec, [whole], PRIVATE))


def test_a_resident_may_span_many_pieces() -> None:
    carry, out = Carry(), []
    parts = [([[1.0], [2.0]], False), ([[3.0]], False), ([[4.0], [5.0]], True), ([[6.0]], True)]
    for sums, complete in parts:
        out += carry.whole(np.array(sums), complete=complete).ravel().tolist()
    assert out == [1, 2 + 3 + 4, 5, 6]


def test_an_empty_sample_makes_a_step_of_noise_alone() -> None:
    spec = SPECS[0]
    got = one_step(spec, [], PRIVATE)
    noise = noisy_sum(
        np.zeros((0, 5)), bound=ClipNorm(0.3), noise=PRIVATE.noise, entropy=ScriptedEntropy(7)
    )
    start = parameters_of(spec)
    expected = start["0.weight"][0] - 0.5 * noise[:4] / 3.0
    np.testing.assert_allclose(got["0.weight"][0], expected, atol=1e-6)
    assert_close(one_step(spec, [], PLAIN), start, atol=0)


def test_a_gradient_that_is_not_finite_counts_as_zero() -> None:
    spec = SPECS[0]
    whole = sample(spec, [1, 1, 1])
    whole.inputs[1] = np.inf
    got = one_step(spec, [whole], PRIVATE)
    keep = np.array([0, 2])
    rest = Chunk(
        inputs=whole.inputs[keep],
        outcomes=whole.outcomes[keep],
        owners=np.arange(2),
        shares=np.ones(2),
        complete=True,
    )
    assert_close(got, one_step(spec, [rest], PRIVATE))


@pytest.mark.parametrize("settings", [PRIVATE, PLAIN], ids=["private", "public"])
def test_fedprox_draws_each_step_towards_the_start(settings: Settings) -> None:
    spec = SPECS[3]
    whole = sample(spec, [2, 1, 4])
    proximal = Settings(
        bound=settings.bound, noise=settings.noise, learning_rate=0.5, proximal=0.25
    )
    near = Descent(spec, parameters_of(spec), settings=proximal, entropy=ScriptedEntropy(7))
    near.step([whole], divisor=3.0)
    first = near.parameters()
    # At the start there is nothing to draw back to, so the first step is the plain one.
    assert_close(first, one_step(spec, [whole], settings), atol=1e-7)
    near.step([], divisor=3.0)
    plain = Descent(spec, first, settings=settings, entropy=_after_one(spec, settings))
    plain.step([], divisor=3.0)
    start = parameters_of(spec)
    for name, array in near.parameters().items():
        pulled = plain.parameters()[name] - 0.5 * 0.25 * (first[name] - start[name])
        np.testing.assert_allclose(array, pulled, atol=1e-6)


def _after_one(spec: NetworkSpec, settings: Settings) -> ScriptedEntropy:
    entropy = ScriptedEntropy(7)
    Descent(spec, parameters_of(spec), settings=settings, entropy=entropy).step([], divisor=1.0)
    return entropy


def test_the_result_follows_from_the_entropy_and_from_no_generator_of_torch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def forbidden(*args: object, **kwargs: object) -> None:
        raise AssertionError("a foreign generator was used")

    for name in ("normal", "randn", "rand", "randn_like", "rand_like"):
        monkeypatch.setattr(torch, name, forbidden)
    monkeypatch.setattr(opacus_optimizer, "_generate_noise", forbidden)
    spec = SPECS[2]
    whole = sample(spec, [2, 1, 4])
    results = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        before = torch.get_rng_state()
        results.append(one_step(spec, [whole], PRIVATE))
        assert torch.equal(torch.get_rng_state(), before)
    assert_close(results[0], results[1], atol=0)
    descent = Descent(spec, parameters_of(spec), settings=PRIVATE, entropy=ScriptedEntropy(8))
    descent.step([whole], divisor=3.0)
    assert (descent.parameters()["0.weight"] != results[0]["0.weight"]).all()


def test_every_step_draws_new_noise() -> None:
    spec = SPECS[0]
    descent = Descent(spec, parameters_of(spec), settings=PRIVATE, entropy=ScriptedEntropy(7))
    states = [parameters_of(spec)["0.weight"]]
    for _ in range(3):
        descent.step([], divisor=1.0)
        states.append(descent.parameters()["0.weight"])
    moves = np.diff(np.array(states), axis=0).ravel()
    assert len(np.unique(moves)) == moves.size
