"""A city of nodes that sum, without a network: real gates, ledgers, benches and keys."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from nodes import RUN, Department
from scripted import ScriptedEntropy
from studies import KEYS, dataset, declaration, rows, write_csv

from models.evaluation import histograms
from models.evaluation.holdout import held_out
from models.families import additive
from models.families.additive import Block
from models.families.chunks import Chunk
from models.families.encoding import Encoder
from models.families.network import classes, probabilities
from models.governance.study import Study
from models.privacy.plan import plan
from models.secagg import agreement, coordinator
from models.secagg.agreement import Agreement, EphemeralKey, Offer, Offers
from models.secagg.coordinator import NewAttempt, Total
from models.secagg.node import Masked
from models.secagg.witness import SetRequest
from models.training import messages, steps
from models.training.messages import EVALUATE, HISTOGRAM
from models.training.studies import training_plan
from node.datasets import Dataset
from node.gate.averaged_sums import AveragedSums
from node.gate.joining import Joining
from node.gate.sums import Answer, Bench, Sums
from node.gate.witness import Witness
from node.ledger.contexts import ReleasedContexts, WitnessContexts
from node.work.sum_bench import SumBench
from node.work.workbench import Workbench

RESIDENTS = 60
Columns = Mapping[str, np.ndarray]


def table(folder: Path, name: str, *, residents: int = RESIDENTS, rows_each: int = 1) -> Dataset:
    """Give a department's dataset: its own residents."""
    seed = sum(name.encode())
    made = rows(residents, seed=seed, rows_each=rows_each, prefix=name)
    return dataset(write_csv(folder / f"{name}.csv", made))


def bench(study: Study, data: Dataset, folder: Path, *, seed: object = 0) -> SumBench:
    return SumBench(
        study=study,
        dataset=data,
        plan=training_plan(study),
        entropy=ScriptedEntropy(f"bench {seed}"),
        scratch=folder / "scratch",
    )


def workbench(study: Study, data: Dataset, folder: Path, *, seed: object = 0) -> Workbench:
    return Workbench(
        study=study,
        dataset=data,
        plan=plan(study),
        entropy=ScriptedEntropy(f"bench {seed}"),
        scratch=folder / "scratch",
    )


def offers(study: Study, *, run: int = RUN) -> dict[str, Offer]:
    """Give the parties' offers with the keys of `agreed`."""
    return {
        name: agreement.offer(
            study.signed_roster,
            study=study.digest(),
            run=run,
            member=name,
            ephemeral=_key(name),
            identity=KEYS[name],
        )
        for name in study.parties
    }


def agreed(study: Study, *, run: int = RUN) -> dict[str, Agreement]:
    """Give what each party holds when all of them have joined, straight from the mathematics."""
    found = list(offers(study, run=run).values())
    return {
        name: agreement.agree(
            study.signed_roster,
            found,
            study=study.digest(),
            run=run,
            minimum=2,
            me=name,
            ephemeral=_key(name),
        )
        for name in study.parties
    }


def _key(name: str) -> EphemeralKey:
    return EphemeralKey.fresh(ScriptedEntropy(f"key {name}"))


@dataclass
class Node:
    """A department of the city, or its witness: what is on disk, and one life of its program."""

    folder: Path
    name: str
    study: Study
    data: Dataset | None = None
    run: int = RUN
    life: int = 0
    opened: list[int] = field(default_factory=list)
    instead: Callable[[], Bench] | None = None

    def __post_init__(self) -> None:
        declared = {} if self.data is None else {"pupils": declaration()}
        self.folder.mkdir(exist_ok=True)
        self.department = Department(
            self.folder, name=self.name, key=KEYS[self.name], declared=declared
        )
        self.start()

    def start(self) -> None:
        """Begin a life: keys and memory are fresh, the database is what it was."""
        self.joining = Joining(
            study=self.study,
            run=self.run,
            member=self.name,
            gate=self.department.gate,
            identity=KEYS[self.name],
            entropy=ScriptedEntropy(f"key {self.name} {self.life}"),
        )
        self.sums = self._averaged() if self.study.masked else self._summed()
        self.witness = Witness(
            study=self.study,
            run=self.run,
            joining=self.joining,
            gate=self.department.gate,
            used=WitnessContexts(self.department.journal),
            identity=KEYS[self.name],
        )

    def _summed(self) -> Sums:
        return Sums(
            study=self.study,
            run=self.run,
            joining=self.joining,
            gate=self.department.gate,
            ledger=self.department.ledger,
            bench=self._bench,
        )

    def _averaged(self) -> AveragedSums:
        return AveragedSums(
            steps=self.department.steps(self.study, self._bench, run=self.run),
            run=self.run,
            joining=self.joining,
            gate=self.department.gate,
            used=ReleasedContexts(self.department.journal),
            entropy=ScriptedEntropy(f"masks {self.name} {self.life}"),
        )

    def restart(self) -> None:
        """End this life and begin another on the same disk."""
        self.close()
        self.life += 1
        self.__post_init__()

    @property
    def charges(self) -> int:
        return self.department.ledger.spending(self.study.digest()).charges

    def close(self) -> None:
        self.sums.close()
        self.department.close()

    def _bench(self) -> Bench:
        self.opened.append(self.charges)
        if self.instead is not None:
            return self.instead()
        assert self.data is not None
        made = workbench if self.study.masked else bench
        return made(self.study, self.data, self.folder, seed=f"{self.name} {self.life}")


