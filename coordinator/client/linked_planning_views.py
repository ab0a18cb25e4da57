"""Plans of linked studies for people, in Swedish and in English, and as JSON."""

import math
import textwrap
from collections.abc import Iterator, Sequence

from coordinator.client.linked_planning import LinkedPlanned
from coordinator.client.output import Json
from coordinator.client.privacy import aligned
from models.linkage import words
from models.linkage.asked import asked
from models.linkage.expected import Expectation
from models.schema import Bilingual

_WIDTH = 100
_MOST = 24
"""Figures of a question that are printed; JSON has all of them."""

_HEAD = Bilingual(
    en="figure,expected 95 % interval,of it noise alone,",
    sv="siffra,väntat 95 %-intervall,därav bara brus,",
)
_DROWNS = Bilingual(en="will drown in noise", sv="kommer att drunkna i brus")
_UNKNOWN = Bilingual(en="not determined", sv="kan inte bestämmas")
_SIZES = Bilingual(
    en=(
        "The intervals are what public numbers of residents lead to: those given with --size, and "
        "else the whole register, in equal parts. Nobody's records were read. Fewer residents, or "
        "categories that are rare, make them wider."
    ),
    sv=(
        "Intervallen följer av offentliga antal invånare: dem som anges med --size, och annars "
        "hela registret i lika delar. Ingens uppgifter har lästs. Färre invånare, eller ovanliga "
        "kategorier, gör dem bredare."
    ),
)
_REMEDY = Bilingual(
    en=(
        "What would help: fewer questions or categories at once, a larger epsilon (weaker "
        "protection), fewer releases, or more residents to ask about."
    ),
    sv=(
        "Det som skulle hjälpa: färre frågor eller kategorier på en gång, ett större epsilon "
        "(svagare skydd), färre resultat, eller fler invånare att fråga om."
    ),
)


def text(items: Sequence[LinkedPlanned], *, swedish: bool) -> str:
    """Give the plans for reading: how sharp the answers will be, the load, and who is protected."""

    def said(sentence: Bilingual) -> str:
        return textwrap.fill(sentence.sv if swedish else sentence.en, _WIDTH)

    blocks: list[str] = []
    for item in items:
        blocks.append("\n".join(map(said, (headline(item), verdict(item), noise(item)))))
        blocks += _questions(item, swedish=swedish)
    blocks.append("\n".join(map(said, (_SIZES, load(items[-1])))))
    blocks.append(said(words.protection_in_words(items[-1].study, items[-1].whole)))
    return "\n\n".join(blocks)


def headline(item: LinkedPlanned) -> Bilingual:
    """Give a variation in one line."""
    study = item.study
    residents, departments = _count(study.register.residents), len(study.departments)
    if item.whole is None or study.privacy.epsilon is None:
        return Bilingual(
            en=f"{departments} departments, up to {residents} residents, no noise: "
            "the data must be public.",
            sv=f"{departments} förvaltningar, upp till {residents} invånare, inget brus: "
            "uppgifterna måste vara offentliga.",
        )
    household = study.privacy.unit == "household"
    number, runs = f"{study.privacy.epsilon.value:g}", study.privacy.runs
    return Bilingual(
        en=(
            f"{departments} departments, up to {residents} residents, epsilon {number} for one "
            f"{study.privacy.unit} over {runs} run{'s' if runs > 1 else ''}."
        ),
        sv=(
            f"{departments} förvaltningar, upp till {residents} invånare, epsilon "
            f"{number.replace('.', ',')} för {'ett hushåll' if household else 'en invånare'} över "
            f"{runs} körning{'ar' if runs > 1 else ''}."
        ),
    )


def verdict(item: LinkedPlanned) -> Bilingual:
    """Give in words whether the answers will tell anything, and what would help."""
    drowned = [found for found in item.expected if found.drowns]
    if not item.expected:
        return Bilingual(
            en="No figure is computed from the tables; their cells are the answer.",
            sv="Inga siffror räknas ut ur tabellerna; deras celler är svaret.",
        )
    if not drowned:
        return Bilingual(
            en="No figure is expected to drown in noise.",
            sv="Ingen siffra väntas drunkna i brus.",
        )
    names = list(dict.fromkeys(found.question for found in drowned))
    whole = [name for name in names if all(f.drowns for f in item.expected if f.question == name)]
    if whole:
        en = f"This question will drown in noise: {', '.join(whole)}."
        sv = f"Den här frågan kommer att drunkna i brus: {', '.join(whole)}."
        if len(whole) > 1:
            en = en.replace("This question", "These questions", 1)
            sv = sv.replace("Den här frågan", "De här frågorna", 1)
    else:
        en = f"{len(drowned)} of {len(item.expected)} figures will drown in noise."
        sv = f"{len(drowned)} av {len(item.expected)} siffror kommer att drunkna i brus."
    return Bilingual(en=f"{en} {_REMEDY.en}", sv=f"{sv} {_REMEDY.sv}")


