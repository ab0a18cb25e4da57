"""What studies would cost and give: a study file in several sizes and strengths, tried out."""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

from coordinator.client import privacy
from coordinator.client.privacy import Preview
from models.errors import UsageError
from models.governance.resolution import resolve
from models.governance.study import Study, StudyDraft
from models.quantities import Epsilon
from models.randomness import SystemEntropy
from models.schema import Declaration
from models.training import forecast as forecasts
from models.training.forecast import Forecast, Noise
from models.training.invented import Assumptions
from models.training.studies import training_plan

_MOST = 100_000_000
_USUAL = Assumptions()
_NO_CODE = "0" * 64
"""The studies here are never proposed: no program is bound to them, and no department's key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """Which variations are asked for; empty (or 0) means as the study file says.

    Attributes:
        repetitions: trials of each variation; 0: no trials.
        seed: of the invented residents.
    """

    epsilons: tuple[float, ...] = ()
    residents: tuple[int, ...] = ()
    departments: int = 0
    assumed: Assumptions = _USUAL
    repetitions: int = 5
    seed: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """One variation. `noise` and `forecast` are there with secure sums only."""

    study: Study
    preview: Preview | None
    noise: Noise | None
    forecast: Forecast | None


def variations(
    draft: StudyDraft, declared: Mapping[str, Declaration | None], wish: Wish
) -> list[Study]:
    """Give the study in every size and strength asked for, the strongest protection first.

    `declared`: per department of the draft, its declaration of the dataset.

    Raises:
        UsageError: a number is out of bounds, or says nothing about this study.
        InvalidDocumentError: the draft does not fit the declarations.
    """
    if wish.residents and draft.training is not None:
        raise UsageError(
            "the noise of this study does not depend on the number of residents",
            hint="--residents belongs to studies with the protection secure-sum.",
        )
    if wish.epsilons and draft.privacy.epsilon is None:
        raise UsageError("epsilon says nothing about a study without protection")
    try:
        sized = _in_departments(draft, wish.departments) if wish.departments else draft
        drafts = [
            _varied(sized, epsilon=None if asked is None else Epsilon(asked), residents=residents)
            for residents in wish.residents or (None,)
            for asked in wish.epsilons or (None,)
        ]
    except ValueError as error:  # a quantity or the draft refuses it, with a text for people
        raise UsageError(str(error)) from None
    first = next((found for found in declared.values() if found is not None), None)
    return [
        resolve(
            item,
            {name: declared.get(name, first) for name in item.departments},
            code=_NO_CODE,
            identities={name: hashlib.sha256(name.encode()).hexdigest() for name in item.parties},
        )
        for item in drafts
    ]


def _varied(draft: StudyDraft, *, epsilon: Epsilon | None, residents: int | None) -> StudyDraft:
    changed = draft
    if epsilon is not None:
        changed = replace(changed, privacy=replace(draft.privacy, epsilon=epsilon))
    if residents is not None:
        if not 1 <= residents <= _MOST:
            raise ValueError(f"residents must be at least 1 and at most {_MOST}")
        changed = replace(changed, secure_sum=replace(draft.summed, residents=residents))
    return changed


def _in_departments(draft: StudyDraft, number: int) -> StudyDraft:
    """Give the draft with so many departments: the first of its own, and nameless ones."""
    more = (f"department-{place}" for place in range(1, number + len(draft.departments) + 1))
    names = (*draft.departments, *(name for name in more if name not in draft.parties))[:number]
    whole = draft.secure_sum is not None and draft.secure_sum.mode.pairs
    minimum = number if whole else min(draft.minimum_cohort, number)
    return replace(draft, departments=names, minimum_cohort=minimum)


def planned(studies: list[Study], wish: Wish, *, tell: Callable[[str], None]) -> Iterator[Planned]:
    """Give each study with its price, noise and trials.

    Raises:
        UsageError: no reasonable noise keeps a study's ε, or its model is not simulated.
    """
    for place, study in enumerate(studies, start=1):
        if study.training is not None:
            yield Planned(study=study, preview=privacy.preview(study), noise=None, forecast=None)
            continue
        found = None
        if wish.repetitions:
            tell(f"Trying {place} of {len(studies)} on invented residents ...")
            found = forecasts.forecast(
                study,
                assumed=wish.assumed,
                repetitions=wish.repetitions,
                seed=wish.seed.to_bytes(8, "big"),
                entropy=SystemEntropy(),
            )
        yield Planned(
            study=study,
            preview=privacy.preview(study),
            noise=forecasts.noise(training_plan(study)),
            forecast=found,
        )
