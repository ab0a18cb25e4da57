"""Whether the departments of a linked study hold the same register, and who does not."""

from collections.abc import Mapping

from models.errors import RunFailedError
from models.governance.linked import LinkedStudy
from models.replicated.messages import Spine

_HINT = (
    "Every department must load the register's snapshot of the study's date, whole and unchanged "
    "(residents, households and protected identities alike); nothing was charged."
)


def agreed(study: LinkedStudy, said: Mapping[str, Spine]) -> int:
    """Give how many residents the register has by what all departments said.

    Their digests are under a secret that the coordinator lacks: it sees only whether they are
    equal. The two other servers compare them too, by what the departments sealed for them.

    Raises:
        RunFailedError: departments say different things; the text names them, with the lengths.
            Or the register has more residents than the study says.
    """
    date, groups = study.register.date, _groups(study, said)
    if len(groups) > 1:
        texts = [f"{', '.join(names)} ({item.residents:,} residents)" for item, names in groups]
        same = len({item.residents for item, _ in groups}) == 1
        how = "; they have the same length and other content" if same else ""
        raise RunFailedError(
            f"the departments' registers of {date} differ: {' / '.join(texts)}{how}", hint=_HINT
        )
    [(spine, _)] = groups
    if spine.residents > study.register.residents:
        raise RunFailedError(
            f"the register of {date} has {spine.residents:,} residents, and the study says at most "
            f"{study.register.residents:,}",
            hint="Propose the study anew with a larger `register.residents`; nothing was charged.",
        )
    return spine.residents


def _groups(study: LinkedStudy, said: Mapping[str, Spine]) -> list[tuple[Spine, list[str]]]:
    """Give the departments that say the same together, in the study's order."""
    found: dict[tuple[int, str], tuple[Spine, list[str]]] = {}
    for name in study.departments:
        item = said[name]
        found.setdefault((item.residents, item.digest), (item, []))[1].append(name)
    return list(found.values())
