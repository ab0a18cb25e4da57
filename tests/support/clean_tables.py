"""Clean tables of the agreed shape, filled by chance: quick to make, and of no meaning."""

import numpy as np
import pandas as pd

from demo.city.numbers import Numbers

DISTRICTS = ("Centrum", "Norrängen", "Österlyckan", "Åbrinken")
PROGRAMMES = ("JOBBSOK", "PRAKTIK", "OSA", "SFI_KOMBI", "FERIEJOBB")


def make(*, persons: int, numbers: Numbers, seed: int) -> dict[str, pd.DataFrame]:
    """Give every table that departments deliver, for `persons` persons and their records."""
    draw = np.random.default_rng(seed)
    born = np.datetime64("1990-01-01") + draw.integers(-9000, 9000, persons)
    woman = draw.random(persons) < 0.5
    people = np.sort(numbers.persons(born=born.astype("datetime64[D]"), woman=woman))
    return {
        "kir_person": _register(draw, people, numbers),
        **_assistance(draw, people, numbers),
        **_labour(draw, people, numbers),
        **_schools(draw, people),
        **_care(draw, people, numbers),
    }


def _register(draw, people, numbers):
    return _frame(
        pnr=people,
        bostad_id=numbers.running("B", len(people), width=6),
        fodelsear=[int(number[:4]) for number in people],
        kon=draw.choice(["K", "M"], len(people)),
        stadsdel_kod=draw.integers(1, 13, len(people)),
        fodd_utomlands=draw.integers(0, 2, len(people)),
        inflyttad=_days(draw, len(people)),
        skyddad=draw.integers(0, 2, len(people)),
    )


def _assistance(draw, people, numbers):
    households = numbers.running("H", len(people), width=6)
    who, month = _months(draw, people, 24)
    rows = len(who)
    place = np.searchsorted(people, who)
    decided, reported = _some(draw, people, 2), _some(draw, people, 0.3)
    return {
        "sof_person": _frame(
            pnr=people,
            hushall_id=households,
            roll=draw.choice(["sokande", "barn"], len(people)),
            stadsdel=draw.choice(DISTRICTS, len(people)),
            utb=_gaps(draw, draw.integers(1, 4, len(people)), 0.22),
            fodelseland_grp=draw.choice(["Sverige", "Utlandet"], len(people)),
            kontor=draw.choice(["Norr", "Mitt", "Syd"], len(people)),
        ),
        "sof_utbetalning": _frame(
            hushall_id=households[place],
            sokande_pnr=who,
            manad=month,
            belopp_kr=draw.integers(500, 40_000, rows),
            hinder=draw.choice(["ARB", "SJUK"], rows),
            antal_barn=draw.integers(0, 7, rows),
        ),
        "sof_beslut": _frame(
            beslut_id=numbers.running("SB", len(decided), width=7),
            sokande_pnr=decided,
            datum=_days(draw, len(decided)),
            utfall=draw.choice(["bifall", "avslag"], len(decided)),
            handlaggare=draw.integers(1, 41, len(decided)),
        ),
        "sof_barn": _frame(
            pnr=reported,
            anmalan_datum=_days(draw, len(reported)),
            utredning=draw.integers(0, 2, len(reported)),
        ).drop_duplicates(["pnr", "anmalan_datum"], ignore_index=True),
    }


def _labour(draw, people, numbers):
    who = _some(draw, people, 1.5)
    serials = numbers.running("I", len(who), width=7)
    begun = _days(draw, len(who)).astype("datetime64[M]").astype("datetime64[s]")
    ended = begun + draw.integers(30, 200, len(who)) * np.timedelta64(86_400, "s")
    running = draw.random(len(who)) < 0.1
    ended[running] = np.datetime64("NaT")
    reasons = draw.choice(["ARBETE", "AVBROTT"], len(who)).astype(object)
    reasons[running] = None
    programme, month = _months(draw, np.arange(len(who)), 6)
    planned = draw.integers(60, 177, len(programme))
    attended = (planned * draw.random(len(programme))).astype(np.int64)
    levels = draw.choice(["A", "B", "C", "D"], len(people)).astype(object)
    levels[draw.random(len(people)) < 0.6] = None
    return {
        "amf_person": _frame(
            pnr=people,
            kon=draw.integers(1, 3, len(people)),
            stadsdel=draw.choice(DISTRICTS, len(people)),
            utb=_gaps(draw, draw.integers(1, 4, len(people)), 0.08),
            sfi_niva=levels,
        ),
        "amf_insats": _frame(
            insats_id=serials,
            pnr=who,
            typ=draw.choice(PROGRAMMES, len(who)),
            start=begun,
            slut=ended,
            slutorsak=reasons,
        ),
        "amf_aktivitet": _frame(
            insats_id=serials[programme],
            pnr=who[programme],
            manad=month,
            planerade_tim=planned,
            narvaro_tim=attended,
        ),
    }


