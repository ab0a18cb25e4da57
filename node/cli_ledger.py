"""`datalabbet-node ledger`: what residents have paid here, as evidence."""

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from models import documents
from models.errors import UsageError
from models.ledger.book import TOTAL
from models.ledger.entries import Balance, SignedHead, fingerprint
from models.ledger.export import last_head
from models.ledger.limits import Limits
from node.config import now
from node.home import Home, open_home
from node.output import Form, Json, Output, ending, pairs, say, show, table
from node.rules import Rules, open_rules

ledger = typer.Typer(help="Show, export and verify what was charged here.", no_args_is_help=True)

_MOST = 1 << 30
Since = Annotated[
    Path | None,
    typer.Option("--since", help="An earlier export (or `show --output json`) of this ledger."),
]


@contextmanager
def _opened(context: typer.Context) -> Iterator[tuple[Home, Rules]]:
    home = open_home(Path(context.obj))
    rules = open_rules(home)
    try:
        yield home, rules
    finally:
        rules.close()


@ledger.command(name="show")
@ending
def show_command(context: typer.Context, *, output: Output = Form.TABLE) -> None:
    """Show what each population paid: in all, per year and per study, and what is left."""
    from models.ledger.spending import balances  # noqa: PLC0415 - opens the accountant's libraries

    with _opened(context) as (home, rules):
        limits = home.limits()
        with rules.journal.database.read() as connection:
            book = rules.journal.book(connection)
            head = rules.journal.head(connection)
            owner = book.owner
            found = balances(book, delta=limits.delta)
        assert owner is not None  # noqa: S101 - every ledger begins with one
        names = {item.study.digest(): item.study.study for item in rules.approvals.all()}
    key = fingerprint(owner.public_key)
    about = [
        ("department", owner.department),
        ("key", key),
        ("entries", str(head.head.size)),
        ("root", head.head.root),
        ("signed at", f"{head.head.at:%Y-%m-%d %H:%M:%S} UTC"),
        ("δ of the limits", f"{limits.delta.value:g}"),
    ]
    rows = [_row(item, limits, names) for item in found]
    headings = ("population", "what", "charges", "ε spent", "limit", "left")
    text = f"{pairs(about)}\n\n{table(headings, rows, empty='Nothing was charged yet.')}"
    data: Json = {
        "department": owner.department,
        "fingerprint": key,
        "head": _head(head),
        "signature": head.signature,
        "delta": limits.delta.value,
        "balances": [_balance(item, limits, names) for item in found],
    }
    show(output, data=data, text=text)


@ledger.command()
@ending
def export(
    context: typer.Context,
    *,
    file: Annotated[Path, typer.Argument(help="The file to write; it must not be there yet.")],
    since: Since = None,
    output: Output = Form.TABLE,
) -> None:
    """Write the whole ledger (or what came after an earlier head) with its signatures."""
    from node.ledger.export import lines  # noqa: PLC0415 - opens the accountant's libraries

    start = None if since is None else _head_of(since)
    with _opened(context) as (home, rules):
        given = lines(
            rules.journal,
            key=rules.keyring.identity(),
            delta=home.limits().delta,
            at=now(),
            since=None if start is None else start.head,
        )
        content = b"".join(line + b"\n" for line in given)
        key = fingerprint(rules.journal.public_key)
    _write(file, content)
    show(
        output,
        data={"file": str(file), "size": len(content), "fingerprint": key},
        text=f"{file} is written. Whoever gets it verifies it with the fingerprint of this node's "
        f"key, which they should have from elsewhere:\n{key}",
    )


