"""From one department's declaration and a study file to what many departments would see."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from coordinator.client import exports
from coordinator.release import costs
from demo import course, partition
from demo.course import Course
from demo.virtual import City
from models.errors import InvalidDocumentError, UsageError
from models.evaluation import metrics
from models.evaluation.intervals import Estimate
from models.families import network
from models.governance import draft
from models.governance.resolution import resolve
from models.governance.study import Study
from models.privacy.plan import plan
from models.quantities import NoiseVariance
from models.randomness import SystemEntropy
from node import datasets
from node.datasets import Dataset
from node.output import Json, pairs
from node.work.workbench import Workbench
from protos.installed import code_digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What is simulated. `rounds`: None for the study's own; `seed`: of the split."""

    declaration: Path
    study: Path
    nodes: int
    rounds: int | None
    seed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """What the simulation found.

    Attributes:
        nodes, residents, rounds: how large it was.
        first_round_seconds: with the start of Ray and its workers.
        round_seconds: the median of the other rounds; None if there was one round.
        evaluation_seconds, seconds: of the evaluation, and of everything.
        auc: on all held-out residents, counted exactly: the department holds them.
        estimated_auc: the same from the virtual departments' noisy histograms, as a release
            would say it; None: withheld, or nobody was set aside.
        epsilon, delta: for one resident, who is in one virtual department; None without noise.
    """

    nodes: int
    residents: int
    rounds: int
    first_round_seconds: float
    round_seconds: float | None
    evaluation_seconds: float
    seconds: float
    auc: Estimate | None
    estimated_auc: Estimate | None
    epsilon: float | None
    delta: float | None

    def document(self) -> Json:
        """Give the forecast as one JSON object."""
        document: Json = asdict(self)
        return document

    def text(self) -> str:
        """Give the forecast for people."""
        later = "-" if self.round_seconds is None else f"{self.round_seconds:.2f} seconds"
        spent = (
            "none: no noise" if self.epsilon is None else f"{self.epsilon:.2f} (δ {self.delta:g})"
        )
        rows = (
            ("virtual departments", f"{self.nodes}, with {self.residents} residents in all"),
            ("first round", f"{self.first_round_seconds:.1f} seconds, start of Ray included"),
            (f"each of {self.rounds - 1} further rounds", later),
            ("evaluation", f"{self.evaluation_seconds:.2f} seconds"),
            ("everything", f"{self.seconds:.1f} seconds"),
            ("AUC on held-out residents", _said(self.auc)),
            ("the same, as a release would say it", _said(self.estimated_auc)),
            ("ε for one resident", spent),
        )
        return pairs(rows)


def forecast(wish: Wish, *, clock: Callable[[], float], tell: Callable[[str], None]) -> Forecast:
    """Simulate what is wished. `clock`: seconds from any beginning.

    Raises:
        UsageError, ConfigurationError, DataContractError: it cannot be done as asked.
        RunFailedError: a virtual department or the runtime failed.
    """
    begun = clock()
    dataset = datasets.load(wish.declaration)
    study = virtual_study(wish, dataset)
    with TemporaryDirectory(prefix="datalabbet-simulation-") as folder:
        shares = partition.split(dataset, parts=wish.nodes, folder=Path(folder), seed=wish.seed)
        tell(f"Split {shares.residents} residents over {wish.nodes} virtual departments")
        city = City(
            study=study,
            plan=plan(study),
            dataset=dataset,
            sources=shares.sources,
            scratch=Path(folder) / "scratch",
        )
        ran = course.run(city, tell=tell)
        auc = _exact_auc(city, ran)
    first, *others = ran.round_seconds
    cost = _protection(study)
    return Forecast(
        nodes=wish.nodes,
        residents=shares.residents,
        rounds=len(ran.round_seconds),
        first_round_seconds=round(first, 2),
        round_seconds=round(median(others), 2) if others else None,
        evaluation_seconds=round(ran.evaluation_seconds, 2),
        seconds=round(clock() - begun, 1),
        auc=auc,
        estimated_auc=None if ran.quality is None else ran.quality.auc,
        epsilon=cost,
        delta=None if study.privacy.delta is None else study.privacy.delta.value,
    )


def virtual_study(wish: Wish, dataset: Dataset) -> Study:
    """Give the study as the virtual departments would approve it.

    A resident is in one virtual department, so that is what the noise is computed for, unless
    the study says how many departments a resident can be in.

    Raises:
        InvalidDocumentError: the study file, or a variable that is not declared.
        UsageError: the study is about another dataset.
    """
    file = draft.read(exports.read_text(wish.study), name=str(wish.study))
    if file.dataset != dataset.declaration.name:
        raise UsageError(
            f"the study asks for the dataset {file.dataset}; "
            f"{wish.declaration} declares {dataset.declaration.name}"
        )
    names = tuple(f"virtual-{number:04d}" for number in range(1, wish.nodes + 1))
    try:
        virtual = replace(
            file,
            departments=names,
            minimum_cohort=min(file.minimum_cohort, wish.nodes),
            training=replace(file.averaging, rounds=wish.rounds or file.averaging.rounds),
            privacy=replace(
                file.privacy,
                departments_per_resident=file.privacy.departments_per_resident or 1,
            ),
        )
        return resolve(virtual, dict.fromkeys(names, dataset.declaration), code=code_digest())
    except InvalidDocumentError as error:
        # All virtual departments have the same problems: the first one's say it all.
        told = tuple(item for item in error.problems if not item.problem.startswith(names[1:]))
        raise InvalidDocumentError(str(wish.study), told) from None


def _said(figure: Estimate | None) -> str:
    if figure is None:
        return "withheld: the noise hides it, or nobody was held out"
    return f"{figure.value:.3f} (95 %: {figure.low:.3f} to {figure.high:.3f})"


def _protection(study: Study) -> float | None:
    """Give the ε that one resident has spent: in each department as in the first."""
    first = study.departments[0]
    answered = [[first]] * study.averaging.rounds
    return costs.protection(study=study, rounds=answered, evaluated_by=[first]).epsilon


def _exact_auc(city: City, ran: Course) -> Estimate | None:
    """Give the AUC on the study's held-out residents, without noise: the data is one's own."""
    if ran.quality is None:
        return None
    bench = Workbench(
        study=city.study,
        dataset=city.dataset,
        plan=replace(city.plan, evaluation=None),
        entropy=SystemEntropy(),
        scratch=city.scratch,
    )
    with bench:
        histogram = bench.evaluate(parameters=ran.parameters).values["histogram"]
    return metrics.evaluate(
        histogram=histogram,
        noise_variance=NoiseVariance(0.0),
        classes=network.classes(city.study),
        seed=bytes.fromhex(city.study.digest()),
    ).auc