def _schools(draw, people):
    who = np.repeat(people, 4)
    spring = (draw.integers(2019, 2025, len(people))[:, None] + np.arange(-3, 1)).ravel()
    grade = np.tile(np.arange(6, 10), len(people))
    rows = len(who)
    second = draw.choice(people, rows).astype(object)
    second[draw.random(rows) < 0.2] = None
    months = np.repeat(np.arange(rows), 3)
    absent = draw.integers(1, 200, (2, len(months))) / 10
    final = grade == 9
    graded = np.repeat(np.flatnonzero(final), 5)
    supported = np.flatnonzero(draw.random(rows) < 0.2)
    return {
        "skf_elev": _frame(
            pnr=who,
            lasar=spring,
            arskurs=grade,
            skola_id=draw.choice([f"S{school:02d}" for school in range(1, 25)], rows),
            omrade=draw.choice(["Norr", "Mitt", "Syd"], rows),
            vh1_pnr=draw.choice(people, rows),
            vh2_pnr=second,
            vh_utb=_gaps(draw, draw.integers(1, 4, rows), 0.35),
            nyanland=draw.integers(0, 2, rows),
            kon=draw.choice(["Pojke", "Flicka"], rows),
        ),
        "skf_franvaro": _frame(
            pnr=who[months],
            lasar=spring[months],
            manad=[f"{spring[row] - 1}-{9 + step % 3:02d}" for step, row in enumerate(months)],
            planerad_tim=draw.integers(60, 131, len(months)),
            giltig_tim=absent[0],
            ogiltig_tim=absent[1],
        ),
        "skf_betyg": _frame(
            pnr=who[graded],
            lasar=spring[graded],
            arskurs=grade[graded],
            amne=np.tile(["EN", "MA", "SV", "BL", "TK"], int(final.sum())),
            betyg=draw.choice(["A", "E", "F", "-"], len(graded)),
        ),
        "skf_slutbetyg": _frame(
            pnr=who[final],
            lasar=spring[final],
            meritvarde=draw.integers(0, 137, int(final.sum())) * 2.5,
            antal_f=draw.integers(0, 18, int(final.sum())),
            behorig_yrkes=draw.integers(0, 2, int(final.sum())),
            alla_amnen=draw.integers(0, 2, int(final.sum())),
        ),
        "skf_stod": _frame(
            pnr=who[supported],
            lasar=spring[supported],
            typ=draw.choice(["ENSKILD", "STODLARARE"], len(supported)),
            start=_days(draw, len(supported)),
            slut=pd.Series(_days(draw, len(supported))).mask(draw.random(len(supported)) < 0.1),
        ),
    }


def _care(draw, people, numbers):
    decided = _some(draw, people, 1.5)
    ended = pd.Series(_days(draw, len(decided))).mask(draw.random(len(decided)) < 0.4)
    who, month = _months(draw, people, 12)
    return {
        "vof_person": _frame(
            pnr=people,
            kon=draw.choice(["man", "kvinna", "okänt"], len(people)),
            fodelsear=[int(number[:4]) for number in people],
            ensamboende=draw.integers(0, 2, len(people)),
            stadsdel=draw.choice(DISTRICTS, len(people)),
        ),
        "vof_beslut": _frame(
            beslut_id=numbers.running("VB", len(decided), width=7),
            pnr=decided,
            insats=draw.choice(["HTJ", "LARM"], len(decided)),
            start=_days(draw, len(decided)),
            slut=ended,
            timmar_man=pd.Series(draw.integers(10, 3000, len(decided)) / 10).mask(
                draw.random(len(decided)) < 0.3
            ),
        ),
        "vof_utford": _frame(pnr=who, manad=month, timmar=draw.integers(0, 3501, len(who)) / 10),
    }


def _frame(**columns):
    frame = pd.DataFrame(columns)
    return frame.astype({name: "str" for name in frame if frame[name].dtype == object})


def _some(draw, people, rate):
    return np.sort(draw.choice(people, round(rate * len(people))))


def _months(draw, owners, length):
    """Give `length` months in a row to each owner, from January 2016 on."""
    first = draw.integers(0, 108 - length, len(owners))
    month = (first[:, None] + np.arange(length)).ravel()
    texts = np.datetime_as_string(np.datetime64("2016-01", "M") + month)
    return np.repeat(owners, length), texts.astype(object)


def _days(draw, count):
    return (np.datetime64("2016-01-01") + draw.integers(0, 3200, count)).astype("datetime64[s]")


def _gaps(draw, values, rate):
    return pd.arrays.IntegerArray(values.astype(np.int64), draw.random(len(values)) < rate)
