"""A training in words, for people who read no formulas: what protects whom, and at what price.

Every sentence follows from numbers by the rules below; there is no judgement in between. What
a rule calls small or large is written beside it.
"""

import enum

from models.governance.roster import Mode
from models.governance.study import Protection, Study
from models.governance.words import odds, odds_in_words
from models.quantities import Delta, Epsilon
from models.schema import Bilingual
from models.training.forecast import Forecast, Noise
from models.training.invented import Assumptions


class Verdict(enum.StrEnum):
    """How much of what the columns tell about the outcome the protection hides."""

    HARDLY = "hardly"
    LITTLE = "little"
    NOTICEABLE = "noticeable"
    MUCH = "much"
    MOSTLY_NOISE = "mostly-noise"


_LIMITS = (
    (0.02, Verdict.HARDLY),
    (0.10, Verdict.LITTLE),
    (0.25, Verdict.NOTICEABLE),
    (0.50, Verdict.MUCH),
)
"""Parts of the AUC above chance that are lost: up to there."""

_SAID = {
    Verdict.HARDLY: Bilingual(
        en="the protection costs hardly anything",
        sv="skyddet kostar nästan ingenting",
    ),
    Verdict.LITTLE: Bilingual(
        en="the protection costs a little of the result",
        sv="skyddet kostar lite av resultatet",
    ),
    Verdict.NOTICEABLE: Bilingual(
        en="the protection costs a noticeable part of the result",
        sv="skyddet kostar en märkbar del av resultatet",
    ),
    Verdict.MUCH: Bilingual(
        en="the protection costs much of the result",
        sv="skyddet kostar mycket av resultatet",
    ),
    Verdict.MOSTLY_NOISE: Bilingual(
        en="the result is mostly noise",
        sv="resultatet är till största delen brus",
    ),
}


def verdict(found: Forecast) -> Verdict:
    """Give the verdict: mostly noise if half is lost, or if chance alone could do as well."""
    unsure = found.protected - 2 * found.spread <= 0.5  # noqa: PLR2004 - the AUC of a guess
    if unsure:
        return Verdict.MOSTLY_NOISE
    return next((said for most, said in _LIMITS if found.lost <= most), Verdict.MOSTLY_NOISE)


def headline(found: Forecast, *, epsilon: Epsilon, departments: int) -> Bilingual:
    """Give the forecast in one sentence."""
    said = _SAID[verdict(found)]
    residents, number = _count(found.residents), f"{epsilon.value:g}"
    return Bilingual(
        en=f"{residents} residents in {departments} departments, epsilon {number}: {said.en}.",
        sv=(
            f"{residents} invånare i {departments} förvaltningar, epsilon "
            f"{number.replace('.', ',')}: {said.sv}."
        ),
    )


def ranking(found: Forecast) -> Bilingual:
    """Give the AUC with and without privacy as pairs that are ranked right."""
    kept, open_ = (f"{100 * value:.0f}" for value in (found.protected, found.open))
    apart = max(1, round(100 * found.spread * 2))
    return Bilingual(
        en=(
            f"Of 100 pairs of residents, one with the outcome and one without, the model with "
            f"protection ranks about {kept} right (chance of the noise: {apart} more or fewer), "
            f"and without protection {open_}. Guessing ranks 50."
        ),
        sv=(
            f"Av 100 par av invånare, en med utfallet och en utan, rangordnar modellen med skydd "
            f"ungefär {kept} rätt (brusets slump: {apart} fler eller färre), och utan skydd "
            f"{open_}. Den som gissar får 50."
        ),
    )


def measured(found: Forecast) -> Bilingual:
    """Give how well the release itself will be able to say how good the model is."""
    if found.margin is None:
        return Bilingual(
            en="The release will hardly be able to say how good the model is: noise hides it.",
            sv="Resultatet kan knappast säga hur bra modellen är: bruset döljer det.",
        )
    margin = max(1, round(100 * found.margin))
    return Bilingual(
        en=f"The release will be able to say this figure to within {margin} of 100 pairs.",
        sv=f"Resultatet kan ange den siffran på {margin} par av 100 när.",
    )


def noise_in_words(noise: Noise) -> Bilingual:
    """Give the noise of each sum, in residents."""
    en = (
        f"Each of the {noise.steps} steps of the training is blurred by as much as "
        f"{_people(noise.step)} residents add who all pull the same way as hard as they may."
    )
    sv = (
        f"Vart och ett av träningens {noise.steps} steg suddas lika mycket som "
        f"{_people(noise.step)} invånare bidrar som alla drar åt samma håll så hårt de får."
    )
    if noise.level is not None:
        off = _people(noise.level)
        en += f" The counts of residents by category, with which it begins, are off by about {off}."
        sv += f" Antalen invånare per kategori, som den börjar med, är fel på ungefär {off}."
    if noise.score is not None:
        off = _people(noise.score)
        en += f" The counts that measure the model are off by about {off}."
        sv += f" Antalen som mäter modellen är fel på ungefär {off}."
    return Bilingual(en=en, sv=sv)


def promise(epsilon: Epsilon, delta: Delta) -> Bilingual:
    """Give what the resident is promised, as odds (`models.governance.words`)."""
    told = odds_in_words(epsilon.value, delta)
    if odds(epsilon.value, delta) < 100:  # noqa: PLR2004 - of 100
        return told
    return Bilingual(
        en=f"{told.en} So for such a guess this epsilon promises nothing; a smaller one would.",
        sv=f"{told.sv} För en sådan gissning lovar detta epsilon alltså inget; ett mindre gör det.",
    )


