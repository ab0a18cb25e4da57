"""What would leave a party of a linked study: every kind of message, before any is sent.

As `models.training.leaving`: the description follows from the study and from who the party is, so
that a steward can read it before the approval, and a node can hold every message against it.
"""

from functools import lru_cache

from models.governance.linked import LinkedStudy
from models.governance.study import Protection
from models.linkage.plan import SERVERS, TOTALS, Plan, plan
from models.training.kinds import OCTETS, Form, Kind, Leaving, Noise
from models.training.leaving import document, keys

MIX, SPINE, SEEDS, SHARE, LAST = "mix", "spine", "seeds", "share", "totals"
BEGUN, TURNED, OPENED, ERASED = "begun", "turned", "opened", "erased"

_TAG = 16
"""What sealing adds to octets (`models.replicated.sealing`)."""


@lru_cache(maxsize=64)
def describe(study: LinkedStudy, *, member: str) -> Leaving:
    """Give what a party of the study would send: as a department, as a server, or as both.

    Raises:
        UsageError: a question cannot be asked so, or no reasonable noise keeps the study's ε.
    """
    agreed = plan(study)
    kinds = keys()
    if member in study.departments:
        kinds += _department(study, agreed, member)
    if member in study.committee.names:
        kinds += _server(study, agreed)
    return Leaving(study=study.digest(), kinds=kinds)


def _department(study: LinkedStudy, agreed: Plan, name: str) -> tuple[Kind, ...]:
    chunks, runs = agreed.chunks(study.register.residents), study.privacy.runs
    body = agreed.rows * agreed.layout.columns(name) * agreed.ring.octets
    hidden = "one of three random parts, sealed for two servers; no server has all three parts"
    return (
        Kind(
            step=MIX,
            meaning="this department's part of the secret by which the departments order the "
            "residents, sealed for each of the other departments",
            arrays=(document("mix"),),
        ),
        Kind(
            step=SPINE,
            meaning="how many residents the register has, and a digest of the register under the "
            "departments' secret; nothing of any other record",
            arrays=(document("spine"),),
        ),
        Kind(
            step=SEEDS,
            meaning="random seeds of two of the three parts that records are split into, each for "
            "two servers; nothing of any record",
            arrays=(document("seeds"),),
        ),
        Kind(
            step=SHARE,
            meaning=f"for so many residents of the register, known here or not, {hidden}",
            arrays=(_octets("body", body),),
            numbers=chunks,
            times=chunks * runs,
            noise=(_noise(study, agreed),),
        ),
        Kind(
            step=LAST,
            meaning="how many residents of the records are not in the register, and how many with "
            f"protected identity were left out: {hidden}",
            arrays=(_octets("body", TOTALS * agreed.ring.octets),),
            times=runs,
            noise=(_noise(study, agreed),),
        ),
    )


def _server(study: LinkedStudy, agreed: Plan) -> tuple[Kind, ...]:
    chunks = agreed.chunks(study.register.residents)
    crossed = sum(item.width for item in agreed.layout.derived)
    private = study.privacy.protection is not Protection.NONE
    found = [
        Kind(
            step=BEGUN,
            meaning="as a server: how many residents all departments say that the register has",
            arrays=(document("begun"),),
        )
    ]
    if crossed:
        found.append(
            Kind(
                step=TURNED,
                meaning="as a server: a random part of products of the departments' columns, for "
                "another server; it tells that one nothing",
                arrays=(_octets("turned", agreed.rows * crossed * agreed.ring.octets),),
                numbers=chunks,
            )
        )
    found += [
        Kind(
            step=OPENED,
            meaning="as a server: its part of all tables, which only the sum over the three "
            f"servers says anything with; 2^{agreed.noise.bits} units stand for one resident",
            arrays=(Form(name="sum", dtype=agreed.ring.dtype.str, shape=(agreed.noise.length,)),),
            times=study.privacy.runs,
            noise=(_noise(study, agreed),),
            scale=agreed.noise.scale if private else None,
        ),
        Kind(
            step=ERASED,
            meaning="as a server: that it has erased its parts of the run",
            arrays=(document("erased"),),
        ),
    ]
    return tuple(found)


def _noise(study: LinkedStudy, agreed: Plan) -> Noise:
    unit = "household" if study.privacy.unit == "household" else "resident"
    private = study.privacy.protection is not Protection.NONE
    return Noise(
        about=f"the tables of counts that the {SERVERS} servers open, in which one {unit} is "
        "protected with all records of all departments",
        bound=agreed.noise.reach,
        multiplier=agreed.noise.noise if private else None,
    )


def _octets(name: str, most: int) -> Form:
    return Form(name=name, dtype=OCTETS, shape=(most + _TAG,))
