"""Privacy in words: what ε means as odds, for people who read no formulas."""

import math

from models.governance.roster import Mode
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
    summed = study.privacy.protection is Protection.SECURE_SUM
    local = _COVERED if study.masked else _LOCAL
    how, limits = (_SUMMED, against_whom(study)) if summed else (local, Bilingual(en="", sv=""))
    return Bilingual(
        en=(
            f"{how.en} {who.en} are protected together: ε = {number}, δ = 1 in {rare}. "
            f"{text.en} {limits.en}".rstrip()
        ),
        sv=(
            f"{how.sv} {who.sv} skyddas tillsammans: ε = {number.replace('.', ',')}, "
            f"δ = 1 på {rare}. {text.sv} {limits.sv}".rstrip()
        ),
    )


_LOCAL = Bilingual(
    en="Each department added noise before anything left it.",
    sv="Varje förvaltning lade till brus innan något lämnade den.",
)
_COVERED = Bilingual(
    en=f"{_LOCAL.en} What left was then added up under masks, so that only sums were seen.",
    sv=f"{_LOCAL.sv} Det som lämnade lades sedan ihop under masker, så att bara summor syntes.",
)
_SUMMED = Bilingual(
    en=(
        "The departments' numbers were added up under masks, so that only their sums were seen, "
        "and each department had added its share of the noise in them."
    ),
    sv=(
        "Förvaltningarnas tal lades ihop under masker, så att bara summorna syntes, och varje "
        "förvaltning hade lagt till sin del av bruset i dem."
    ),
)


def against_whom(study: Study) -> Bilingual:
    """Give whom the noise of a study's secure sums protects against, and whom not.

    With t colluders the shares of all other departments make up the whole noise, so up to t of
    them may subtract their own; of two departments each adds all of it. Without any, a department
    that subtracts its own share is left with less than was promised.
    """
    roster = study.signed_roster
    fewest = len(roster.members) if roster.mode.pairs else roster.minimum
    most = max(roster.colluders, int(fewest == _PAIR))
    witness = roster.witness.name if roster.mode is Mode.WITNESS and roster.witness else ""
    return Bilingual(en=_against(most, witness), sv=_mot(most, witness))


_PAIR = 2


def _against(most: int, witness: str) -> str:
    text = "This holds against everyone who sees the results, and against the coordinator"
    if most:
        many = "one department" if most == 1 else f"up to {most} departments"
        text += f", also if {many} and the coordinator pool what they know"
        limit = "more departments than that pool" if most == 1 else f"more than {most} pool"
        text += f"; not if {limit} what they know"
    else:
        text += "; not against a department, which knows its own share of the noise"
    if witness:
        text += f". It also rests on {witness}, who must not give the masks to the coordinator"
    return text + "."


def _mot(most: int, witness: str) -> str:
    text = "Detta gäller mot alla som ser resultaten, och mot samordnaren"
    if most:
        many = "en förvaltning" if most == 1 else f"upp till {most} förvaltningar"
        text += f", också om {many} och samordnaren slår ihop vad de vet"
        limit = "fler förvaltningar än så" if most == 1 else f"fler än {most}"
        text += f"; inte om {limit} slår ihop vad de vet"
    else:
        text += "; inte mot en förvaltning, som ju känner sin egen del av bruset"
    if witness:
        text += f". Det vilar också på {witness}, som inte får ge maskerna till samordnaren"
    return text + "."


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