def remedy(found: Forecast) -> Bilingual | None:
    """Give what would make the result better; None where little is lost."""
    if verdict(found) in {Verdict.HARDLY, Verdict.LITTLE}:
        return None
    return Bilingual(
        en=(
            "What would help: more residents, fewer variables or categories, a larger epsilon "
            "(weaker protection), or, where it is true, a smaller departments_per_resident."
        ),
        sv=(
            "Det som skulle hjälpa: fler invånare, färre variabler eller kategorier, ett större "
            "epsilon (svagare skydd) eller, om det är sant, ett mindre departments_per_resident."
        ),
    )


def caveat(assumed: Assumptions, found: Forecast) -> Bilingual:
    """Give what the trial stands on, and what it cannot tell."""
    best = f"{100 * assumed.signal:.0f}"
    many = _count(found.copies)
    en = (
        "Nobody's records were read: the residents are invented from the declaration, with an "
        f"outcome that even perfect knowledge ranks right in only {best} of 100 pairs. The noise "
        "is that of the real thing. So the difference between with and without protection tells "
        "what to expect; the figures themselves say nothing about the real residents."
    )
    sv = (
        "Ingens uppgifter har lästs: invånarna är påhittade utifrån deklarationen, med ett utfall "
        f"som inte ens fullständig kunskap rangordnar rätt i mer än {best} av 100 par. Bruset är "
        "det verkliga. Skillnaden mellan med och utan skydd visar alltså vad man kan vänta sig; "
        "siffrorna själva säger ingenting om de verkliga invånarna."
    )
    if found.copies > 1:
        en += f" Each invented resident stands for {many}."
        sv += f" Varje påhittad invånare står för {many}."
    return Bilingual(en=en, sv=sv)


_LOCAL = Bilingual(
    en=(
        "Each department adds all of its noise itself. This protects against everybody "
        "outside the resident's departments: the coordinator, all other departments "
        "together, and whoever sees the result."
    ),
    sv=(
        "Varje förvaltning lägger själv till allt sitt brus. Det skyddar mot alla utanför "
        "invånarens egna förvaltningar: samordnaren, alla andra förvaltningar "
        "tillsammans och den som ser resultatet."
    ),
)
_COVERED = Bilingual(
    en=(
        "The updates go under masks besides, so that the coordinator reads their sum and not what "
        "one department sent. The promise to residents does not rest on that: it holds without "
        "the masks too."
    ),
    sv=(
        "Uppdateringarna går dessutom under masker, så att samordnaren läser deras summa och inte "
        "vad en enskild förvaltning skickade. Löftet till invånarna vilar inte på det: det gäller "
        "också utan maskerna."
    ),
)


def protects(study: Study) -> Bilingual:
    """Give against whom a study's protection holds, and where it ends."""
    if study.privacy.protection is Protection.LOCAL_NOISE:
        return Bilingual(
            en=f"{_LOCAL.en} {_COVERED.en}" if study.masked else _LOCAL.en,
            sv=f"{_LOCAL.sv} {_COVERED.sv}" if study.masked else _LOCAL.sv,
        )
    if study.secure_sum is None:
        return Bilingual(en="Nobody adds noise.", sv="Ingen lägger till brus.")
    most = study.secure_sum.colluders
    also, too = "", ""
    if most:
        also = f", also together with up to {most} of the departments (colluders)"
        too = f", även tillsammans med upp till {most} av förvaltningarna (colluders)"
    weak = _WEAK[study.secure_sum.mode]
    return Bilingual(
        en=(
            "Departments send masked numbers of which only the sum can be read, and share the "
            "noise in it. This protects against the coordinator and whoever sees the "
            f"result{also}. "
            "More departments than that, together with the coordinator, would see sums with less "
            f"noise. {weak.en}"
        ),
        sv=(
            "Förvaltningarna skickar maskerade tal av vilka bara summan kan läsas, och delar på "
            f"bruset i den. Det skyddar mot samordnaren och den som ser resultatet{too}. "
            "Fler förvaltningar än så, tillsammans med samordnaren, skulle se summor med mindre "
            f"brus. {weak.sv}"
        ),
    )


_WEAK = {
    Mode.PAIRWISE: Bilingual(
        en=(
            "Only all other departments together with the coordinator could take the masks off "
            "one department's numbers, which then have its own share of the noise alone."
        ),
        sv=(
            "Bara alla andra förvaltningar tillsammans med samordnaren kan ta bort maskerna från "
            "en förvaltnings tal, som då bara har dess egen del av bruset."
        ),
    ),
    Mode.WITNESS: Bilingual(
        en=(
            "The witness together with the coordinator could take the masks off every "
            "department's numbers, which then have that department's share of the noise alone."
        ),
        sv=(
            "Vittnet tillsammans med samordnaren kan ta bort maskerna från varje förvaltnings "
            "tal, som då bara har den förvaltningens del av bruset."
        ),
    ),
    Mode.BOTH: Bilingual(
        en=(
            "Only the witness, all other departments and the coordinator together could take the "
            "masks off one department's numbers, which then have its own share of the noise alone."
        ),
        sv=(
            "Bara vittnet, alla andra förvaltningar och samordnaren tillsammans kan ta bort "
            "maskerna från en förvaltnings tal, som då bara har dess egen del av bruset."
        ),
    ),
}


def _people(number: float) -> str:
    """Give a number of residents with two digits that count."""
    if number >= 100:  # noqa: PLR2004 - further digits are false precision
        return _count(int(float(f"{number:.2g}")))
    return f"{max(1, round(number))}"


def _count(number: int) -> str:
    return f"{number:,}".replace(",", " ")
