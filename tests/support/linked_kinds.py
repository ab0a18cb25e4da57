"""One small linked study of every kind of table that can be asked for."""

from linked_studies import OPEN, TEXT, category, integer, linked_study, own, table

from models.governance.linked import LinkedPrivacy, LinkedStudy
from models.governance.questions import Hazard, Match, Question, Relations, Table

YES = ("no", "yes")
SCHOOL = (own("eligible", "school"), category("eligible", *YES))
YEAR = (own("year", "school"), category("year", "first", "second"))
FLAG = (own("flag", "social", absent=True), category("flag", *YES))
HOME = (own("help", "social", of="household", absent=True), category("help", *YES))
WORK = (own("work", "labour", absent=True), category("work", "a", "b", "c"))
CARE = [(own(f"care_{i}", "care"), category(f"care_{i}", *YES)) for i in (1, 2)]
TIMES = [
    (own("began", "social"), integer("began", 0, 5)),
    (own("lasted", "social"), integer("lasted", 1, 3)),
    (own("ended", "social"), category("ended", *YES)),
    (own("entry", "labour"), integer("entry", 1, 6)),
]
KINDS = (
    "one department",
    "two departments",
    "household",
    "three departments",
    "match",
    "relations",
    "hazard",
    "all at once",
)


def relations(*of: str, crossed: tuple[tuple[str, str], ...] = ()) -> Relations:
    return Relations(kind="relations", name="related", title=TEXT, of=of, crossed=crossed)


MATCHED = Table(
    kind="table",
    name="matched",
    title=TEXT,
    of=("eligible", "care"),
    match=Match(name="care", by="year", variables=("care_1", "care_2")),
)
LEAVING = Hazard(
    kind="hazard",
    name="leaving",
    title=TEXT,
    start="began",
    duration="lasted",
    event="ended",
    entry="entry",
    bands=(1,),
    window=2,
)


def study_of(kind: str, *, privacy: LinkedPrivacy = OPEN, residents: int = 1000) -> LinkedStudy:
    """Give the study of a kind."""
    asked: dict[str, tuple[list[object], list[Question]]] = {
        "one department": (
            [SCHOOL, YEAR, FLAG],
            [table("t", "eligible", "year"), table("f", "flag")],
        ),
        "two departments": ([SCHOOL, YEAR, FLAG], [table("t", "year", "flag", "eligible")]),
        "household": ([SCHOOL, HOME], [table("t", "eligible", "help")]),
        "three departments": ([SCHOOL, FLAG, WORK], [table("t", "eligible", "flag", "work")]),
        "match": ([SCHOOL, YEAR, *CARE], [MATCHED]),
        "relations": (
            [SCHOOL, YEAR, FLAG, WORK],
            [
                relations(
                    "eligible",
                    "year",
                    "flag",
                    "work",
                    crossed=(("eligible", "year"), ("flag", "work"), ("eligible", "flag")),
                )
            ],
        ),
        "hazard": (TIMES, [LEAVING]),
        "all at once": (
            [SCHOOL, YEAR, FLAG, WORK, *CARE, *TIMES],
            [
                table("t", "eligible", "flag", "work"),
                MATCHED,
                LEAVING,
                relations("flag", "work", "year", crossed=(("flag", "work"),)),
            ],
        ),
    }
    variables, questions = asked[kind]
    return linked_study(variables, questions, privacy=privacy, residents=residents)
