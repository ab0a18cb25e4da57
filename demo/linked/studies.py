"""The study file of a joint question."""

from typing import Any

import yaml

from demo.linked.joint import COORDINATOR, OWNERS, WITNESS, Joint
from models.governance.study import Protection

DELTA = 1e-5
_MARGIN = 1.1
"""How many more residents than expected the register may have."""

_EVERYBODY = 20
"""Without protection nobody's records need a bound."""


def study(joint: Joint, *, residents: int, protection: Protection, epsilon: str = "") -> str:
    """Give the study file (YAML).

    Args:
        joint: what is asked.
        residents: about how many the city has.
        protection: secure sum, or none.
        epsilon: of the study, written into it as it stands; unused without protection.
    """
    title = {"sv": joint.sv, "en": joint.en}
    privacy: dict[str, Any] = {"protection": protection.value, "unit": "household"}
    if protection is Protection.NONE:
        privacy["rows_per_household"] = _EVERYBODY
    else:
        privacy |= {"epsilon": float(epsilon), "delta": DELTA}
    document: dict[str, Any] = {
        "study": joint.study,
        "title": title,
        "purpose": title,
        "legal_basis": {
            "article_6": "e",
            "provision": "None needed: invented residents, for the demo",
        },
        "contact": "demo@datalabbet.example",
        "departments": list(joint.departments),
        "committee": {
            "coordinator": COORDINATOR,
            "servers": [
                {"name": joint.server, "owner": OWNERS[joint.server]},
                {"name": WITNESS, "owner": OWNERS[WITNESS]},
            ],
        },
        "register": {"date": "2024-12-31", "residents": round(_MARGIN * residents)},
        "variables": [dict(item) for item in joint.variables],
        "questions": [{**item, "title": title} for item in joint.questions],
        "privacy": privacy,
        "retention_days": 365,
    }
    return yaml.dump(document, Dumper=_Plain, allow_unicode=True, sort_keys=False)


class _Plain(yaml.SafeDumper):
    """Writes what stands in two places twice, since anchors are hard to read."""

    def ignore_aliases(self, data: object) -> bool:
        """Tell YAML to refer to nothing."""
        del data
        return True
