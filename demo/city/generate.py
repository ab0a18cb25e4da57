"""Making a city on disk: block by block, whole or not at all."""

import json
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Final

from demo.city import folders, overlaps
from demo.city.delivery.delivery import Delivery, Profile
from demo.city.findings.findings import Estimate, alone, joined
from demo.city.findings.regression import NoFitError
from demo.city.numbers import Numbers
from demo.city.settings import MUNICIPALITIES, Effects, Settings
from demo.city.simulate import City, simulate
from demo.city.tables.columns import Identities, identify
from demo.city.tables.tables import written
from demo.city.truth import DECIMALS, TruthFile, latent
from models.errors import UsageError

FEWEST_RESIDENTS: Final = 1_000
"""Below this some tables would be empty."""
LARGEST_MULTIPLIER: Final = 1_000
"""Beyond it every probability that an effect touches is 0 or 1 anyway."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What to make, and where.

    `scale` blocks of `residents` each make up the city; `out` is the folder of the data and
    `truth` the file that says what was planted.
    """

    seed: int
    residents: int
    profile: Profile
    out: Path
    truth: Path
    effects: Effects = field(default=Effects())
    municipality: str = "A"
    scale: int = 1

    def settings(self) -> Settings:
        """Give the settings of the first block."""
        return Settings(
            seed=self.seed,
            residents=self.residents,
            municipality=MUNICIPALITIES[self.municipality],
            effects=self.effects,
        )

    def arguments(self) -> dict[str, object]:
        """Give what decides over the bytes that come out, for the truth file."""
        return {
            "seed": self.seed,
            "residents": self.residents,
            "profile": self.profile.value,
            "municipality": self.municipality,
            "scale": self.scale,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """What was made: rows by table as they were before any dirt, and planted defects."""

    rows: dict[str, int]
    defects: int


def generate(order: Order, *, tell: Callable[[str], None]) -> Made:
    """Make the city's folders and its truth file, telling each step as it begins.

    Equal orders give equal bytes, wherever they are put.

    Raises:
        UsageError: the size or a place is refused, or demo numbers have run out.
        StorageError: the disk did not take something.
    """
    _check(order)
    folders.check(out=order.out, truth=order.truth)
    with folders.unfinished(out=order.out, truth=order.truth) as (parts, draft):
        return _make(order, parts, draft, tell=tell)


def read_effects(file: Path) -> Effects:
    """Read the multipliers of the planted effects: a JSON object such as {"j1": 0}.

    What is left out is 1, as specified.

    Raises:
        UsageError: names the file and the key that is wrong.
    """
    hint = 'Write a JSON object such as {"j1": 1, "j2": 0}.'
    try:
        said = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}") from None
    except ValueError:  # not JSON, or not UTF-8
        raise UsageError(f"{file} is not JSON", hint=hint) from None
    if not isinstance(said, dict):
        raise UsageError(f"{file} is not a JSON object", hint=hint)
    known = [effect.name for effect in fields(Effects)]
    for name, value in said.items():
        if name not in known:
            raise UsageError(f"{file}: there is no effect {name}", hint=f"Known: {known}.")
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise UsageError(f"{file}: {name} is not a number", hint=hint)
        if not abs(value) <= LARGEST_MULTIPLIER:  # not a number is not <= anything
            raise UsageError(
                f"{file}: {name} is not a finite number of at most {LARGEST_MULTIPLIER}", hint=hint
            )
    return Effects(**{name: float(value) for name, value in said.items()})


def _check(order: Order) -> None:
    if order.residents < FEWEST_RESIDENTS:
        raise UsageError(
            f"a city of {order.residents} residents is too small to be told apart from its noise",
            hint=f"Give --residents {FEWEST_RESIDENTS} or more.",
        )
    if order.scale < 1:
        raise UsageError(f"--scale is {order.scale}", hint="Give 1 or more.")
    if order.seed < 0:
        raise UsageError(f"--seed is {order.seed}", hint="Give 0 or more.")


def _make(order: Order, parts: Path, draft: Path, *, tell: Callable[[str], None]) -> Made:
    first = order.settings()
    numbers = Numbers(generator=first.generator("ids"), municipality=order.municipality)
    delivery = Delivery(parts, profile=order.profile, settings=first)
    truth = TruthFile(draft, {"arguments": order.arguments(), "effects": asdict(order.effects)})
    rows: Counter[str] = Counter()
    shared: Counter[str] = Counter()
    known: dict[str, object] = {}
    defects = 0
    with closing(truth):
        with closing(delivery):
            for block in range(order.scale):
                tell(f"Block {block + 1} of {order.scale}: simulating {first.municipality.name}")
                city = simulate(replace(first, block=block))
                identities = identify(city, numbers)
                tell(f"Block {block + 1} of {order.scale}: writing the departments' files")
                tables = written(city, identities)
                found = delivery.add(tables)
                truth.defects(found)
                defects += len(found)
                rows.update({name: len(table) for name, table in tables.items()})
                shared.update(overlaps.count(city, identities, tables))
                if block == 0:
                    known = _of_first_block(city, identities)
        truth.finish({"rows": dict(rows), "overlaps": dict(shared), **known})
    return Made(rows=dict(rows), defects=defects)


def _of_first_block(city: City, identities: Identities) -> dict[str, object]:
    """Give what the truth file says of the first block only: estimates and latent tables."""
    return {
        "estimates": {"joined": _estimates(joined, city), "alone": _estimates(alone, city)},
        "latent": latent(city, identities),
    }


def _estimates(
    find: Callable[[City], tuple[Estimate, ...]], city: City
) -> list[dict[str, object]] | None:
    """Give the estimates; None for a city too small to determine them."""
    try:
        return [_rounded(estimate) for estimate in find(city)]
    except NoFitError:
        return None


def _rounded(estimate: Estimate) -> dict[str, object]:
    """Give an estimate without its last digits: those depend on how many threads summed up."""
    return {
        name: round(value, DECIMALS) if isinstance(value, float) else value
        for name, value in asdict(estimate).items()
    }
