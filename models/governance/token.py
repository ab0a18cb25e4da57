"""The text that a person carries from the coordinator to an applicant: one token, used once.

It holds a secret, which proves that the applicant was invited, and the coordinator's authority,
by which the applicant knows the coordinator before it sends the secret. It says nothing about
who is invited: the coordinator knows that.
"""

import base64
import json
from dataclasses import dataclass, field
from typing import Annotated

from pydantic import ConfigDict, Field

from models import documents
from models.errors import UsageError

_PREFIX = "dlb1."
_PEM = r"^-----BEGIN CERTIFICATE-----\n[A-Za-z0-9+/=\n]{1,8000}\n-----END CERTIFICATE-----\n$"


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrolmentToken:
    """A secret (base64url of 32 bytes) and the authority's certificate (PEM).

    >>> EnrolmentToken(secret="s" * 43, authority_pem="…")
    EnrolmentToken(authority_pem='…')
    """

    secret: str = field(repr=False)
    authority_pem: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Content:
    __pydantic_config__ = ConfigDict(extra="forbid")

    secret: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{43}$")]
    authority: Annotated[str, Field(pattern=_PEM)]


def make(token: EnrolmentToken) -> str:
    """Give the token as one line of text without spaces."""
    content = json.dumps({"secret": token.secret, "authority": token.authority_pem})
    return _PREFIX + base64.urlsafe_b64encode(content.encode()).decode().rstrip("=")


def parse(text: str) -> EnrolmentToken:
    """Give the token that `text` is; white space around and inside it (a line break) is ignored.

    Raises:
        UsageError: it is not a token, or not a whole one. The text is not repeated.
    """
    line = "".join(text.split())
    body = line.removeprefix(_PREFIX) if line.startswith(_PREFIX) else ""
    padded = body + "=" * (-len(body) % 4)
    try:
        content = base64.b64decode(padded.encode("ascii"), altchars=b"-_", validate=True)
        found = documents.read(_Content, json.loads(content), what="the token")
    except (ValueError, RecursionError, UsageError):
        raise UsageError(
            "this is not a whole enrolment token",
            hint="Copy the whole line that the coordinator's operator was given.",
        ) from None
    return EnrolmentToken(secret=found.secret, authority_pem=found.authority)
