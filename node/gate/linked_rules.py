"""What stands against a linked study at a node: as a department of it, or as one of its servers."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from models.errors import RefusedError
from models.governance.linked import LinkedStudy, LinkedVariable, plain_owner
from models.governance.resolution import same_codes
from models.governance.study import Protection
from models.schema import Declaration
from node.gate.policy import Policy
from node.ledger.ledger import Subject
from node.ledger.tables import POPULATION
from node.promises import RegisterPromise

Registers = Callable[[], RegisterPromise | None]
"""Gives what the node's folder declares of its register; None: it has no register."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What a node has declared: its datasets by name, and its register."""

    datasets: Mapping[str, Declaration]
    register: RegisterPromise | None


def standing(study: LinkedStudy, *, me: str, policy: Policy, held: Held) -> Iterator[str]:
    """Give what stands against the study here, in sentences, beside code and keys."""
    if me in study.committee.names:
        yield from _as_server(study, me=me, owner=policy.owner)
    if me in study.departments:
        yield from _as_department(study, me=me, policy=policy, held=held)


def own(study: LinkedStudy, *, me: str) -> tuple[LinkedVariable, ...]:
    """Give the variables that come from this department."""
    return tuple(item for item in study.variables if item.department == me)


def subject(
    study: LinkedStudy,
    *,
    me: str,
    datasets: Mapping[str, Declaration],
    populations: Mapping[str, str],
) -> Subject:
    """Give whom a run is charged to: those whom this department's variables are about.

    The charge is named by the first of the datasets; the study says which others there are.

    Raises:
        RefusedError: a dataset is not declared here, or they are about several populations.
    """
    names = _datasets(study, me=me)
    for name in names:
        if name not in datasets:
            raise RefusedError(f"the dataset {name} is not declared at this node")
    found = _populations(names, datasets, populations)
    if len(found) > 1:
        raise RefusedError(_SEVERAL.format(names=", ".join(found)))
    return Subject(dataset=names[0], population=found[0] if found else None)


_SEVERAL = "its variables here are about several populations ({names}), and one of them must pay"


def _datasets(study: LinkedStudy, *, me: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(item.dataset for item in own(study, me=me)))


def _populations(
    names: tuple[str, ...], datasets: Mapping[str, Declaration], populations: Mapping[str, str]
) -> tuple[str, ...]:
    """Give the populations of those datasets that are not public."""
    closed = (name for name in names if name in datasets and not datasets[name].public)
    return tuple(sorted({populations.get(name, POPULATION) for name in closed}))


def _as_server(study: LinkedStudy, *, me: str, owner: str) -> Iterator[str]:
    (said,) = (server.owner for server in study.committee.servers if server.name == me)
    if not owner.strip():
        yield (
            "it lets this node compute on shares, and `owner` is not set in node.toml: who runs "
            "this node must be said here, for the three servers must have different owners"
        )
    elif plain_owner(owner) != plain_owner(said):
        yield (
            f"it says that this node, as one of its servers, is run by {said}, and `owner` in "
            f"node.toml says {owner}"
        )


def _as_department(study: LinkedStudy, *, me: str, policy: Policy, held: Held) -> Iterator[str]:
    if len(study.departments) < policy.minimum_linked:
        yield (
            f"it links {len(study.departments)} departments; "
            f"this node asks for at least {policy.minimum_linked}"
        )
    yield from _about_register(study, held.register)
    names = _datasets(study, me=me)
    closed = []
    for name in names:
        declaration = held.datasets.get(name)
        if declaration is None:
            yield f"the dataset {name} is not declared at this node"
        elif not declaration.public:
            closed.append(name)
    if closed:
        yield from _about_protection(study, policy, closed)
    found = _populations(names, held.datasets, policy.populations)
    if len(found) > 1:
        yield _SEVERAL.format(names=", ".join(found))
    yield from _about_columns(study, me=me, held=held)


def _about_register(study: LinkedStudy, promise: RegisterPromise | None) -> Iterator[str]:
    wanted = study.register.date
    if promise is None:
        yield f"no register is declared at this node, and it asks for the one of {wanted}"
        return
    if promise.date.isoformat() != wanted:
        yield (
            f"it asks for the register of {wanted}, and the one at this node is of "
            f"{promise.date.isoformat()}"
        )
    households = study.linking or study.privacy.unit == "household"
    if households and promise.household is None:
        yield "it asks about households, and the register at this node declares no `household`"
    if study.register.protected == "leave-out" and promise.protected is None:
        yield (
            "it leaves out residents with protected identity, and the register at this node "
            "does not declare who they are (`protected`)"
        )


def _about_protection(study: LinkedStudy, policy: Policy, closed: list[str]) -> Iterator[str]:
    privacy = study.privacy
    if privacy.protection is Protection.NONE:
        for name in closed:
            yield f"it asks for no noise, and the dataset {name} is not declared public"
    if privacy.epsilon is not None and privacy.epsilon > policy.per_study:
        yield (
            f"it asks for an ε of {privacy.epsilon.value:g}; "
            f"this node allows a study at most {policy.per_study.value:g}"
        )
    if privacy.delta is not None and privacy.delta > policy.per_study_delta:
        yield (
            f"it asks for a δ of {privacy.delta.value:g}; "
            f"this node allows at most {policy.per_study_delta.value:g}"
        )


def _about_columns(study: LinkedStudy, *, me: str, held: Held) -> Iterator[str]:
    for item in own(study, me=me):
        declaration, column = held.datasets.get(item.dataset), study.column(item.name)
        if declaration is None or column is None:
            continue
        declared = declaration.column(column.name)
        if declared is None:
            yield f"the column {column.name} of {item.dataset} is not declared at this node"
        elif not same_codes(declared, column):
            yield f"the column {column.name} of {item.dataset} is declared otherwise at this node"
