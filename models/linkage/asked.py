"""What a linked study asks, question by question, in words."""

from dataclasses import dataclass

from models.governance.linked import LinkedDraft
from models.governance.questions import CellFit, Comparison, Hazard, Question, Relations, Table
from models.schema import Bilingual


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One question: its name, title, and what is counted for it."""

    name: str
    title: Bilingual
    text: Bilingual


def asked(study: LinkedDraft) -> tuple[Asked, ...]:
    """Give every question of a study (or draft) in words, in order."""
    return tuple(
        Asked(name=item.name, title=item.title, text=_text(study, item)) for item in study.questions
    )


def source(study: LinkedDraft, name: str) -> Bilingual:
    """Give a variable with whose it is: `absence (skf)`, `heavy_care (vof, of the household)`."""
    item = study.variable(name)
    own = item.of == "resident"
    return Bilingual(
        en=f"{name} ({item.department}{'' if own else ', of the household'})",
        sv=f"{name} ({item.department}{'' if own else ', hushållets'})",
    )


def _text(study: LinkedDraft, question: Question) -> Bilingual:
    if isinstance(question, Table):
        return _table(study, question)
    if isinstance(question, Relations):
        return _relations(study, question)
    return _hazard(study, question)


def _table(study: LinkedDraft, question: Table) -> Bilingual:
    match = question.match
    axes = [
        Bilingual(en=f"{name} (below)", sv=f"{name} (nedan)")
        if match is not None and name == match.name
        else source(study, name)
        for name in question.of
    ]
    parts = [
        Bilingual(
            en=f"How many residents are in each combination of {_and(axes).en}.",
            sv=f"Hur många invånare som finns i varje kombination av {_and(axes).sv}.",
        )
    ]
    if match is not None:
        owner = study.variable(match.variables[0]).department
        first, last = match.variables[0], match.variables[-1]
        by = source(study, match.by)
        parts.append(
            Bilingual(
                en=(
                    f"{match.name}: of {first} to {last} ({owner}) the one that belongs to the "
                    f"resident's {by.en}."
                ),
                sv=(
                    f"{match.name}: av {first} till {last} ({owner}) den som hör till invånarens "
                    f"{by.sv}."
                ),
            )
        )
    if question.analyses:
        found = [_analysis(item) for item in question.analyses]
        parts.append(
            Bilingual(
                en=f"From that, without further cost: {'; '.join(item.en for item in found)}.",
                sv=f"Ur det, utan ytterligare kostnad: {'; '.join(item.sv for item in found)}.",
            )
        )
    return _joined(parts)


_SCALES = {
    "share": Bilingual(en="the shares of", sv="andelarna av"),
    "mean": Bilingual(en="the mean of", sv="medelvärdet av"),
    "log-mean": Bilingual(en="the mean of the logarithm of", sv="medelvärdet av logaritmen av"),
}


def _analysis(item: Comparison | CellFit) -> Bilingual:
    if isinstance(item, Comparison):
        scale = _SCALES[item.scale]
        return Bilingual(
            en=f"{scale.en} {item.outcome} by {item.by}, and how they differ",
            sv=f"{scale.sv} {item.outcome} efter {item.by}, och hur de skiljer sig",
        )
    terms = (*item.terms, *(f"{one} * {other}" for one, other in item.products))
    en = f"a logistic regression of {item.outcome} on {', '.join(terms)}"
    sv = f"en logistisk regression av {item.outcome} på {', '.join(terms)}"
    if item.test:
        en += f", with a test of whether {', '.join(item.test)} has any effect"
        sv += f", med ett test av om {', '.join(item.test)} har någon effekt"
    return Bilingual(en=en, sv=sv)


def _relations(study: LinkedDraft, question: Relations) -> Bilingual:
    named = _and([source(study, name) for name in question.of])
    pairs = [f"{one} * {other}" for one, other in question.crossed]
    en = (
        f"All tables of one and of two of these {len(question.of)} variables: {named.en}. From "
        "them, without further cost: shares, means, correlations and the strongest relations"
    )
    sv = (
        f"Alla tabeller över en och över två av dessa {len(question.of)} variabler: {named.sv}. "
        "Ur dem, utan ytterligare kostnad: andelar, medelvärden, korrelationer och de starkaste "
        "sambanden"
    )
    if question.outcome is not None:
        en += f", and models that predict {question.outcome}"
        sv += f", och modeller som förutsäger {question.outcome}"
    parts = [Bilingual(en=f"{en}.", sv=f"{sv}.")]
    if pairs:
        parts.append(
            Bilingual(
                en=f"Interactions count as variables: {', '.join(pairs)}.",
                sv=f"Samspel räknas som variabler: {', '.join(pairs)}.",
            )
        )
    return _joined(parts)


def _hazard(study: LinkedDraft, question: Hazard) -> Bilingual:
    state, entry = source(study, question.duration), source(study, question.entry)
    bands = ", ".join(str(last) for last in question.bands)
    parts = [
        Bilingual(
            en=(
                f"How many residents leave a state, month by month ({state.en}), before and after "
                f"a measure began ({entry.en}): begun by month {bands} of the state, or later. "
                f"A measure can have an effect for {question.window} months."
            ),
            sv=(
                f"Hur många invånare som lämnar ett tillstånd, månad för månad ({state.sv}), före "
                f"och efter att en åtgärd började ({entry.sv}): påbörjad senast månad {bands} av "
                f"tillståndet, eller senare. En åtgärd kan ha effekt i {question.window} månader."
            ),
        )
    ]
    if question.strata:
        names = ", ".join(question.strata)
        parts.append(Bilingual(en=f"Apart for {names}.", sv=f"Uppdelat efter {names}."))
    return _joined(parts)


def _and(items: list[Bilingual]) -> Bilingual:
    """Give texts as people list them."""
    if len(items) == 1:
        return items[0]
    return Bilingual(
        en=f"{', '.join(item.en for item in items[:-1])} and {items[-1].en}",
        sv=f"{', '.join(item.sv for item in items[:-1])} och {items[-1].sv}",
    )


def _joined(parts: list[Bilingual]) -> Bilingual:
    return Bilingual(en=" ".join(part.en for part in parts), sv=" ".join(part.sv for part in parts))
