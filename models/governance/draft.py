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
        cohort=len(blank.departments),
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
  # Numbers are cut into so many public bins, at the declared edges where there are some. 0: they
  # are scaled by their declared bounds.
  bins: 10

# How departments are summed: only the sum of all can be read, with noise that they share.
secure_sum:
  # About how many residents all departments have together: a public number, never one that was
  # counted for the study. It sets the pace of the training; a wrong one costs usefulness only.
  residents: 10000
  # pairwise: departments mask in pairs, and all of them take part in every step. witness: a
  # further party holds the masks, so that one department may be absent. both: both masks.
  mode: pairwise
  # For witness and both: the party that is the witness, none of the departments.
  # witness: the-auditors
  # How often a step may be tried before the run fails.
  attempts: 3
  # So many departments may pool what they know with the coordinator, and the protection below
  # still holds. Each costs noise.
  colluders: 1
  # The probability with which a resident takes part in a step; 1 is everybody, which is best
  # unless there are very many residents.
  sampling_rate: 1.0

privacy:
  # secure-sum: the departments' noise is in the sum. local-noise: each department adds all of the
  # noise itself, which also protects where a secure sum fails, and gives worse models. For that
  # write local-noise here, and in the place of `secure_sum` above:
  #   training:
  #     strategy: fedavg  # or fedprox (needs `proximal` above 0), fedadam
  #     rounds: 10
  #     # Gradient steps of each department in a round.
  #     steps: 10
  #     sampling_rate: 0.1
  #     learning_rate: 0.5
  #     # noisy-count: departments weigh by a noisy number of residents. equal: all alike.
  #     weights: noisy-count
  # With both blocks the updates go under masks besides.
  protection: secure-sum
  # The protection of one resident with all rows, all departments, all steps: the smaller
  # epsilon, the stronger. 1 is strong, 3 moderate, above 10 weak. delta: well below one
  # over the number of residents. `datalabbet privacy plan FILE` tells what they cost.
  epsilon: 3.0
  delta: 1e-6
  # With local noise only: the largest gradient (L2 norm) that one resident may add.
  # clip: 1.0
  # The most of these departments that one resident can be in. Left out: all of them.
  # departments_per_resident: 2
  # Share of the residents set aside to measure how good the model is.
  holdout: 0.2
  # Steps that may be asked for again after a crash. Each is paid for in noise.
  spare_rounds: 1

# The fewest departments that may be summed, or that answer a round of local noise; departments
# have minima of their own. In the modes pairwise and both it is the number of departments.
minimum_cohort: {cohort}
retention_days: 365
"""
