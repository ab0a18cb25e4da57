"""A linked study in words: who sees what, against whom it holds, what one ε covers."""

import re
from dataclasses import replace

import linked_studies
import pytest
from linked_studies import OPEN, PRIVATE, TEXT, category, integer, linked_study, own, school_study

from models.governance.linked import COORDINATOR
from models.governance.questions import CellFit, Comparison, Hazard, Match, Relations, Table
from models.linkage import words
from models.linkage.asked import asked
from models.quantities import Delta, Epsilon


def told(study, loss: float | None = 1.0) -> tuple[str, str]:
    found = words.protection_in_words(study, loss)
    return found.en, found.sv


def test_two_servers_that_pool_are_named_as_the_end_of_the_protection() -> None:
    english, swedish = told(school_study())
    assert "does not hold if two of the three servers pool" in english
    assert "they can read every record" in english
    assert "Det gäller inte om två av de tre servrarna slår ihop" in swedish
    for owner in school_study().committee.owners:
        assert owner in english
        assert owner in swedish


def test_one_server_leaves_all_of_the_promised_noise() -> None:
    english, swedish = told(school_study())
    assert "the noise of the other two is all that was promised" in english
    assert "de andra tvås brus är hela det utlovade" in swedish


def test_the_figures_of_the_protection_are_rounded_against_us() -> None:
    english, swedish = told(school_study(), 0.9941)
    assert "ε = 1.00, δ = 1 in 1 000 000" in english
    assert "ε = 1,00, δ = 1 på 1 000 000" in swedish
    assert "at most 14 times of 100" in english


def test_an_epsilon_that_promises_nothing_says_so() -> None:
    large = replace(PRIVATE, epsilon=Epsilon(5.0))
    assert "this epsilon promises nothing" in told(school_study(privacy=large), 5.0)[0]
    assert "promises nothing" not in told(school_study())[0]


def test_without_noise_there_is_no_word_of_noise_that_protects() -> None:
    for english, swedish in (told(school_study(privacy=OPEN), None), told(school_study(), None)):
        assert "no mathematical protection" in english
        assert "Cells of 1 to 4 residents are withheld" in english
        assert "inget matematiskt skydd" in swedish
    assert "all that was promised" not in told(school_study(privacy=OPEN), None)[0]


@pytest.mark.parametrize(
    ("changes", "english", "swedish"),
    [
        ({}, "over one result:", "i ett resultat:"),
        ({"releases": 4}, "over all 4 results:", "i alla 4 resultat:"),
        (
            {"releases": 4, "spare_runs": 1},
            "over all 4 results and 1 run that fails:",
            "i alla 4 resultat och 1 körning som misslyckas:",
        ),
        ({"spare_runs": 2}, "and 2 runs that fail:", "och 2 körningar som misslyckas:"),
        ({"rows_per_household": 3}, "at most 3 of a household's", "högst 3 av hushållets"),
    ],
)
def test_what_one_epsilon_covers(changes, english: str, swedish: str) -> None:
    found = words.covered(school_study(privacy=replace(PRIVATE, **changes)))
    assert english in found.en
    assert swedish in found.sv


def test_the_unit_is_named_and_charged_once() -> None:
    household = words.covered(school_study())
    assert "hold about all residents of a household of the register" in household.en
    assert "alla invånare i ett hushåll i registret" in household.sv
    assert "this is one charge" in household.en
    resident = words.covered(_two("resident"))
    assert "hold about one resident, over one result" in resident.en
    assert "of a household's residents" not in resident.en


def _two(unit: str = "household"):
    privacy = replace(PRIVATE, unit=unit)
    return linked_study(
        [
            (own("eligible", "school"), category("eligible", "no", "yes")),
            (own("assistance", "social", absent=True), category("assistance", "no", "yes")),
        ],
        [linked_studies.table("eligibility", "eligible", "assistance")],
        privacy=privacy,
    )


