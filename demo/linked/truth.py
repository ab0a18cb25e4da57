"""What was planted in the demo city, beside what the answers of a joint question say."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Literal

from demo.city.findings.rows import PupilRows
from demo.city.labour import EARLY_EFFECT, MIDDLE_EFFECT
from demo.city.simulate import City
from models.linkage.estimates.figures import Answer, Figure


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """One number of a study's release that is held against the truth.

    Attributes:
        code: which finding of the demo city it is.
        what: in words.
        kind, name: of the figure; of a test, `kind` is `test` and `name` what is tested.
        truth: what was planted; None: what the whole city's records say (`of_city`); of a test,
            the degrees of freedom that chance alone would leave.
        crude: kind and name of the figure that looks the same without the others' knowledge.
    """

    code: str
    what: str
    kind: str
    name: str
    truth: float | None
    crude: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One number that was found.

    Attributes:
        code, what: of what.
        estimate, low, high: with its 95 % interval; None where the release does not tell. Of a
            test, the statistic alone.
        truth: as it was planted.
        crude: what one would think without joining well.
        drowned: the noise hides it.
        p: of a test.
    """

    code: str
    what: str
    kind: Literal["figure", "test"]
    estimate: float | None
    low: float | None
    high: float | None
    truth: float
    crude: float | None
    drowned: bool
    p: float | None = None

    def document(self) -> dict[str, object]:
        """Give it as a JSON object."""
        return asdict(self)


WANTED: Mapping[str, tuple[Wanted, ...]] = {
    "J1": (
        Wanted(
            code="J1",
            what="share eligible, long-term assistance at home against none",
            kind="difference",
            name="eligible = true | assistance = true against false",
            truth=None,
        ),
    ),
    "J2": tuple(
        Wanted(
            code="J2",
            what=f"log-odds of leaving, work-based programme begun in {when}",
            kind="log-odds",
            name=f"measure begun in {name}",
            truth=truth,
            crude=("difference", "within_a_year = true | took_part = yes against no"),
        )
        for when, name, truth in (
            ("month 1-6", "months 1 to 6", EARLY_EFFECT),
            ("month 7-12", "months 7 to 12", MIDDLE_EFFECT),
            ("month 13 or later", "month 13 or later", 0.0),
        )
    ),
    "J3": (
        Wanted(
            code="J3",
            what="logarithm of the ratio of absence, extensive care at home against none",
            kind="log-ratio",
            name="absence | care = true against false",
            truth=0.55,
        ),
    ),
    "J4": (
        Wanted(
            code="J4",
            what="log-odds of being eligible, special support",
            kind="log-odds",
            name="support = true",
            truth=0.50,
            crude=("crude log-odds", "support = true"),
        ),
    ),
    "J5": (
        Wanted(
            code="J5",
            what="log-odds of dropping out, extensive care at home",
            kind="log-odds",
            name="care = true",
            truth=1.00,
        ),
    ),
    "N1": (
        Wanted(
            code="N1",
            what="districts and being eligible, chi-square on 11 degrees of freedom",
            kind="test",
            name="district",
            truth=11.0,
        ),
        Wanted(
            code="J1",
            what="log-odds of being eligible, long-term assistance, at 8 % absence",
            kind="log-odds",
            name="home = ekonomi",
            truth=-0.80,
        ),
        Wanted(
            code="J1",
            what="the same, more per percentage point of absence",
            kind="log-odds",
            name="absence * home = ekonomi",
            truth=-0.060,
        ),
    ),
    "N2": (
        Wanted(
            code="N2",
            what="log-odds of leaving, other programme (JOBBSOK, SFI_KOMBI)",
            kind="log-odds",
            name="programme = ovrig",
            truth=0.0,
            crude=("crude log-odds", "programme = ovrig"),
        ),
    ),
    "N3": (
        Wanted(
            code="N3",
            what="caseworkers and dropping out, chi-square on 39 degrees of freedom",
            kind="test",
            name="caseworker",
            truth=39.0,
        ),
    ),
}
"""By the code of the question whose study answers it."""


def lines(code: str, answers: Sequence[Answer], city: City) -> tuple[Line, ...]:
    """Give what the answers of a question's study say, beside the truth.

    Raises:
        LookupError: an answer is not there.
    """
    return tuple(_line(wanted, answers, city) for wanted in WANTED[code])


def of_city(city: City) -> float:
    """Give J1's difference of shares among all pupils who live in the city."""
    pupils = PupilRows.of(city)
    assisted = pupils.long_assistance
    return float(pupils.eligible[assisted].mean() - pupils.eligible[~assisted].mean())


def _line(wanted: Wanted, answers: Sequence[Answer], city: City) -> Line:
    truth = of_city(city) if wanted.truth is None else wanted.truth
    if wanted.kind == "test":
        tests = [test for answer in answers for test in answer.tests if test.name == wanted.name]
        found = tests[0] if tests else None
        return Line(
            code=wanted.code,
            what=wanted.what,
            kind="test",
            estimate=None if found is None else found.statistic,
            low=None,
            high=None,
            truth=truth,
            crude=None,
            drowned=found is None,
            p=None if found is None else found.p,
        )
    figure = _figure(answers, wanted.kind, wanted.name)
    crude = None if wanted.crude is None else _figure(answers, *wanted.crude).value
    return Line(
        code=wanted.code,
        what=wanted.what,
        kind="figure",
        estimate=figure.value,
        low=figure.low,
        high=figure.high,
        truth=truth,
        crude=crude,
        drowned=figure.drowned,
    )


def _figure(answers: Sequence[Answer], kind: str, name: str) -> Figure:
    for answer in answers:
        for figure in answer.figures:
            if figure.kind == kind and figure.name == name:
                return figure
    raise LookupError(f"the release has no {kind} of {name}")