class City:
    """The parties of a study; each has approved it."""

    def __init__(self, folder: Path, study: Study) -> None:
        self.study = study
        self.plan = None if study.masked else training_plan(study)
        self.nodes: dict[str, Node] = {}
        for name in study.parties:
            data = table(folder, name) if name in study.departments else None
            self.nodes[name] = Node(folder / name, name, study, data)
            self.nodes[name].department.approve(study)

    def __getitem__(self, name: str) -> Node:
        return self.nodes[name]

    def offers(self) -> Offers:
        return Offers(offers=tuple(node.joining.offer() for node in self.nodes.values()))

    def join(self) -> None:
        offers = self.offers()
        digests = {node.joining.join(offers).cohort for node in self.nodes.values()}
        assert len(digests) == 1

    def point(self, *, fill: float = 0.0) -> dict[str, np.ndarray]:
        """Give arrays that a step may ask."""
        forms = steps.forms(self.plan)
        found = {name: np.full(shape, fill, dtype=kind) for name, (kind, shape) in forms.items()}
        return found | {"scales": np.ones(forms["scales"][1])}

    def ask(
        self,
        step: str,
        arrays: dict[str, np.ndarray] | None = None,
        *,
        attempt: int = 1,
        names: Iterable[str] | None = None,
    ) -> dict[str, Answer]:
        """Ask departments (all) for a step."""
        asked = self.study.departments if names is None else names
        return {name: ask(self[name].sums, step, arrays or {}, attempt=attempt) for name in asked}

    def total(
        self,
        step: str,
        answers: Mapping[str, Answer],
        arrays: dict[str, np.ndarray] | None = None,
        *,
        attempt: int = 1,
    ) -> Total | NewAttempt:
        """Give what the coordinator reads, by the coordinator's own functions."""
        cohort = next(iter(self.nodes.values())).joining.agreement.cohort
        context = messages.context(
            self.study,
            run=RUN,
            step=step,
            attempt=attempt,
            cohort=cohort.digest(),
            arrays=arrays or {},
        )
        state = coordinator.start(self.study.signed_roster, cohort, context)
        for name, answer in answers.items():
            message = Masked(member=name, context=answer.context, payload=answer.words.tobytes())
            state = coordinator.received(state, message, sender=name)
        if not self.study.signed_roster.mode.witnessed:
            return coordinator.total(state)
        request = coordinator.request(state)
        assert isinstance(request, SetRequest)
        assert self.study.summed.witness is not None
        return coordinator.total(state, self[self.study.summed.witness].witness.masks(request))

    def close(self) -> None:
        for node in self.nodes.values():
            node.close()


def ask(sums: Sums, step: str, arrays: dict[str, np.ndarray], *, attempt: int = 1) -> Answer:
    if step == HISTOGRAM:
        return sums.histogram(attempt=attempt)
    if step == EVALUATE:
        return sums.evaluate(attempt=attempt, arrays=arrays)
    return sums.step(number=int(step.removeprefix("train/")), attempt=attempt, arrays=arrays)


# --- an oracle: all records of a department in memory, row by row ---


def plain(study: Study, data: Dataset, step: str, arrays: Mapping[str, np.ndarray]) -> np.ndarray:
    """Give a department's integers of a full-batch step, without noise and masks."""
    plan, (training, aside) = training_plan(study), _sides(study, data)
    if step == EVALUATE:
        total = np.zeros(plan.evaluation.length, dtype=np.int64)
        for inputs, outcomes in aside:
            count = len(outcomes)
            chunk = Chunk(
                inputs=inputs,
                outcomes=outcomes,
                owners=np.zeros(count, dtype=np.int64),
                shares=np.full(count, 1 / count),
                complete=True,
            )
            given = histograms.contributions(probabilities(arrays, inputs), chunk=chunk)
            assert classes(study) == 2
            total += steps.evaluation(plan, given)
        return total
    codes = np.hstack([additive.codes(x, columns=len(study.inputs)) for x, _ in training])
    owners = np.repeat(np.arange(len(training)), [len(y) for _, y in training])
    outcomes = np.concatenate([y for _, y in training])
    block = Block.of(plan.terms.shape, codes, outcomes=outcomes, owners=owners)
    if step == HISTOGRAM:
        return steps.histogram(plan, block)
    return steps.gradient(plan, block, arrays, entropy=ScriptedEntropy("nobody is left out"))


def _sides(study: Study, data: Dataset) -> tuple[list, list]:
    """Give inputs and outcomes of each resident, training and held out, read by hand."""
    import csv

    people: dict[str, list[dict[str, str]]] = {}
    with Path(data.source.path).open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            people.setdefault(row["resident"], []).append(row)
    encoder = Encoder.of(study.inputs, bins=study.model.bins)
    aside = held_out(list(people), study=study.digest(), share=study.privacy.holdout)
    sides: tuple[list, list] = ([], [])
    for mine, out in zip(people.values(), aside, strict=True):
        columns = {column.name: _read(column, mine) for column in study.columns}
        outcome = columns.pop(study.outcome).astype(np.int64)
        sides[int(out)].append((encoder.encode(columns), outcome))
    return sides


def _read(column: object, people: list[dict[str, str]]) -> np.ndarray:
    texts = [row[column.name] for row in people]
    if hasattr(column, "categories"):
        return np.array([column.categories.index(text) for text in texts])
    return np.array([float(text) if text else np.nan for text in texts])
