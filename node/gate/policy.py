"""What a department asks of every study, and what its node is."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from models.quantities import Delta, Epsilon

PER_STUDY = Epsilon(4.0)
"""The largest ε of a study, unless the settings say otherwise (`docs/reference/ledger.md`)."""
PER_STUDY_DELTA = Delta(1e-4)
"""The largest δ of a study, unless the settings say otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What this department asks of every study, whatever its steward approved.

    Attributes:
        minimum_cohort: the fewest departments that a study's round may go on with. The noise of
            `local-noise` protects each department's answer alone, so 2 is enough for it.
        minimum_summed: the same for secure sums. A sum over two tells each of them what the
            other one added, but for that one's noise.
        minimum_linked: the fewest departments of a linked study. Its noise is the servers', so
            the two departments of a study learn no more than its readers.
        owner: who runs this node, as a study must name it whose shares it is to compute on. Empty:
            it computes on nobody's shares.
        per_study: the largest ε that a study on data that is not public may ask for.
        per_study_delta: the largest δ.
        departments_per_resident: the fewest departments that a study must reckon with, for one
            resident, as far as it has so many; None leaves that to the steward.
        populations: by dataset, whom it is about, where that is not the department's residents.
        peers: by name, the identity key (or its fingerprint) that was compared with the member.
    """

    minimum_cohort: int = 2
    minimum_summed: int = 3
    minimum_linked: int = 2
    owner: str = ""
    per_study: Epsilon = PER_STUDY
    per_study_delta: Delta = PER_STUDY_DELTA
    departments_per_resident: int | None = None
    populations: Mapping[str, str] = field(default_factory=dict)
    peers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Own:
    """What a node is: its name, its identity key (raw, in hex), and the program it runs."""

    department: str
    identity: str
    code: str
