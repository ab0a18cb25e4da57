"""What departments tell the servers of their registers, past the coordinator; the comparison."""

import struct
from collections.abc import Mapping
from dataclasses import dataclass

from models.errors import ProtocolViolationError, RefusedError
from models.governance.linked import LinkedStudy

_FORM = struct.Struct(">Q32s")


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """A register as a department says it has it: how many residents, and the keyed digest (hex)."""

    residents: int
    digest: str

    def written(self) -> bytes:
        """Give the octets that are sealed for a server."""
        return _FORM.pack(self.residents, bytes.fromhex(self.digest))

    @classmethod
    def read(cls, octets: bytes, *, sender: str) -> "Snapshot":
        """Give what a department's box says.

        Raises:
            ProtocolViolationError: it says something else.
        """
        if len(octets) != _FORM.size:
            raise ProtocolViolationError(f"the box of {sender} does not describe a register")
        residents, digest = _FORM.unpack(octets)
        return cls(residents=residents, digest=digest.hex())


def same(study: LinkedStudy, said: Mapping[str, Snapshot]) -> int:
    """Give how many residents the register has by what all departments say.

    Raises:
        RefusedError: they say different things; the text names them, with the lengths. Or the
            register has more residents than the study says.
    """
    groups: dict[Snapshot, list[str]] = {}
    for name in study.departments:
        groups.setdefault(said[name], []).append(name)
    if len(groups) > 1:
        texts = (f"{', '.join(names)}: {item.residents:,}" for item, names in groups.items())
        raise RefusedError(
            f"the departments' registers of {study.register.date} differ (residents of "
            f"{'; '.join(texts)})",
            hint="Each must load the same snapshot, whole and unchanged. Start a new run then.",
        )
    (found,) = groups
    within(study, found.residents)
    return found.residents


def within(study: LinkedStudy, residents: int) -> None:
    """Refuse a register that is larger than the study says, or empty.

    Raises:
        RefusedError: it is.
    """
    if not 1 <= residents <= study.register.residents:
        raise RefusedError(
            f"the register of {study.register.date} has {residents:,} residents, and the study "
            f"says at most {study.register.residents:,}",
            hint="The study must be proposed anew with a larger `register.residents`.",
        )