@ledger.command()
@ending
def verify(
    *,
    file: Annotated[Path, typer.Argument(help="An export.")],
    key: Annotated[
        str, typer.Option(help="The fingerprint (64 hex digits) of the key of the node.")
    ],
    since: Since = None,
    output: Output = Form.TABLE,
) -> None:
    """Verify an export offline: nothing changed, left out, repeated, moved, cut off or miscounted.

    Exit code 1: something is wrong with it. It needs no node and no home.
    """
    from models.ledger.verification import verify as verified  # noqa: PLC0415 - the accountant

    if re.fullmatch(r"[0-9a-f]{64}", key) is None:
        raise UsageError(
            "--key is not a fingerprint: 64 hexadecimal digits",
            hint="`datalabbet-node ledger show` prints it at the node.",
        )
    start = None if since is None else _head_of(since)
    verdict = verified(_content(file), key=key, since=start)
    closing, head = verdict.closing, verdict.head
    data: dict[str, Json] = {
        "ok": verdict.problem is None,
        "problem": verdict.problem,
        "keys": list(verdict.keys),
        "head": None if head is None else _head(head),
        "signature": None if head is None else head.signature,
    }
    if closing is None or head is None:
        show(output, data=data, text=f"NOT VERIFIED: {verdict.problem}")
        raise typer.Exit(1)
    some = closing.size > closing.first
    data |= {
        "department": closing.department,
        "first": closing.first,
        "balances": [_plain(item) for item in closing.balances],
        "delta": closing.delta.value,
    }
    about = [
        ("verified", f"the ledger of {closing.department}"),
        ("entries", f"{closing.first} to {closing.size - 1}" if some else "nothing new"),
        ("root", head.head.root),
        ("signed at", f"{head.head.at:%Y-%m-%d %H:%M:%S} UTC"),
        ("keys", "\n".join(verdict.keys)),
        ("continues", "not asked" if start is None else f"the head over {start.head.size} entries"),
    ]
    rows = [
        (item.population, item.what[:12], str(item.charges), _number(item.epsilon))
        for item in closing.balances
    ]
    headings = ("population", "what", "charges", f"ε at δ {closing.delta.value:g}")
    show(output, data=data, text=f"{pairs(about)}\n\n{table(headings, rows, empty='')}")
    if len(set(verdict.keys)) > 1:
        say("The key was changed: see `keys`. Ask the department when and why, if you do not know.")


def _row(item: Balance, limits: Limits, names: dict[str, str]) -> tuple[str, ...]:
    limit = _limit(item, limits)
    spent = float("inf") if item.epsilon is None else item.epsilon
    left = "" if limit is None else f"{max(limit - spent, 0.0):.3f}"
    what = names.get(item.what, item.what[:12])
    allowed = "" if limit is None else f"{limit:g}"
    return (item.population, what, str(item.charges), _number(item.epsilon), allowed, left)


def _balance(item: Balance, limits: Limits, names: dict[str, str]) -> dict[str, Json]:
    limit = _limit(item, limits)
    left = None if limit is None or item.epsilon is None else max(limit - item.epsilon, 0.0)
    return {**_plain(item), "study": names.get(item.what), "limit": limit, "left": left}


def _plain(item: Balance) -> dict[str, Json]:
    return {
        "population": item.population,
        "what": item.what,
        "charges": item.charges,
        "epsilon": item.epsilon,
    }


def _limit(item: Balance, limits: Limits) -> float | None:
    """Give the limit that a balance is held to; a study's is held in its approved plan."""
    if item.what == TOTAL:
        return limits.total.value
    return limits.per_year.value if re.fullmatch(r"[0-9]{4}", item.what) else None


def _number(value: float | None) -> str:
    return "no bound" if value is None else f"{value:.3f}"


def _head(signed: SignedHead) -> Json:
    head: Json = json.loads(documents.write(signed.head))
    return head


def _head_of(path: Path) -> SignedHead:
    return last_head(_content(path).decode(errors="replace"))


def _content(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(_MOST + 1)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from None
    if len(content) > _MOST:
        raise UsageError(f"{path} is too large for an export")
    return content


def _write(path: Path, content: bytes) -> None:
    try:
        handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
    except FileExistsError:
        raise UsageError(f"{path} is there already", hint="Choose another name.") from None
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}") from None
