"""`datalabbet ledger received` and `compare`: the coordinator's own book, and a department's."""

import json
import re
from pathlib import Path
from typing import Annotated

import typer

from coordinator.client import exports
from coordinator.client.options import Output, Profile, connect, group
from coordinator.client.output import Form, Json, Sheet, pairs, say, show
from models import documents
from models.errors import UsageError
from models.ledger.comparison import Comparison, compare
from models.ledger.received import AnswerEntry, Entry, HeadEntry, kept_mark

app = group("Ledgers: what departments charged, and what the coordinator received.")


@app.command("received")
def received(
    *,
    department: Annotated[
        str, typer.Argument(metavar="DEPARTMENT", help="Only this department's.")
    ] = "",
    since: Annotated[
        Path | None,
        typer.Option(
            "--since", help="What this printed earlier with --output json: is it still so?"
        ),
    ] = None,
    output: Output = Form.TABLE,
    profile: Profile = None,
) -> None:
    """List what the coordinator noted: reported heads of ledgers, and answers it took."""
    earlier = None if since is None else kept_mark(exports.read_text(since))
    with connect(profile) as city:
        chain = city.received()
    if earlier is not None:
        chain.check_continues(earlier)
    entries = [entry for entry in chain.entries if department in {"", entry.department}]
    data: Json = {
        "chain": {"size": chain.mark.size, "root": chain.mark.root},
        "entries": [json.loads(documents.write(entry)) for entry in entries],
    }
    rows = tuple(
        (str(e.number), f"{e.at:%Y-%m-%d %H:%M:%S}", e.department, e.kind, _what(e))
        for e in entries
    )
    head = ("number", "at (UTC)", "department", "kind", "what")
    show(output, data=data, text=Sheet(head=head, rows=rows, empty="Nothing was received yet."))
    say(f"The chain has {chain.mark.size} entries; its root is {chain.mark.root}.")
    if earlier is not None:
        say(f"It begins with the {earlier.size} entries that it had earlier.")


@app.command("compare")
def compare_export(
    *,
    export: Annotated[
        Path, typer.Argument(metavar="EXPORT", help="A whole export of a department's ledger.")
    ],
    key: Annotated[
        str,
        typer.Option(
            "--key",
            metavar="FINGERPRINT",
            help="The fingerprint (64 hex digits) of the node's key.",
        ),
    ],
    output: Output = Form.TABLE,
    profile: Profile = None,
) -> None:
    """Verify an export, and hold it against what the coordinator received from the department.

    Exit code 1: it is not verified, or the two contradict each other.
    """
    from models.ledger.verification import verify  # noqa: PLC0415 - opens the accountant's libraries

    if re.fullmatch(r"[0-9a-f]{64}", key) is None:
        raise UsageError(
            "--key is not a fingerprint: 64 hexadecimal digits",
            hint="`datalabbet-node ledger show` prints it at the node.",
        )
    content = _content(export)
    verdict = verify(content, key=key)
    if verdict.closing is None:
        data: Json = {"ok": False, "verified": False, "problem": verdict.problem}
        show(output, data=data, text=f"NOT VERIFIED: {verdict.problem}")
        raise typer.Exit(1)
    with connect(profile) as city:
        chain = city.received()
    found = compare(content, closing=verdict.closing, keys=verdict.keys, received=chain.entries)
    show(output, data=_data(found), text=_text(found))
    if found.contradictions:
        raise typer.Exit(1)


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()  # as it is: an export is verified to the byte
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from None


def _what(entry: Entry) -> str:
    if isinstance(entry, AnswerEntry):
        return f"{entry.study[:12]}/{entry.run}/{entry.step}/{entry.attempt}"
    about = f"{entry.head.size} entries, root {entry.head.root[:12]}"
    if isinstance(entry, HeadEntry):
        return about
    return f"{about}: {entry.problem.value} than entry {entry.against} says"


def _data(found: Comparison) -> Json:
    return {
        "ok": not found.contradictions,
        "verified": True,
        "department": found.department,
        "charges": found.charges,
        "answers": found.answers,
        "heads": found.heads,
        "later": found.later,
        "contradictions": [
            {"kind": item.kind.value, "entry": item.entry, "text": item.text}
            for item in found.contradictions
        ],
        "unanswered": [
            {"study": study, "run": run, "step": step, "attempt": attempt}
            for study, run, step, attempt in found.unanswered
        ],
    }


def _text(found: Comparison) -> str:
    lines = [
        ("compared", f"the ledger of {found.department} with what the coordinator received"),
        ("heads", f"{found.heads} reported, and the export continues them"),
        ("answers", f"{found.answers} taken, and charged in the export"),
        ("charges", f"{found.charges}, of which {len(found.unanswered)} without such an answer"),
    ]
    if found.later:
        lines.append(("not compared", f"{found.later} newer than the export: get a newer one"))
    lines += [
        ("CONTRADICTION", f"{item.kind.value}: {item.text} (entry {item.entry})")
        for item in found.contradictions
    ]
    return pairs(lines)
