"""A linked study in words, for people who read no formulas: who sees what, and what protects whom.

Every sentence follows from the study by the rules below, and from `models.linkage.plan`.
"""

from dataclasses import dataclass

from models.governance.linked import COORDINATOR, LinkedStudy
from models.governance.study import Protection
from models.governance.words import odds, odds_in_words, one_in, round_up
from models.linkage.layout import layout
from models.schema import Bilingual


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """What one party gets to see. `party` is its name; `readers` are all who read the result."""

    party: str
    sees: Bilingual


READERS = "readers"


def protection_in_words(study: LinkedStudy, loss: float | None) -> Bilingual:
    """Give the whole protection as sentences: the unit, ε as odds, and against whom it holds.

    Args:
        study: that is asked or was answered.
        loss: a spent ε (`models.linkage.plan.epsilon`), of so many runs as the text is about;
            None: no bound.
    """
    delta = study.privacy.delta
    if study.privacy.protection is Protection.NONE or loss is None or delta is None:
        return _both(_OPEN, against_whom(study))
    text, unit = odds_in_words(loss, delta), covered(study)
    promise = text if odds(loss, delta) < _ALL else _both(text, _NOTHING)
    number, rare = round_up(loss), one_in(delta)
    figures = Bilingual(
        en=f"ε = {number}, δ = {rare}.",
        sv=f"ε = {number.replace('.', ',')}, δ = {rare.replace(' in ', ' på ')}.",
    )
    return _both(_NOISY, unit, figures, promise, against_whom(study))


def covered(study: LinkedStudy) -> Bilingual:
    """Give what one ε covers: whose records, of whom, over how many answers."""
    household = study.privacy.unit == "household"
    who = (
        Bilingual(
            en="all residents of a household of the register",
            sv="alla invånare i ett hushåll i registret",
        )
        if household
        else Bilingual(en="one resident", sv="en invånare")
    )
    text = Bilingual(
        en=(
            f"What is protected together is everything that {_list(study.departments, 'and')} "
            f"hold about {who.en}, over {_times(study).en}: this is one charge, which each of "
            "these departments writes into its ledger, and not one for each of them. That "
            "somebody is in the register is no secret here."
        ),
        sv=(
            f"Det som skyddas tillsammans är allt som {_list(study.departments, 'och')} vet om "
            f"{who.sv}, i {_times(study).sv}: det är en enda kostnad, som var och en av "
            "förvaltningarna skriver i sin egen liggare, och inte en för var och en av dem. Att "
            "någon finns i registret är ingen hemlighet här."
        ),
    )
    if not (household or study.linking):
        return text
    rows = study.privacy.rows_per_household
    return _both(
        text,
        Bilingual(
            en=(
                f"A department's own records count for at most {rows} of a household's residents; "
                "the others of the household are left out."
            ),
            sv=(
                f"En förvaltnings egna uppgifter räknas för högst {rows} av hushållets invånare; "
                "övriga i hushållet lämnas utanför."
            ),
        ),
    )


def against_whom(study: LinkedStudy) -> Bilingual:
    """Give whom the protection holds against, and, as plainly, when there is none left."""
    servers = (COORDINATOR, *study.committee.names)
    one = Bilingual(
        en=(
            f"Three servers compute: {_list(servers, 'and')}, run by "
            f"{_list(study.committee.owners, 'and')}. If one of them, whichever it is, looks into "
            f"everything it holds, it sees only random numbers{_full_noise(study).en}."
        ),
        sv=(
            f"Tre servrar räknar: {_list(_swedish(servers), 'och')}, som drivs av "
            f"{_list(study.committee.owners, 'och')}. Om en av dem, vilken som helst, tittar på "
            f"allt den har, ser den bara slumptal{_full_noise(study).sv}."
        ),
    )
    private = study.privacy.protection is not Protection.NONE
    everyone = (_EVERYONE,) if private else ()
    steps = (_HONEST_SERVER,) if layout(study).derived else ()
    return _both(one, *everyone, _POOLING, _HONEST, *steps)


def sights(study: LinkedStudy) -> tuple[Sight, ...]:
    """Give what each party gets to see: departments, then servers, then readers of the result."""
    servers = (COORDINATOR, *study.committee.names)
    found = [
        Sight(party=name, sees=_both(_DEPARTMENT, *([_ALSO] if name in servers else [])))
        for name in study.departments
    ]
    found.append(Sight(party=COORDINATOR, sees=_both(_SERVER, _NAMELESS, _OPENS)))
    found += [
        Sight(party=name, sees=_both(_SERVER, _NAMELESS))
        for name in study.committee.names
        if name not in study.departments
    ]
    private = study.privacy.protection is not Protection.NONE
    found.append(Sight(party=READERS, sees=_READ if private else _READ_OPEN))
    return tuple(found)


_ALL = 100

