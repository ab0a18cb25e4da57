"""The joint questions from nothing to answers: a city, its nodes, a witness, eight studies."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from coordinator.client import progress
from coordinator.client.api import Datalabbet
from demo import town
from demo.city.delivery.delivery import Profile
from demo.federation import Federation, together
from demo.linked import offices, studies, truth
from demo.linked.joint import DEPARTMENTS, WITNESS, Joint
from demo.linked.questions import EVERY
from demo.linked.truth import Line
from demo.showcase import ANALYST, CENTRAL, SEED, wait_for_catalogue
from demo.town import Town
from models.governance.study import Protection


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One question that was asked.

    Attributes:
        code, study, title: which.
        lines: what was found, beside the truth.
        seconds: that its run took.
        release: the folder with its answers and tables.
    """

    code: str
    study: str
    title: str
    lines: tuple[Line, ...]
    seconds: float
    release: Path

    def document(self) -> dict[str, object]:
        """Give it as a JSON object."""
        return {
            "code": self.code,
            "study": self.study,
            "title": self.title,
            "found": [line.document() for line in self.lines],
            "seconds": round(self.seconds, 1),
            "release": str(self.release),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """All answers; `seconds` is everything from the empty folder on."""

    asked: tuple[Asked, ...]
    residents: int
    protection: Protection
    epsilon: float | None
    seconds: float

    def document(self) -> dict[str, object]:
        """Give the outcome as one JSON object."""
        return {
            "residents": self.residents,
            "protection": "none" if self.protection is Protection.NONE else self.protection.value,
            "epsilon_per_study": self.epsilon,
            "delta_per_study": None if self.epsilon is None else studies.DELTA,
            "questions": [item.document() for item in self.asked],
            "seconds": round(self.seconds, 1),
        }


def run(
    federation: Federation,
    *,
    residents: int,
    epsilon: str,
    protection: Protection,
    profile: Profile,
    tell: Callable[[str], None],
) -> Outcome:
    """Ask every question in the federation's folder, telling each step as it begins."""
    begun = time.monotonic()
    root = federation.root
    tell(f"Making a city of about {residents:,} invented residents and its departments' records")
    here = town.build(seed=SEED, residents=residents)
    bare = protection is Protection.NONE
    offices.deliver(here, root / "nodes", profile=profile, public=bare)

    tell("Starting the coordinator and enrolling departments, a witness and people (mutual TLS)")
    federation.start_coordinator()
    federation.enrol({CENTRAL: "central", ANALYST: "analyst"})
    offices.own(federation)

    tell(f"Starting {len(DEPARTMENTS)} departments' nodes and a witness")
    with Datalabbet.connect(federation.profile(CENTRAL)) as client:
        federation.start_nodes(client)
        wait_for_catalogue(client, tuple(DEPARTMENTS))
        asked = tuple(
            _ask(
                federation,
                client,
                joint,
                text=studies.study(
                    joint, residents=residents, protection=protection, epsilon=epsilon
                ),
                here=here,
                tell=tell,
            )
            for joint in EVERY
        )
    return Outcome(
        asked=asked,
        residents=len(here.tables["kir_person"]),
        protection=protection,
        epsilon=None if bare else float(epsilon),
        seconds=time.monotonic() - begun,
    )


def _ask(
    federation: Federation,
    client: Datalabbet,
    joint: Joint,
    *,
    text: str,
    here: Town,
    tell: Callable[[str], None],
) -> Asked:
    tell(f"{joint.code}: {joint.en}")
    begun = time.monotonic()
    file = federation.root / "studies" / f"{joint.study}.yaml"
    file.parent.mkdir(exist_ok=True)
    file.write_text(text, encoding="utf-8")
    study = client.propose(file).study
    together([(lambda name: _approve(federation, joint, name), name) for name in study.parties])
    started = client.start_run(joint.study)
    ended = progress.check(progress.follow(client.watch(started.run_id)))
    release = federation.root / "releases" / joint.study
    release.parent.mkdir(exist_ok=True)
    with Datalabbet.connect(federation.profile(ANALYST)) as analyst:
        analyst.export(ended.run_id, release)
        answers = analyst.results(ended.run_id).answers
    return Asked(
        code=joint.code,
        study=joint.study,
        title=joint.en,
        lines=truth.lines(joint.code, answers, here.city),
        seconds=time.monotonic() - begun,
        release=release,
    )


def _approve(federation: Federation, joint: Joint, name: str) -> None:
    who = "Demo auditor" if name == WITNESS else f"Demo steward of {name}"
    federation.node(name, "studies", "approve", joint.study, "--steward", who, "--yes")