def noise(item: LinkedPlanned) -> Bilingual:
    """Give the noise of one cell, in residents."""
    cells = _count(item.plan.layout.cells)
    if item.whole is None:
        return Bilingual(
            en=f"{cells} cells are opened, without noise.",
            sv=f"{cells} celler öppnas, utan brus.",
        )
    off = _two(math.sqrt(item.plan.noise.variance.value))
    return Bilingual(
        en=f"{cells} cells are opened; each is off by about {off} residents.",
        sv=f"{cells} celler öppnas; var och en är fel på ungefär {_comma(off)} invånare.",
    )


def load(item: LinkedPlanned) -> Bilingual:
    """Give what a run asks of departments and servers."""
    up = [(name, _size(octets)) for name, octets in item.load.up.items()]
    en = (
        f"One run: {', '.join(f'{name} uploads {size}' for name, size in up)}; a server receives "
        f"{_size(item.load.down)} and needs at most {_size(item.load.memory)} of memory; "
        f"{_count(item.load.chunks)} part{'s' if item.load.chunks > 1 else ''}."
    )
    sv = (
        f"En körning: {', '.join(f'{name} laddar upp {_comma(size)}' for name, size in up)}; en "
        f"server tar emot {_comma(_size(item.load.down))} och behöver högst "
        f"{_comma(_size(item.load.memory))} minne; {_count(item.load.chunks)} "
        f"del{'ar' if item.load.chunks > 1 else ''}."
    )
    if item.load.between:
        en += f" Each server sends another one {_size(item.load.between)}."
        sv += f" Varje server skickar {_comma(_size(item.load.between))} till en annan."
    return Bilingual(en=en, sv=sv)


def _questions(item: LinkedPlanned, *, swedish: bool) -> Iterator[str]:
    for question in asked(item.study):
        title = question.title.sv if swedish else question.title.en
        found = [one for one in item.expected if one.question == question.name]
        lines = [f"{question.name}: {title}"]
        if found:
            head = tuple((_HEAD.sv if swedish else _HEAD.en).split(","))
            rows = [_row(one, swedish=swedish) for one in found[:_MOST]]
            lines.append(aligned([head, *rows]))
        if len(found) > _MOST:
            more = len(found) - _MOST
            lines.append(
                f"  … och {more} till (--output json)"
                if swedish
                else f"  … and {more} more (--output json)"
            )
        yield "\n".join(lines)


def _row(found: Expectation, *, swedish: bool) -> tuple[str, ...]:
    mark = (_DROWNS.sv if swedish else _DROWNS.en) if found.drowns else ""
    name = f"{found.kind}: {found.name}"
    if found.half_width is None or found.noise is None:
        return (name, _UNKNOWN.sv if swedish else _UNKNOWN.en, "-", mark)
    numbers = [f"± {_two(number)}" for number in (found.half_width, found.noise)]
    if swedish:
        numbers = [_comma(number) for number in numbers]
    return (name, *numbers, mark)


def as_json(item: LinkedPlanned) -> Json:
    """Give a variation as JSON, its words in both languages."""
    study = item.study
    told = [headline(item), verdict(item), noise(item), load(item)]
    told.append(words.protection_in_words(study, item.whole))
    return {
        "study": study.study,
        "departments": len(study.departments),
        "residents": study.register.residents,
        "privacy": {
            "protection": study.privacy.protection.value,
            "unit": study.privacy.unit,
            "epsilon": study.privacy.epsilon.value if study.privacy.epsilon else None,
            "delta": study.privacy.delta.value if study.privacy.delta else None,
            "runs": study.privacy.runs,
            "epsilon_of_one_run": item.once,
            "epsilon_if_all_is_used": item.whole,
        },
        "noise_in_residents": math.sqrt(item.plan.noise.variance.value),
        "cells": item.plan.layout.cells,
        "load": {
            "upload_bytes": dict(item.load.up),
            "server_receives_bytes": item.load.down,
            "server_to_server_bytes": item.load.between,
            "server_memory_bytes": item.load.memory,
            "parts": item.load.chunks,
        },
        "expected": [_expected(found) for found in item.expected],
        "drowns": any(found.drowns for found in item.expected),
        "words": {"sv": [text.sv for text in told], "en": [text.en for text in told]},
    }


def _expected(found: Expectation) -> Json:
    return {
        "question": found.question,
        "analysis": found.analysis,
        "kind": found.kind,
        "figure": found.name,
        "half_width": found.half_width,
        "noise_alone": found.noise,
        "drowns": found.drowns,
    }


def _two(number: float) -> str:
    """Give a number with two digits that count."""
    if number <= 0:
        return "0"
    return f"{number:.{max(0, 1 - math.floor(math.log10(number)))}f}"


def _size(octets: int) -> str:
    """Give a number of bytes for people, rounded up."""
    if octets < 1_000_000:  # noqa: PLR2004 - below, kilobytes say more
        return f"{math.ceil(octets / 1000)} kB"
    return f"{_two(math.ceil(octets / 100_000) / 10)} MB"


def _comma(text: str) -> str:
    return text.replace(".", ",")


def _count(number: int) -> str:
    return f"{number:,}".replace(",", " ")
