"""Who is speaking: the identity that a certificate carries."""

import enum
import re
from dataclasses import dataclass

from models.errors import ProtocolViolationError

_URI = re.compile(r"spiffe://datalabbet/(department|central|analyst)/([a-z][a-z0-9-]{1,62})")


class Role(enum.StrEnum):
    """What an enrolled certificate may be used for."""

    DEPARTMENT = "department"
    CENTRAL = "central"
    ANALYST = "analyst"


@dataclass(frozen=True, slots=True, order=True)
class Principal:
    """A department, or a person with a role."""

    role: Role
    name: str

    @property
    def uri(self) -> str:
        """Give the SPIFFE id in the certificate's subject alternative name."""
        return f"spiffe://datalabbet/{self.role.value}/{self.name}"


def parse(uri: str) -> Principal:
    """Give the principal that a SPIFFE id names.

    Raises:
        ProtocolViolationError: it is not an identity of this federation.
    """
    match = _URI.fullmatch(uri)
    if match is None:
        raise ProtocolViolationError("the certificate does not name a member of the federation")
    return Principal(Role(match[1]), match[2])
