"""`datalabbet-node preview`, `code`, `stop` and `resume`: what may leave, and whether anything may.

`stop` reads no settings and no keys: it works on a node whose other files are broken.
"""

import json
from pathlib import Path
from typing import Annotated

import typer

from models import documents
from models.errors import ConfigurationError, ConnectionFailedError, DeadlineError
from models.governance.any_study import AnyStudy
from node.cli_studies import Which, decided, opened
from node.config import FILE, now
from node.gate import peers
from node.gate.peers import Peer
from node.gate.preview import MESSAGES, meanings, messages
from node.gate.switch import Switch
from node.home import open_home
from node.link.coordinator import Coordinator
from node.output import Form, Json, Output, ending, pairs, show, table
from node.rules import Rules
from protos.installed import code_digest

gate = typer.Typer()

_LIBRARIES = "of the project's own files; libraries are those of your image, and are not in it"


@gate.command()
@ending
def preview(context: typer.Context, *, study: Which, output: Output = Form.TABLE) -> None:
    """Show exactly what would leave this node in a study: every message, and its noise."""
    with opened(context) as (_, rules, coordinator):
        found = _find(rules, coordinator, study)
        leaving = rules.gate.leaving(found)
        against = rules.gate.objections(found)
        members = peers.listed(found, me=rules.department)
    rows = [("study", found.study), ("hash", found.digest()), ("preview", leaving.digest())]
    rows += [("says", text) for text in meanings(leaving)]
    rows += [("key", str(member)) for member in members]
    rows += [("AGAINST IT", text) for text in against]
    text = [table(MESSAGES, messages(leaving), empty=""), pairs(rows)]
    if members:
        text.append(f"Before you approve: {peers.COMPARE}.")
    data = {
        "study": found.study,
        "hash": found.digest(),
        "preview": leaving.digest(),
        "leaving": json.loads(documents.write(leaving)),
        "members": [_told(member) for member in members],
        "objections": list(against),
    }
    show(output, data=data, text="\n\n".join(text))


@gate.command()
@ending
def code(context: typer.Context, *, output: Output = Form.TABLE) -> None:
    """Print the digest of the installed program, and the fingerprint of this node's own key."""
    digest = code_digest()
    rows, data = [("program", digest), ("covers", _LIBRARIES)], {"code": digest}
    if (Path(context.obj) / FILE).is_file():
        keyring = open_home(Path(context.obj)).keyring()
        if keyring.enrolled:
            own = keyring.identity().public_key().public_bytes_raw().hex()
            data |= {"identity": own, "fingerprint": peers.fingerprint(own)}
            rows.append(("own key", peers.grouped(peers.fingerprint(own))))
    show(output, data=data, text=pairs(rows))


@gate.command()
@ending
def stop(
    context: typer.Context,
    *,
    reason: Annotated[str, typer.Option(help="Why; it stays at this node.")] = "",
    output: Output = Form.TABLE,
) -> None:
    """Stop everything at this node, at once: nothing is answered any more, until `resume`."""
    _switch(context).stop(reason, now=now())
    text = (
        "Stopped: this node answers nothing. Runs at hand go on without it, or fail, and it does "
        "not come back into them. `datalabbet-node resume` lets it take part in new ones."
    )
    show(output, data={"stopped": True, "reason": reason}, text=text)


@gate.command()
@ending
def resume(context: typer.Context, *, output: Output = Form.TABLE) -> None:
    """Let a stopped node work again. What residents have paid, and every approval, stays."""
    was = _switch(context).resume()
    text = "This node may work again." if was else "This node was not stopped."
    show(output, data={"stopped": False, "was_stopped": was}, text=text)


def _switch(context: typer.Context) -> Switch:
    state = Path(context.obj) / "state"
    if not state.is_dir():
        raise ConfigurationError(
            f"{context.obj} is not a node's home", hint="Name the node's home with --home DIR."
        )
    return Switch(state)


def _find(rules: Rules, coordinator: Coordinator, reference: str) -> AnyStudy:
    """Give the study as it is proposed now, or what was decided here while nobody answers."""
    try:
        return coordinator.study(reference).study
    except (ConnectionFailedError, DeadlineError):
        found = decided(rules, reference)
        if found is None:
            raise
        return found


def _told(member: Peer) -> dict[str, Json]:
    return {
        "name": member.name,
        "fingerprint": member.fingerprint,
        "witness": member.witness,
        "own": member.own,
    }