def _hazard():
    months = integer("months", 1, 24)
    return linked_study(
        [
            (own("start", "social"), integer("start", 0, 11)),
            (own("months", "social"), months),
            (own("ended", "social"), category("ended", "no", "yes")),
            (own("begun", "labour"), integer("begun", 0, 35)),
        ],
        [
            Hazard(
                kind="hazard",
                name="leaving",
                title=TEXT,
                start="start",
                duration="months",
                event="ended",
                entry="begun",
                bands=(6, 12),
                window=6,
            )
        ],
    )


def test_programs_that_do_not_follow_the_rules_are_told_of() -> None:
    assert "A department whose program were another one" in words.against_whom(school_study()).en
    two_steps = "The same goes for a server"
    assert two_steps not in words.against_whom(school_study()).en
    assert two_steps in words.against_whom(_hazard()).en


def test_each_party_is_told_of_once() -> None:
    study = school_study()
    found = words.sights(study)
    names = [item.party for item in found]
    assert names == ["school", "social", COORDINATOR, "auditor", words.READERS]
    by_name = {item.party: item.sees.en for item in found}
    assert "also one of the three servers" in by_name["social"]
    assert "also one of the three servers" not in by_name["school"]
    assert "opens the tables" in by_name[COORDINATOR]
    assert "does not know which row is which resident" in by_name["auditor"]
    assert "noise in every cell" in by_name[words.READERS]
    bare = words.sights(school_study(privacy=OPEN))[-1]
    assert "without noise" in bare.sees.en


def test_both_languages_say_everything() -> None:
    for study in (school_study(), _hazard(), school_study(privacy=OPEN)):
        found = [words.protection_in_words(study, 1.0), *(s.sees for s in words.sights(study))]
        for item in (*found, *(question.text for question in asked(study))):
            assert item.en.endswith(".")
            assert item.sv.endswith(".")
            assert len(item.sv) > len(item.en) * 0.6
            assert not re.search(r"\b(the|and|which)\b", item.sv.replace("The", ""))


# --- questions in words ------------------------------------------------------------------


def test_a_table_says_what_is_counted_and_computed() -> None:
    study = school_study()
    analyses = (
        Comparison(kind="compare", outcome="eligible", by="assistance", scale="share"),
        CellFit(kind="logistic", outcome="eligible", terms=("assistance",), test=("assistance",)),
    )
    (question,) = asked(replace(study, questions=(replace(study.questions[0], analyses=analyses),)))
    assert question.name == "eligibility"
    assert "eligible (school) and assistance (social, of the household)" in question.text.en
    assert "without further cost: the shares of eligible by assistance" in question.text.en
    assert "whether assistance has any effect" in question.text.en
    assert "eligible (school) och assistance (social, hushållets)" in question.text.sv


def test_a_match_says_which_variable_counts() -> None:
    study = linked_study(
        [
            (own("year", "school"), integer("year", 2022, 2023)),
            (own("help_2022", "social"), category("help_2022", "no", "yes")),
            (own("help_2023", "social"), category("help_2023", "no", "yes")),
        ],
        [
            Table(
                kind="table",
                name="matched",
                title=TEXT,
                of=("help",),
                match=Match(name="help", by="year", variables=("help_2022", "help_2023")),
            )
        ],
    )
    (question,) = asked(study)
    assert "help: of help_2022 to help_2023 (social) the one that belongs" in question.text.en
    assert "the resident's year (school)" in question.text.en


def test_relations_and_hazards_say_what_they_are() -> None:
    base = _two()
    relations = Relations(
        kind="relations",
        name="together",
        title=TEXT,
        of=("eligible", "assistance"),
        crossed=(("eligible", "assistance"),),
        outcome="eligible",
    )
    (question,) = asked(replace(base, questions=(relations,)))
    assert "All tables of one and of two of these 2 variables" in question.text.en
    assert "models that predict eligible" in question.text.en
    assert "eligible * assistance" in question.text.sv
    (leaving,) = asked(_hazard())
    assert "begun by month 6, 12 of the state, or later" in leaving.text.en
    assert "months (social)" in leaving.text.en
    assert "begun (labour)" in leaving.text.en
    assert "6 månader" in leaving.text.sv


def test_delta_is_told_as_one_in_so_many() -> None:
    finer = replace(PRIVATE, delta=Delta(1e-7))
    assert "δ = 1 in 10 000 000" in told(school_study(privacy=finer))[0]
