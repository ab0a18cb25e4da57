"""A node's part in a run: what it does there follows from the approved study and from its name."""

import enum
from pathlib import Path
from typing import TYPE_CHECKING

from models.errors import RefusedError
from models.governance.any_study import AnyStudy
from models.governance.linked import LinkedStudy
from models.governance.study import Study
from models.privacy.plan import plan
from models.randomness import Entropy
from models.training.studies import training_plan
from node.datasets import Dataset
from node.gate import steps, sums
from node.gate.averaged_sums import AveragedSums
from node.gate.joining import Joining
from node.gate.linked_part import LinkedPart
from node.gate.steps import Steps
from node.gate.sums import Sums
from node.gate.witness import Witness
from node.ledger.contexts import ReleasedContexts, WitnessContexts
from node.rules import Rules
from node.shelf import chosen
from protos.installed import code_digest, present_digest

if TYPE_CHECKING:
    from node.gate import linked


class Role(enum.StrEnum):
    """What a node's program is run as: `datalabbet-node run`, or `datalabbet-node witness`."""

    DEPARTMENT = "department"
    WITNESS = "witness"

    def admits(self, study: AnyStudy, *, name: str) -> None:
        """Refuse a study in which the member of that name has another role.

        A server of a linked study may be a department's program or a witness's.

        Raises:
            RefusedError: it has, or it is not in the study.
        """
        if isinstance(study, LinkedStudy):
            if self is Role.WITNESS and name in study.departments:
                raise RefusedError(
                    f"the study {study.study} names {name} as a department, and a witness has no "
                    "records",
                    hint="A department runs `datalabbet-node run`.",
                )
            return
        summed = study.secure_sum
        witness = summed is not None and summed.witness == name
        if self is Role.DEPARTMENT and witness:
            raise RefusedError(
                f"the study {study.study} names {name} as its witness, not as a department",
                hint="A witness runs `datalabbet-node witness`.",
            )
        if self is Role.WITNESS and not witness:
            raise RefusedError(
                f"the study {study.study} does not name {name} as its witness",
                hint="A department runs `datalabbet-node run`.",
            )


class Runs:
    """What the runs of one node are worked on with."""

    def __init__(self, *, rules: Rules, role: Role, entropy: Entropy, scratch: Path) -> None:
        """Keep the parts; encoded records go into `scratch`."""
        self._rules = rules
        self._role = role
        self._entropy = entropy
        self._scratch = scratch

    def open(self, study_hash: str) -> AnyStudy:
        """Give the approved study, if this node has its part in it.

        Raises:
            RefusedError: not approved here, or this node has another role.
        """
        if present_digest() != code_digest():
            raise RefusedError(
                "the program's files were changed since this node was started",
                hint="Start the node again: what it loads from now on would be another program.",
            )
        study = self._rules.gate.open(study_hash)
        self._role.admits(study, name=self._rules.department)
        return study

    def work(
        self, study: AnyStudy, *, run: int
    ) -> Steps | Sums | AveragedSums | Witness | LinkedPart:
        """Give this node's part in a run. No record is opened, and nothing is charged."""
        rules, gate, ledger = self._rules, self._rules.gate, self._rules.ledger
        if isinstance(study, LinkedStudy):
            return self._linked(study, run)
        if study.secure_sum is None:
            return self._steps(study, run)
        identity, joining = rules.keyring.identity(), self._joining(study, run)
        if self._role is Role.WITNESS:
            used = WitnessContexts(rules.journal)
            return Witness(
                study=study, run=run, joining=joining, gate=gate, used=used, identity=identity
            )
        if study.masked:
            return AveragedSums(
                steps=self._steps(study, run),
                run=run,
                joining=joining,
                gate=gate,
                used=ReleasedContexts(rules.journal),
                entropy=self._entropy,
            )
        return Sums(
            study=study,
            run=run,
            joining=joining,
            gate=gate,
            ledger=ledger,
            bench=lambda: self._sum_bench(study, run),
        )

    def _joining(self, study: AnyStudy, run: int) -> Joining:
        rules = self._rules
        return Joining(
            study=study,
            run=run,
            member=rules.department,
            gate=rules.gate,
            identity=rules.keyring.identity(),
            entropy=self._entropy,
        )

    def _linked(self, study: LinkedStudy, run: int) -> LinkedPart:
        from node.gate.linked import Linked  # noqa: PLC0415 - torch: seconds
        from node.gate.server import Computing  # noqa: PLC0415

        rules, joining, holding, serving = self._rules, self._joining(study, run), None, None
        if rules.department in study.departments:
            holding = Linked(
                study=study,
                run=run,
                member=rules.department,
                joining=joining,
                gate=rules.gate,
                ledger=rules.ledger,
                bench=lambda: self._linked_bench(study),
                entropy=self._entropy,
            )
        if rules.department in study.committee.names:
            serving = Computing(
                study=study,
                run=run,
                member=rules.department,
                joining=joining,
                gate=rules.gate,
                entropy=self._entropy,
            )
        return LinkedPart(study=study, joining=joining, holding=holding, serving=serving)

    def _steps(self, study: Study, run: int) -> Steps:
        return Steps(
            study=study,
            run=run,
            plan=plan(study),
            gate=self._rules.gate,
            ledger=self._rules.ledger,
            bench=lambda: self._workbench(study, run),
        )

    # --- the records; called after the first charge of a run ---

    def _workbench(self, study: Study, run: int) -> steps.Bench:
        from node.work.workbench import Workbench  # noqa: PLC0415 - torch: seconds

        return Workbench(
            study=study,
            dataset=self._dataset(study),
            plan=plan(study),
            entropy=self._entropy,
            scratch=self._folder(run),
        )

    def _sum_bench(self, study: Study, run: int) -> sums.Bench:
        from node.work.sum_bench import SumBench  # noqa: PLC0415 - opens the vault's libraries

        return SumBench(
            study=study,
            dataset=self._dataset(study),
            plan=training_plan(study),
            entropy=self._entropy,
            scratch=self._folder(run),
        )

    def _linked_bench(self, study: LinkedStudy) -> "linked.Bench":
        from node.work.linked_bench import LinkedBench  # noqa: PLC0415 - torch: seconds

        shelf, me = self._rules.shelf, self._rules.department
        residents = shelf.register()
        if residents is None:
            raise RefusedError("no register is declared at this node")
        names = {item.dataset for item in study.variables if item.department == me}
        return LinkedBench(
            study=study,
            department=me,
            residents=residents,
            datasets=lambda: {name: chosen(shelf.datasets(), name)[0] for name in names},
        )

    def _dataset(self, study: Study) -> Dataset:
        (dataset,) = chosen(self._rules.shelf.datasets(), study.dataset)
        return dataset

    def _folder(self, run: int) -> Path:
        folder = self._scratch / str(run)
        for each in (self._scratch, folder):  # `parents=True` would not give both the mode
            each.mkdir(mode=0o700, exist_ok=True)
        return folder