_OPEN = Bilingual(
    en=(
        "No noise is added: the departments declared the data public. Cells of 1 to 4 residents "
        "are withheld. There is no mathematical protection of the residents in the data."
    ),
    sv=(
        "Inget brus läggs till: förvaltningarna har deklarerat uppgifterna som offentliga. Celler "
        "med 1 till 4 invånare visas inte. Det finns inget matematiskt skydd för invånarna i "
        "uppgifterna."
    ),
)
_NOISY = Bilingual(
    en=(
        "Departments cut their records into random shares; the tables are computed on the shares, "
        "and only tables with noise in every cell are opened."
    ),
    sv=(
        "Förvaltningarna delar upp sina uppgifter i slumpmässiga delar; tabellerna räknas fram "
        "på delarna, och bara tabeller med brus i varje cell öppnas."
    ),
)
_EVERYONE = Bilingual(
    en=(
        "The protection also holds against a department that feeds in or knows the whole register, "
        "and against everyone who reads the result."
    ),
    sv=(
        "Skyddet gäller också mot en förvaltning som matar in eller känner hela registret, och mot "
        "alla som läser resultatet."
    ),
)
_NOTHING = Bilingual(
    en="So for such a guess this epsilon promises nothing; a smaller one would.",
    sv="För en sådan gissning lovar detta epsilon alltså inget; ett mindre gör det.",
)
_POOLING = Bilingual(
    en=(
        "It does not hold if two of the three servers pool what they hold: together they can read "
        "every record that the departments shared. Nothing in the program can prevent that, which "
        "is why the three must have owners that do not answer to each other, and why the shares "
        "are erased when the result has been made."
    ),
    sv=(
        "Det gäller inte om två av de tre servrarna slår ihop vad de har: tillsammans kan de läsa "
        "alla uppgifter som förvaltningarna har delat upp. Ingenting i programmet kan hindra det. "
        "Därför måste de tre ha ägare som inte lyder under varandra, och därför raderas delarna "
        "när resultatet är klart."
    ),
)
_HONEST = Bilingual(
    en=(
        "It also rests on programs that follow the rules: the study names the approved program by "
        "its hash. A department whose program were another one and shared other numbers than "
        "zeros and ones could give one resident so much weight that the noise no longer hides "
        "what other departments hold about that resident."
    ),
    sv=(
        "Det vilar också på program som följer reglerna: studien anger det godkända programmet "
        "med dess hash. En förvaltning vars program vore ett annat och delade upp andra tal än "
        "nollor och ettor kan ge en invånare så stor vikt att bruset inte längre döljer vad andra "
        "förvaltningar vet om den invånaren."
    ),
)
_HONEST_SERVER = Bilingual(
    en="The same goes for a server of this study, whose tables multiply in two steps.",
    sv="Detsamma gäller en server i denna studie, vars tabeller multipliceras i två steg.",
)
_DEPARTMENT = Bilingual(
    en=(
        "Its own records, as always, and the result. Of the other departments' clients it learns "
        "neither who nor how many they are, beyond what the result says."
    ),
    sv=(
        "Sina egna uppgifter, som alltid, och resultatet. Om de andra förvaltningarnas klienter "
        "får den inte veta vilka eller hur många de är, utöver det som resultatet säger."
    ),
)
_SERVER = Bilingual(
    en=(
        "Shares that are random numbers, how many residents the register has, what the study "
        "asks, and which departments took part."
    ),
    sv=(
        "Delar som är slumptal, hur många invånare registret har, vad studien frågar, och vilka "
        "förvaltningar som deltog."
    ),
)
_NAMELESS = Bilingual(
    en="It does not know which row is which resident: the departments keep that order secret.",
    sv="Den vet inte vilken rad som är vilken invånare: den ordningen håller bara förvaltningarna.",
)
_ALSO = Bilingual(
    en=(
        "It is also one of the three servers, and holds shares of the others' records, which are "
        "random numbers to it. It knows which row is which resident, so if it pooled them with "
        "another server, the records would have names."
    ),
    sv=(
        "Den är också en av de tre servrarna och har delar av de andras uppgifter, som för den "
        "är slumptal. Den vet vilken rad som är vilken invånare: slår den ihop delarna med en "
        "annan server får uppgifterna namn."
    ),
)
_OPENS = Bilingual(
    en="It adds up the three servers' numbers, and thereby opens the tables of the result.",
    sv="Den lägger ihop de tre servrarnas tal och öppnar därmed resultatets tabeller.",
)
_READ = Bilingual(
    en="Tables of residents with noise in every cell, and figures with intervals made from them.",
    sv="Tabeller över invånare med brus i varje cell, och siffror med intervall ur dem.",
)
_READ_OPEN = Bilingual(
    en="Tables of residents without noise, without cells of 1 to 4 residents, and figures.",
    sv="Tabeller över invånare utan brus, utan celler med 1 till 4 invånare, och siffror.",
)


def _full_noise(study: LinkedStudy) -> Bilingual:
    if study.privacy.protection is Protection.NONE:
        return Bilingual(en="", sv="")
    return Bilingual(
        en=", and the noise of the other two is all that was promised",
        sv=", och de andra tvås brus är hela det utlovade",
    )


def _times(study: LinkedStudy) -> Bilingual:
    """Give over how many answers the ε of the study is counted."""
    releases, spare = study.privacy.releases, study.privacy.spare_runs
    en = "one result" if releases == 1 else f"all {releases} results"
    sv = "ett resultat" if releases == 1 else f"alla {releases} resultat"
    if spare:
        runs = "1 run that fails" if spare == 1 else f"{spare} runs that fail"
        fall = "1 körning som misslyckas" if spare == 1 else f"{spare} körningar som misslyckas"
        en, sv = f"{en} and {runs}", f"{sv} och {fall}"
    return Bilingual(en=en, sv=sv)


def _swedish(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple("samordnaren" if name == COORDINATOR else name for name in names)


def _list(names: tuple[str, ...], word: str) -> str:
    """Give names as people list them."""
    return f" {word} ".join(part for part in (", ".join(names[:-1]), names[-1]) if part)


def _both(*parts: Bilingual) -> Bilingual:
    """Give texts one after the other."""
    return Bilingual(en=" ".join(part.en for part in parts), sv=" ".join(part.sv for part in parts))
