"""`datalabbet ledger city`: what all departments together charged, from their exports, offline."""

import base64
import binascii
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from coordinator.client.options import Output
from coordinator.client.output import Form, Json, Sheet, say, show
from models.errors import RefusedError, UsageError
from models.ledger.city import CityBalance, balances
from models.ledger.entries import ChargeEntry, Closing, fingerprint
from models.ledger.export import claimed_department
from models.quantities import Delta

_KEY_BYTES = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class _Verified:
    """A department's whole ledger, every line of it verified."""

    closing: Closing
    root: str
    charges: tuple[ChargeEntry, ...]


def city(
    *,
    exports: Annotated[
        list[Path], typer.Argument(metavar="EXPORT...", help="A whole export of each department.")
    ],
    keys: Annotated[
        list[str],
        typer.Option(
            "--key",
            metavar="DEPARTMENT=KEY",
            help="A department and its node's key: the fingerprint (64 hex digits), or the "
            "public key in base64. Once for each export.",
        ),
    ],
    delta: Annotated[
        float | None,
        typer.Option("--delta", help="The δ of every ε. Default: the smallest of the exports."),
    ] = None,
    output: Output = Form.TABLE,
) -> None:
    """Add up what all departments charged the resident in the worst case, offline.

    That resident is in every department and every population. A secure sum counts once, whoever
    answered it; noise of a department's own counts in each. Each export is verified first. Exit
    code 1: one is not verified, and nothing is added up.
    """
    known = _fingerprints(keys)
    asked = None if delta is None else _delta(delta)
    ledgers: dict[str, _Verified] = {}
    for path in exports:
        found = _verified(path, known)
        if found.closing.department in ledgers:
            raise UsageError(f"{path} is a second export of {found.closing.department}")
        ledgers[found.closing.department] = found
    if missing := sorted(known.keys() - ledgers.keys()):
        raise UsageError(f"there is a key but no export of {', '.join(missing)}")
    used = asked or min(found.closing.delta for found in ledgers.values())
    result = balances({name: found.charges for name, found in ledgers.items()}, delta=used)
    data: Json = {
        "delta": used.value,
        "ledgers": [_ledger(found) for _, found in sorted(ledgers.items())],
        "balances": [_balance(item) for item in result],
    }
    head = ("what", "departments", "own charges", "secure sums", f"ε at δ {used.value:g}")
    show(output, data=data, text=Sheet(head=head, rows=tuple(map(_row, result))))
    say(
        f"For a resident in every department and population of {', '.join(sorted(ledgers))}. "
        "What a department charged after its export, and what others charged, is not in it."
    )


def _verified(path: Path, known: dict[str, str]) -> _Verified:
    from models.ledger.verification import verify  # noqa: PLC0415 - opens the accountant's libraries

    try:
        content = path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from None
    department = claimed_department(content)
    if department is not None and department not in known:
        raise UsageError(
            f"no key was given for the department {department!r}, which {path} says it is of",
            hint="Give --key DEPARTMENT=FINGERPRINT; `datalabbet-node ledger show` prints it.",
        )
    verdict = verify(content, key=known.get(department or "", ""))
    if verdict.closing is None or verdict.head is None:
        raise RefusedError(
            f"{path} is not verified: {verdict.problem}",
            hint="Nothing was added up. Ask the department for a whole export, and its key.",
        )
    return _Verified(closing=verdict.closing, root=verdict.head.head.root, charges=verdict.charges)


def _fingerprints(keys: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for given in keys:
        department, separator, key = given.partition("=")
        if not separator or department in found:
            raise UsageError("--key is DEPARTMENT=KEY, once for each department")
        found[department] = key if re.fullmatch(r"[0-9a-f]{64}", key) else _of_public_key(key)
    return found


def _of_public_key(key: str) -> str:
    try:
        if len(base64.b64decode(key, validate=True)) == _KEY_BYTES:
            return fingerprint(key)
    except (binascii.Error, ValueError):
        pass
    raise UsageError(
        "--key has neither a fingerprint (64 hexadecimal digits) nor a public key (base64)",
        hint="`datalabbet-node ledger show` prints the fingerprint at the node.",
    )


def _delta(value: float) -> Delta:
    try:
        return Delta(value)
    except ValueError as error:
        raise UsageError(str(error)) from None


def _ledger(found: _Verified) -> Json:
    return {
        "department": found.closing.department,
        "entries": found.closing.size,
        "root": found.root,
        "closed_at": found.closing.at.isoformat().replace("+00:00", "Z"),
    }


def _balance(item: CityBalance) -> Json:
    return {
        "what": item.what,
        "departments": list(item.departments),
        "charges": item.charges,
        "sums": item.sums,
        "epsilon": item.epsilon,
    }


def _row(item: CityBalance) -> tuple[str, ...]:
    spent = "no bound" if item.epsilon is None else f"{item.epsilon:.3f}"
    who = ", ".join(item.departments)
    return (item.what[:12], who, str(item.charges), str(item.sums), spent)
