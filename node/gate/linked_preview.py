"""What a steward is asked to approve in a linked study, in words."""

from models.governance.linked import COORDINATOR, LinkedStudy, LinkedVariable
from models.linkage.asked import asked
from models.schema import CategoryColumn
from node.gate.points import Point, why


def preview(study: LinkedStudy) -> tuple[Point, ...]:
    """Give all that an approval of the study says yes to.

    Raises:
        UsageError: a question cannot be asked so, or no reasonable noise keeps the study's ε.
    """
    lines = [
        *why(study),
        ("departments", ", ".join(study.departments)),
        ("servers", _servers(study)),
        ("register", _register(study)),
    ]
    lines += [(f"variable {item.name}", _variable(study, item)) for item in study.variables]
    lines += [
        (f"question {item.name}", f"{item.title.en}: {item.text.en}") for item in asked(study)
    ]
    lines += [
        ("protection", _protection(study)),
        ("releases", _releases(study)),
        ("what leaves", LEAVES),
        ("kept", f"{study.retention_days} days"),
    ]
    return tuple(Point(about=about, text=text) for about, text in lines)


LEAVES = (
    "of a department: seeds, and for every resident of the register, known here or not, sealed "
    "random parts of zeros and ones; two of the three servers together could put them together, "
    "one of them cannot. Of a server: its part of the tables, with its noise. No record, no "
    "resident's id, no value of a single resident."
)


def _servers(study: LinkedStudy) -> str:
    names = (COORDINATOR, *study.committee.names)
    pairs = zip(names, study.committee.owners, strict=True)
    return (
        f"{', '.join(f'{name}, run by {owner}' for name, owner in pairs)}. Approve only if these "
        "three do not answer to each other: two of them together can read every record that the "
        "departments share"
    )


def _register(study: LinkedStudy) -> str:
    out = study.register.protected == "leave-out"
    hidden = "left out, and counted with noise" if out else "included"
    return (
        f"of {study.register.date}, at most {study.register.residents:,} residents; residents with "
        f"protected identity are {hidden}"
    )


def _variable(study: LinkedStudy, item: LinkedVariable) -> str:
    column = study.column(item.name)
    whose = "of the resident" if item.of == "resident" else "of anybody in the resident's household"
    where = f"{item.department}: {item.dataset}"
    if column is None:
        return f"{where}, whether there is a record {whose}"
    if isinstance(column, CategoryColumn):
        values = ", ".join(column.categories)
    else:
        values = f"{column.minimum:g} to {column.maximum:g}, in bins"
    return f"{where}, {column.name} {whose} ({column.meaning.en}): {values}"


def _protection(study: LinkedStudy) -> str:
    # Opens the accountant's libraries.
    from models.linkage.plan import epsilon  # noqa: PLC0415
    from models.linkage.words import protection_in_words  # noqa: PLC0415

    return protection_in_words(study, epsilon(study, runs=study.privacy.runs)).en


def _releases(study: LinkedStudy) -> str:
    privacy = study.privacy
    text = f"{privacy.releases}, and {privacy.spare_runs} runs that may fail"
    if privacy.epsilon is None:
        return text
    return f"{text}; all of them together keep an epsilon of {privacy.epsilon.value:g}"
