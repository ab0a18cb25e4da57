"""The documents of a run of a linked study (`protos.linked` names the messages they travel in).

Boxes are sealed for one member (`models.replicated.sealing`); the coordinator, which carries them,
cannot read them. Octets are written as base64.
"""

from dataclasses import dataclass, field
from typing import Annotated

from pydantic import Field

from models.governance.step import Hex64
from models.schema import STRICT, Slug

Octets = Annotated[str, Field(pattern=r"^[A-Za-z0-9+/]*={0,2}$", max_length=4096)]
Residents = Annotated[int, Field(strict=True, ge=1, le=20_000_000)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """Sealed octets, and whom they are for."""

    __pydantic_config__ = STRICT

    to: Slug
    data: Octets = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mix:
    """A department's part of the departments' common secret, sealed for each of the others."""

    __pydantic_config__ = STRICT

    boxes: Annotated[tuple[Box, ...], Field(min_length=1, max_length=50)]


@dataclass(frozen=True, slots=True, kw_only=True)
class From:
    """One member's boxes for another."""

    __pydantic_config__ = STRICT

    sender: Slug
    box: Box


@dataclass(frozen=True, slots=True, kw_only=True)
class Mixes:
    """The parts of all other departments, for one department."""

    __pydantic_config__ = STRICT

    parts: Annotated[tuple[From, ...], Field(min_length=1, max_length=50)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Spine:
    """A department's spine: how many residents, and a digest under the departments' secret.

    `boxes` say the same to servers 1 and 2, so that these need not take it from the coordinator.
    """

    __pydantic_config__ = STRICT

    residents: Residents
    digest: Hex64
    boxes: Annotated[tuple[Box, ...], Field(min_length=2, max_length=2)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Seeds:
    """A department's seeds of shares 0 and 1 for the coordinator, and boxes for servers 1 and 2.

    Each box holds the seed of the share that its server has beside share 2, and the key that the
    bodies (share 2) are sealed under.
    """

    __pydantic_config__ = STRICT

    first: Octets = field(repr=False)
    second: Octets = field(repr=False)
    boxes: Annotated[tuple[Box, ...], Field(min_length=2, max_length=2)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Begin:
    """What a server begins with: every department's boxes for it, and a seed of the coordinator."""

    __pydantic_config__ = STRICT

    spines: Annotated[tuple[From, ...], Field(min_length=2, max_length=50)]
    seeds: Annotated[tuple[From, ...], Field(min_length=2, max_length=50)]
    pair: Octets = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """How many residents the spine has, as a server found all departments to say."""

    __pydantic_config__ = STRICT

    residents: Residents


@dataclass(frozen=True, slots=True, kw_only=True)
class Erased:
    """A server's statement that the shares of a run are gone, with how many chunks it had."""

    __pydantic_config__ = STRICT

    chunks: Annotated[int, Field(strict=True, ge=0)]
