"""Privacy in words: what ε means as odds, for people who read no formulas."""

import math

from models.governance.study import Protection, Study
from models.quantities import Delta
from models.schema import Bilingual

_BASE = 5
"""Of 100: how often a guesser is wrong who says 'this resident is in the data'."""


def odds(loss: float, delta: Delta) -> int:
    """Give how many of 100 the 5 of 100 can become at most: min(100, e^ε · 5 + 100 δ).

    `loss` is a spent ε. This is the hypothesis-testing meaning of (ε, δ)-differential privacy:
    if a guesser says 'the resident is in the data' for 5 of 100 results made without the
    resident, then for at most so many of 100 results made with the resident. Rounded up.
    """
    if loss >= math.log(100 / _BASE):
        return 100
    return min(100, math.ceil(math.exp(loss) * _BASE + 100 * delta.value))


def round_up(loss: float) -> str:
    """Give a spent ε with two decimals, rounded against ourselves."""
    return f"{math.ceil(loss * 100 - 1e-9) / 100:.2f}"


def one_in(delta: Delta) -> str:
    """Give δ as one in so many: `1 in 100 000`, rounded against ourselves."""
    return f"1 in {_thousands(delta)}"


def _thousands(delta: Delta) -> str:
    return f"{math.floor(1 / delta.value + 1e-6):,}".replace(",", " ")


def odds_in_words(loss: float, delta: Delta) -> Bilingual:
    """Give the odds as a sentence."""
    most = odds(loss, delta)
    return Bilingual(
        en=(
            f"Someone who guesses from this release whether a given resident took part, and who "
            f"would wrongly say yes {_BASE} times of 100 if the resident did not take part, can "
            f"rightly say yes at most {most} times of 100 if the resident did."
        ),
        sv=(
            f"Den som ur detta resultat gissar om en viss invånare är med, och som skulle säga ja "
            f"felaktigt {_BASE} gånger av 100 om invånaren inte är med, kan säga ja med rätta "
            f"högst {most} gånger av 100 om invånaren är med."
        ),
    )


def protection_in_words(study: Study, loss: float | None) -> Bilingual:
    """Give the whole protection of a run as sentences. `loss`: the spent ε; None: no bound."""
    delta = study.privacy.delta
    if study.privacy.protection is Protection.NONE or loss is None or delta is None:
        return Bilingual(
            en=(
                "No noise was added: the departments declared the data public. "
                "The release gives no mathematical protection of the residents in the data."
            ),
            sv=(
                "Inget brus har lagts till: förvaltningarna har deklarerat uppgifterna som "
                "offentliga. Resultatet ger inget matematiskt skydd för invånarna i uppgifterna."
            ),
        )
    text, who = odds_in_words(loss, delta), _whose_rows(study)
    number, rare = round_up(loss), _thousands(delta)
    return Bilingual(
        en=(
            f"Each department added noise before anything left it. {who.en} are protected "
            f"together: ε = {number}, δ = 1 in {rare}. {text.en}"
        ),
        sv=(
            f"Varje förvaltning lade till brus innan något lämnade den. {who.sv} skyddas "
            f"tillsammans: ε = {number.replace('.', ',')}, δ = 1 på {rare}. {text.sv}"
        ),
    )


def _whose_rows(study: Study) -> Bilingual:
    """Give what is protected together; the bound holds only as far as the study's own limit."""
    most = copies(study)
    if most == len(study.departments):
        return Bilingual(
            en="All of a resident's rows, in all departments of the study,",
            sv="Alla rader om en invånare, i alla studiens förvaltningar,",
        )
    return Bilingual(
        en=f"All rows of a resident who is in at most {most} of the study's departments",
        sv=f"Alla rader om en invånare som finns i högst {most} av studiens förvaltningar",
    )


def copies(study: Study) -> int:
    """Give the most departments of the cohort that one resident can be in."""
    most = study.privacy.departments_per_resident or len(study.departments)
    return min(most, len(study.departments))
