"""What may leave a party of a study: kinds of messages as documents, and the check on the way out.

A description is hashed, so that an approval can name it. A node computes it again from its own
program whenever the study is opened, and holds every message against it on the way out.

Formal guarantee: a message passes `check` only if the description of its kind (names, types and
shapes of its arrays; for a secure sum also the scale of the noise that it was made with) hashes to
one of those that were approved. That the values are what the description says of them is the
work of `models.training`, `models.privacy` and `node.work`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from models import documents
from models.errors import RefusedError
from models.governance.step import Hex64
from models.quantities import ClipNorm, NoiseMultiplier, SamplingRate
from models.schema import STRICT

DOCUMENT, OCTETS = "document", "octets"
MOST_OCTETS = 1 << 20
"""The largest document in a message."""

ALWAYS = SamplingRate(1.0)
Values = Mapping[str, npt.NDArray[np.generic] | bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """One array of a message: its name, its type as numpy writes it, and its shape.

    A document is of the type `document`, other bytes (which may be sealed) of the type `octets`;
    the shape is then the most octets it may have.
    """

    __pydantic_config__ = STRICT

    name: str
    dtype: str
    shape: tuple[int, ...]

    @classmethod
    def of(
        cls, name: str, value: npt.NDArray[np.generic] | bytes, *, said: "Form | None" = None
    ) -> "Form":
        """Give the form of a value that is about to leave; `said`: how it is described."""
        if not isinstance(value, bytes):
            return cls(name=name, dtype=value.dtype.str, shape=value.shape)
        if said is not None and said.dtype == OCTETS:
            return cls(name=name, dtype=OCTETS, shape=(max(len(value), *said.shape),))
        return cls(name=name, dtype=DOCUMENT, shape=(max(len(value), MOST_OCTETS),))


@dataclass(frozen=True, slots=True, kw_only=True)
class Noise:
    """What hides a resident in a message.

    Attributes:
        about: what the noise is added to.
        bound: the most (L2) that one resident can add there, all rows together.
        multiplier: standard deviation of the noise that surely remains, over the bound; None
            where there is none.
        sampling: probability with which a resident takes part; 1 is everybody.
        count: how many such noisy sums a message is made of.
    """

    __pydantic_config__ = STRICT

    about: str
    bound: ClipNorm
    multiplier: NoiseMultiplier | None
    sampling: SamplingRate = ALWAYS
    count: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of message.

    Attributes:
        step: the name of its steps, without their number.
        meaning: what it says, for people.
        arrays: all that it holds.
        numbers: how many such steps a run has.
        times: how many such messages, with all repetitions in all runs; None: no fixed number.
        noise: what hides a resident in it; empty where nothing comes from records.
        bits: 2^bits integers of a secure sum stand for the bound of one resident.
        largest: beyond it this department's own value is cut, in integers.
        scale: standard deviation of this department's own noise, in integers.
    """

    __pydantic_config__ = STRICT

    step: str
    meaning: str
    arrays: tuple[Form, ...]
    numbers: int = 1
    times: int | None = None
    noise: tuple[Noise, ...] = ()
    bits: int | None = None
    largest: int | None = None
    scale: int | None = None

    def digest(self) -> str:
        """Give the hash of the description: 64 hex digits."""
        return documents.digest(documents.write(self), domain="leaving-kind")


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaving:
    """All that one party of a study sends in its runs. Whatever is not in it does not leave."""

    __pydantic_config__ = STRICT

    study: Hex64
    kinds: tuple[Kind, ...]

    def find(self, step: str) -> tuple[Kind, ...]:
        """Give the kinds of a step (`train/7`, `evaluate`, `offer`): one, or none.

        The witness has one for each kind of step whose masks it may sum.
        """
        name = step.partition("/")[0]
        return tuple(kind for kind in self.kinds if kind.step == name)

    def digest(self) -> str:
        """Give the hash that an approval names: 64 hex digits over the whole description."""
        return documents.digest(documents.write(self), domain="leaving")

    def hashes(self) -> frozenset[str]:
        """Give the hashes of the kinds."""
        return frozenset(kind.digest() for kind in self.kinds)


def check(
    leaving: Leaving, step: str, values: Values, *, scale: int | None, hashes: frozenset[str]
) -> None:
    """Refuse a message that is not one of the described ones. `hashes`: of the approved kinds.

    Raises:
        RefusedError: its description does not hash to one of them.
    """
    kinds = leaving.find(step)
    if not any(_actual(kind, values, scale=scale).digest() in hashes for kind in kinds):
        raise RefusedError(
            f"a message of the step {step} is not what the approved preview describes",
            hint="It was not sent. Please report it; `datalabbet-node preview STUDY` says more.",
        )


def _actual(kind: Kind, values: Values, *, scale: int | None) -> Kind:
    """Give the description of a message of that kind, from what it holds and was made with."""
    said = {form.name: form for form in kind.arrays}
    held = {name: Form.of(name, value, said=said.get(name)) for name, value in values.items()}
    # A message has no order of its own: the described one, then what is not described.
    names = [form.name for form in kind.arrays if form.name in held]
    names += [name for name in held if name not in names]
    return replace(kind, arrays=tuple(held[name] for name in names), scale=scale)
