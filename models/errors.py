"""The errors of Datalabbet, named for whoever must act on them.

Every message is safe to show and to log: it names the file, column, row, study or
department concerned and never quotes a value of a record. Each class carries a stable
`code` (documented in `docs/reference/errors.md`) and the exit code of the commands.
"""

from dataclasses import dataclass
from typing import ClassVar


class DatalabbetError(Exception):
    """Base of every error that is meant to be read by a person."""

    code: ClassVar[str] = "INTERNAL"
    exit_code: ClassVar[int] = 5

    def __init__(self, message: str, *, hint: str = "") -> None:
        """Keep what happened (`message`) and what to do about it (`hint`)."""
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(DatalabbetError):
    """The person at the keyboard must change what they asked for."""

    code = "USAGE"
    exit_code = 4


class NotFoundError(UsageError):
    """What was asked for does not exist."""

    code = "NOT_FOUND"


class ConfigurationError(DatalabbetError):
    """The operator must change a setting, a file or a permission."""

    code = "CONFIGURATION"
    exit_code = 4


class ConnectionFailedError(DatalabbetError):
    """The network, a certificate or a credential stood in the way."""

    code = "CONNECTION"
    exit_code = 2


class UnauthenticatedError(ConnectionFailedError):
    """A certificate or token is missing, wrong, used, expired or revoked."""

    code = "UNAUTHENTICATED"


class NotAllowedError(ConnectionFailedError):
    """The certificate is good, but its role may not do this."""

    code = "NOT_ALLOWED"


class DeadlineError(DatalabbetError):
    """The answer did not come in time; asking again is safe."""

    code = "DEADLINE"
    exit_code = 3


class RefusedError(DatalabbetError):
    """A rule says no: an approval, a policy, a role or a minimum is missing."""

    code = "REFUSED"
    exit_code = 1


class AlreadyExistsError(RefusedError):
    """Something else has that name already."""

    code = "ALREADY_EXISTS"


class BudgetExhaustedError(RefusedError):
    """The privacy budget of the study does not allow this step any more."""

    code = "BUDGET_EXHAUSTED"


class ContextUsedError(RefusedError):
    """This attempt at a step of a secure sum was answered before; a new attempt is needed."""

    code = "CONTEXT_USED"


class NotJoinedError(RefusedError):
    """The node has no keys for this run (any more); the run must agree on keys first."""

    code = "NOT_JOINED"


class RunFailedError(DatalabbetError):
    """The run ended without a result."""

    code = "RUN_FAILED"
    exit_code = 1


class ProtocolViolationError(DatalabbetError):
    """A peer sent something that the protocol forbids; the message was dropped."""

    code = "PROTOCOL_VIOLATION"
    exit_code = 5


class StorageError(DatalabbetError):
    """A disk or database did not take what was written; nothing was changed."""

    code = "STORAGE"
    exit_code = 1


class AccountingError(DatalabbetError):
    """A privacy cost could not be computed; nothing may run on it."""

    code = "ACCOUNTING"
    exit_code = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldProblem:
    """One thing wrong in a document: where (`field`, a dotted path) and what."""

    field: str
    problem: str

    def __str__(self) -> str:
        """Give `field: problem`."""
        return f"{self.field}: {self.problem}"


class InvalidDocumentError(UsageError):
    """A study, declaration or message does not keep its format."""

    code = "INVALID_DOCUMENT"

    def __init__(self, what: str, problems: tuple[FieldProblem, ...], *, hint: str = "") -> None:
        """Name the document (`what`) and every problem found in it."""
        lines = "\n".join(f"  - {problem}" for problem in problems)
        super().__init__(f"{what} is not valid:\n{lines}", hint=hint)
        self.what = what
        self.problems = problems


class DataContractError(DatalabbetError):
    """The records do not keep what the dataset's declaration promises."""

    code = "DATA_CONTRACT"
    exit_code = 1
