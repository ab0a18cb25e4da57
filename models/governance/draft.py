"""The study file: reading one, and the commented template that `study new` writes."""

from collections.abc import Sequence
from dataclasses import dataclass

from models import yaml_text
from models.governance.study import StudyDraft


def read(text: str, *, name: str) -> StudyDraft:
    """Give the draft in a study file; `name` is the file's, for messages.

    Raises:
        InvalidDocumentError: every problem with its field and line.
    """
    return yaml_text.parse(text, what=name).read(StudyDraft)


@dataclass(frozen=True, slots=True, kw_only=True)
class Blank:
    """What the template is filled with.

    Attributes:
        variables: names and meanings of the columns to read.
        outcome: the column to predict.
    """

    study: str = "my-study"
    dataset: str = "my_dataset"
    departments: Sequence[str] = ("department-one", "department-two", "department-three")
    variables: Sequence[tuple[str, str]] = (("first_variable", ""), ("second_variable", ""))
    outcome: str = "outcome"


def template(blank: Blank) -> str:
    """Give a study file that is valid as it is and says in comments what to change."""
    width = max((len(name) for name, _ in blank.variables), default=0)
    return _TEMPLATE.format(
        study=blank.study,
        dataset=blank.dataset,
        outcome=blank.outcome,
        departments="\n".join(f"  - {name}" for name in blank.departments),
        variables="\n".join(
            f"  - {name:<{width}}  # {meaning}" if meaning else f"  - {name}"
            for name, meaning in blank.variables
        ),
        cohort=min(3, len(blank.departments)),
    )


_TEMPLATE = """\
# A study: what is asked, of whom, on which ground, with which protection.
# `datalabbet study check FILE` tells what is wrong with it, and what its privacy costs.
# Every department that is named below must approve exactly this content before a run starts.

# Lower-case letters, digits and hyphens. Names the study for ever.
study: {study}
title:
  sv: Kort titel på svenska
  en: Short title in English
purpose:
  sv: Vad frågan är, vem som behöver svaret och vad det ska användas till.
  en: What is asked, who needs the answer and what it will be used for.

# The ground in the GDPR: article 6.1 a to f, article 9.2 a to j for special categories
# (leave article_9 out otherwise), and the national provision.
legal_basis:
  article_6: e
  provision: The act and section that the department rests on
contact: A function and an e-mail address that residents can write to

# Whose records. Each must have declared the dataset with these columns, encoded alike
# (`datalabbet catalogue show {dataset}`).
departments:
{departments}
dataset: {dataset}
# What the model reads, and what it predicts (a column with categories).
variables:
{variables}
outcome: {outcome}

model:
  # logistic, or mlp together with `hidden: [16]` (the widths of its hidden layers).
  family: logistic
  # 0: numeric columns are scaled by their declared bounds. 2 or more: cut into so many
  # public bins, which often gives a better model under privacy.
  bins: 0

training:
  # fedavg, fedprox (needs `proximal` above 0) or fedadam (uses `server_learning_rate`).
  strategy: fedavg
  rounds: 10
  # Gradient steps of each department in a round, and the probability with which a resident
  # takes part in a step. More of either costs more noise for the same epsilon.
  steps: 10
  sampling_rate: 0.1
  learning_rate: 0.5
  # noisy-count: departments weigh by a noisy number of residents. equal: all alike.
  weights: noisy-count

privacy:
  # Each department adds noise before anything leaves it.
  protection: local-noise
  # The protection of one resident with all rows, all departments, all rounds: the smaller
  # epsilon, the stronger. 1 is strong, 3 moderate, above 10 weak. delta: well below one
  # over the number of residents.
  epsilon: 3.0
  delta: 1e-6
  # The largest gradient (L2 norm) that one resident may add.
  clip: 1.0
  # The most of these departments that one resident can be in. Left out: all of them.
  # departments_per_resident: 2
  # Share of the residents set aside to measure how good the model is.
  holdout: 0.2
  # Rounds that may be asked for again after a crash. Each is paid for in noise.
  spare_rounds: 1

# A round needs answers from at least so many departments; departments have minima of their own.
minimum_cohort: {cohort}
retention_days: 365
"""
