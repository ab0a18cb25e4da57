"""`datalabbet-node studies`: what the steward is asked, and what the steward answers."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from models.errors import RefusedError, UsageError
from models.governance.any_study import AnyStudy
from models.governance.approval import Decision
from models.governance.views import StudyStatus
from node.gate import peers
from node.gate.points import Point
from node.gate.preview import preview, short
from node.home import Home, open_home
from node.link.coordinator import Coordinator
from node.output import Form, Json, Output, ending, pairs, say, show, table
from node.rules import Rules, decide, open_coordinator, open_rules, submit

studies = typer.Typer(help="See, approve and refuse studies.", no_args_is_help=True)

Which = Annotated[str, typer.Argument(metavar="STUDY", help="The study's id or hash.")]
Who = Annotated[str, typer.Option(help="Who decides (else `steward` in node.toml).")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask; needed where there is no terminal.")]


@contextmanager
def opened(context: typer.Context) -> Iterator[tuple[Home, Rules, Coordinator]]:
    """Give the node's home and rules, and a connection that is made when it is first used."""
    home = open_home(Path(context.obj))
    rules = open_rules(home)
    coordinator = open_coordinator(home)
    try:
        yield home, rules, coordinator
    finally:
        coordinator.close()
        rules.close()


def _here(rules: Rules, study: AnyStudy) -> str:
    decision = rules.approvals.newest(study.digest())
    if decision is None:
        return "undecided"
    said = decision.approval.statement.decision.value
    return said if decision.submitted else f"{said} (not yet submitted)"


@studies.command(name="list")
@ending
def list_command(context: typer.Context, *, output: Output = Form.TABLE) -> None:
    """List the studies that name this department, newest first."""
    with opened(context) as (_, rules, coordinator):
        found = coordinator.studies()
        rows = [
            (
                s.study.study,
                s.state.value,
                _here(rules, s.study),
                s.study_hash[:12],
                s.study.title.en,
            )
            for s in found
        ]
        data = [_told(rules, item) for item in found]
    head = ("study", "state", "here", "hash", "title")
    text = table(head, rows, empty="No study names this department.")
    show(output, data={"studies": data}, text=text)


@studies.command(name="show")
@ending
def show_command(context: typer.Context, *, study: Which, output: Output = Form.TABLE) -> None:
    """Show what an approval of the study would say yes to, and what stands against it here."""
    with opened(context) as (_, rules, coordinator):
        found = coordinator.study(study)
        against = rules.gate.objections(found.study)
        points = preview(found.study) + _leaving(rules, found.study, against=against)
        data = {
            **_told(rules, found),
            "preview": {point.about: point.text for point in points},
            "objections": list(against),
        }
        text = _text(points, here=_here(rules, found.study), against=against)
    show(output, data=data, text=text)


@studies.command()
@ending
def approve(
    context: typer.Context,
    *,
    study: Which,
    steward: Who = "",
    yes: Yes = False,
    output: Output = Form.TABLE,
) -> None:
    """Sign a yes to exactly this study, and tell the coordinator. Repeating it is safe."""
    with opened(context) as (home, rules, coordinator):
        found = coordinator.study(study)
        against = rules.gate.objections(found.study)
        points = preview(found.study) + _leaving(rules, found.study, against=against)
        say(_text(points, here=_here(rules, found.study), against=against))
        if not against:
            _confirm(yes, "Approve this study?")
        who = _who(home, steward)
        _decide(rules, coordinator, found.study, Decision.APPROVED, steward=who, output=output)


@studies.command()
@ending
def refuse(
    context: typer.Context,
    *,
    study: Which,
    reason: Annotated[str, typer.Option(help="Why; the central team reads it.")],
    steward: Who = "",
    yes: Yes = False,
    output: Output = Form.TABLE,
) -> None:
    """Sign a no to this study. It holds here at once, also while the coordinator is away."""
    if not reason.strip():
        raise UsageError("a refusal needs a reason", hint="Give --reason TEXT.")
    with opened(context) as (home, rules, coordinator):
        target = decided(rules, study) or coordinator.study(study).study
        say(f"{target.study}: {target.title.en} / {target.title.sv}")
        _confirm(yes, "Refuse this study?")
        who = _who(home, steward)
        _decide(
            rules, coordinator, target, Decision.REFUSED, steward=who, reason=reason, output=output
        )


def decided(rules: Rules, reference: str) -> AnyStudy | None:
    """Give the study of that id or hash that was decided here: the coordinator is not asked.

    Raises:
        UsageError: several have that id.
    """
    known = [decision.study for decision in rules.approvals.all()]
    found = [item for item in known if reference in {item.study, item.digest()}]
    if len(found) > 1:
        raise UsageError(
            f"several studies with the id {reference} were decided here",
            hint=f"Name it by its hash: {', '.join(item.digest() for item in found)}.",
        )
    return found[0] if found else None


def _decide(
    rules: Rules,
    coordinator: Coordinator,
    study: AnyStudy,
    decision: Decision,
    *,
    steward: str,
    output: Form,
    reason: str = "",
) -> None:
    number = decide(rules, study, decision, steward=steward, reason=reason)
    status = submit(rules, study, number, coordinator)
    show(
        output,
        data=_told(rules, status),
        text=f"{study.study} is {decision.value} here; at the coordinator it is "
        f"{status.state.value}.",
    )


def _told(rules: Rules, status: StudyStatus) -> dict[str, Json]:
    return {
        "study": status.study.study,
        "hash": status.study_hash,
        "state": status.state.value,
        "here": _here(rules, status.study),
        "title": {"sv": status.study.title.sv, "en": status.study.title.en},
        "departments": list(status.study.departments),
        "approvals": {
            item.statement.department: item.statement.decision.value for item in status.approvals
        },
    }


def _leaving(rules: Rules, study: AnyStudy, *, against: tuple[str, ...]) -> tuple[Point, ...]:
    """Give the short form of what would leave, with its hash, and whose keys are to be compared."""
    found = [] if against else [Point(about="preview", text=short(rules.gate.leaving(study)))]
    members = peers.listed(study, me=rules.department)
    if members:
        lines = "\n".join(str(member) for member in members)
        found.append(Point(about="keys", text=f"{lines}\n{peers.COMPARE}"))
    return tuple(found)


def _text(points: tuple[Point, ...], *, here: str, against: tuple[str, ...]) -> str:
    rows = [(point.about, point.text) for point in points]
    rows.append(("decided here", here))
    rows += [("AGAINST IT", objection) for objection in against]
    return pairs(rows)


def _confirm(yes: bool, question: str) -> None:  # noqa: FBT001 - an answer
    if yes:
        return
    if not sys.stdin.isatty():
        raise UsageError("nobody is there to confirm", hint="Repeat the command with --yes.")
    if not typer.confirm(question, err=True):
        raise RefusedError("nothing was decided")


def _who(home: Home, steward: str) -> str:
    who = (steward or home.settings.steward).strip()
    if not who:
        raise UsageError(
            "who decides has not been said", hint="Give --steward NAME, or set it in node.toml."
        )
    return who
