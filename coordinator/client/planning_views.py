"""Plans of studies for people, in Swedish and in English, and as JSON."""

import math
import textwrap

from coordinator.client import privacy
from coordinator.client.output import Json
from coordinator.client.planning import Planned
from models.schema import Bilingual
from models.training import words
from models.training.forecast import Forecast, Noise
from models.training.invented import Assumptions

_WIDTH = 100

_HEAD = Bilingual(
    en="residents,departments,epsilon,steps,noise: step,category,score,AUC,±,without noise",
    sv="invånare,förvaltningar,epsilon,steg,brus: steg,kategori,poäng,AUC,±,utan brus",
)
_NOISE = Bilingual(
    en=(
        "Noise is in residents, as a standard deviation. AUC: 0.5 is a guess, 1 is never wrong. "
        "±: how much the noise moves it from one training to the next."
    ),
    sv=(
        "Brus är i invånare, som standardavvikelse. AUC: 0,5 är en gissning, 1 är aldrig fel. "
        "±: hur mycket bruset flyttar det från en träning till nästa."
    ),
)
_LOCAL = Bilingual(
    en="With local noise only the noise is told here: nothing is tried out.",
    sv="Med lokalt brus anges bara bruset här: ingenting prövas.",
)


def text(items: list[Planned], *, assumed: Assumptions, swedish: bool) -> str:
    """Give the plans for reading: each in words, all in numbers, and what they stand on."""

    def said(sentence: Bilingual) -> str:
        return textwrap.fill(sentence.sv if swedish else sentence.en, _WIDTH)

    blocks = ["\n".join(map(said, (headline(item), *sentences(item)))) for item in items]
    study = items[0].study
    if study.training is not None:
        blocks += [privacy.table(item.preview) for item in items if item.preview is not None]
        blocks.append(said(_LOCAL))
    else:
        numbers = [tuple((_HEAD.sv if swedish else _HEAD.en).split(",")), *rows(items)]
        blocks.append(privacy.aligned(numbers) + "\n" + said(_NOISE))
    if study.privacy.epsilon is not None:
        blocks.append(said(words.protects(study)))
    tried = next((item.forecast for item in reversed(items) if item.forecast is not None), None)
    if tried is not None:
        blocks.append(said(words.caveat(assumed, tried)))
    return "\n\n".join(blocks)


def sentences(item: Planned) -> list[Bilingual]:
    """Give a variation in words."""
    study, found = item.study, item.forecast
    told = []
    if found is not None:
        told = [words.ranking(found)]
        told += [] if study.privacy.holdout.value == 0 else [words.measured(found)]
    if item.noise is not None:
        told.append(words.noise_in_words(item.noise))
    if study.privacy.epsilon is not None and study.privacy.delta is not None:
        told.append(words.promise(study.privacy.epsilon, study.privacy.delta))
    if found is not None and (remedy := words.remedy(found)) is not None:
        told.append(remedy)
    return told


def headline(item: Planned) -> Bilingual:
    """Give a variation in one line."""
    study, found, epsilon = item.study, item.forecast, item.study.privacy.epsilon
    departments = len(study.departments)
    if epsilon is None:
        return Bilingual(
            en=f"{departments} departments, no noise: the data must be public.",
            sv=f"{departments} förvaltningar, inget brus: uppgifterna måste vara offentliga.",
        )
    if found is not None:
        return words.headline(found, epsilon=epsilon, departments=departments)
    number = f"{epsilon.value:g}"
    return Bilingual(
        en=f"{departments} departments, epsilon {number}.",
        sv=f"{departments} förvaltningar, epsilon {number.replace('.', ',')}.",
    )


def as_json(item: Planned) -> Json:
    """Give a variation as JSON, its words in both languages."""
    study, noise, found = item.study, item.noise, item.forecast
    told = [headline(item), *sentences(item)]
    return {
        "study": study.study,
        "departments": len(study.departments),
        "residents": study.secure_sum.residents if study.secure_sum else None,
        "privacy": privacy.as_json(item.preview, study),
        "noise_in_residents": None if noise is None else _noise_json(noise),
        "forecast": None if found is None else _forecast_json(found),
        "words": {"sv": [text.sv for text in told], "en": [text.en for text in told]},
    }


def _noise_json(noise: Noise) -> Json:
    return {"steps": noise.steps, "step": noise.step, "level": noise.level, "score": noise.score}


def _forecast_json(found: Forecast) -> Json:
    return {
        "verdict": words.verdict(found).value,
        "auc": found.protected,
        "auc_without_noise": found.open,
        "cost_deviation": found.spread,
        "release_margin": found.margin,
        "signal": found.signal,
        "repetitions": len(found.trials),
        "residents_per_invented_one": found.copies,
    }


def rows(items: list[Planned]) -> list[tuple[str, ...]]:
    """Give the numbers of the variations with secure sums: one row each, in order."""
    return [_row(item, item.noise) for item in items if item.noise is not None]


def _row(item: Planned, noise: Noise) -> tuple[str, ...]:
    study, found = item.study, item.forecast
    epsilon = study.privacy.epsilon
    return (
        str(study.summed.residents),
        str(len(study.departments)),
        "" if epsilon is None else f"{epsilon.value:g}",
        str(noise.steps),
        *(_two(number) for number in (noise.step, noise.level, noise.score)),
        "-" if found is None else f"{found.protected:.3f}",
        "-" if found is None else f"{found.spread:.3f}",
        "-" if found is None else f"{found.open:.3f}",
    )


def _two(number: float | None) -> str:
    """Give a number with two digits that count, or a dash."""
    if number is None:
        return "-"
    return f"{number:.0f}" if number >= 10 else f"{number:.{1 - math.floor(math.log10(number))}f}"  # noqa: PLR2004 - two digits
