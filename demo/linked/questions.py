"""The five joint questions of the demo city, and three whose true answer is: nothing.

Each is a linked study of its own, with its own ε. They are asked of households: what social
services or care know of one person decides over what is counted of another in the same home. So
of each household one resident's records count, but for what is said of the home as a whole.
"""

from demo.linked.joint import (
    CARE,
    LABOUR,
    REGISTER,
    SCHOOLS,
    SOCIAL,
    Joint,
    home,
    own,
    pupil,
)

_YEARS = range(2019, 2025)
_HALVES = tuple((year, half) for year in range(2016, 2025) for half in (1, 2))
_JANUARIES = range(2017, 2025)


ASSISTANCE = Joint(
    code="J1",
    study="long-assistance-and-eligibility",
    sv="Blir elever vars hem har haft långvarigt ekonomiskt bistånd behöriga till gymnasieskolan?",
    en="Do pupils whose home has had long-term assistance become eligible for upper secondary?",
    variables=(
        pupil("eligible", "behorig"),
        own("assistance", SOCIAL, "sof_elev_underlag", "langvarigt_bistand", absent=True),
    ),
    questions=(
        {
            "kind": "table",
            "name": "eligibility",
            "of": ["eligible", "assistance"],
            "analyses": [
                {
                    "kind": "compare",
                    "outcome": "eligible",
                    "by": "assistance",
                    "as_first": ["assistance"],
                },
            ],
        },
    ),
)

WORK = Joint(
    code="J2",
    study="work-and-leaving-assistance",
    sv="Leder en arbetsnära insats ut ur ekonomiskt bistånd, och när i biståndsperioden?",
    en="Does a work-based programme lead out of assistance, and when in the period?",
    variables=(
        own("began", SOCIAL, "sof_period_underlag", "borjade_manad_nr"),
        own("months", SOCIAL, "sof_period_underlag", "manader_hogst_24"),
        own("ended", SOCIAL, "sof_period_underlag", "slutade"),
        own("within_a_year", SOCIAL, "sof_period_underlag", "slutade_inom_ett_ar"),
        own("programme", LABOUR, "amf_arbetsnara_underlag", "borjade_arbetsnara_nr"),
        {
            "name": "took_part",
            "department": LABOUR,
            "dataset": "amf_arbetsnara_underlag",
            "absent": True,
        },
    ),
    questions=(
        {
            "kind": "hazard",
            "name": "leaving",
            "start": "began",
            "duration": "months",
            "event": "ended",
            "entry": "programme",
            "bands": [6, 12],
            "window": 6,
        },
        {
            "kind": "table",
            "name": "crude",
            "of": ["within_a_year", "took_part"],
            "analyses": [{"kind": "compare", "outcome": "within_a_year", "by": "took_part"}],
        },
    ),
)

ABSENCE = Joint(
    code="J3",
    study="care-at-home-and-absence",
    sv="Är elever mer frånvarande när någon i hemmet har omfattande omsorg?",
    en="Are pupils more absent when somebody at home has extensive care?",
    variables=(
        pupil("absence", "franvaro_hogst_60"),
        pupil("year", "vartermin"),
        *(
            home(f"care_{year}", CARE, "vof_hem_underlag", f"omfattande_skolar_{year}")
            for year in _YEARS
        ),
    ),
    questions=(
        {
            "kind": "table",
            "name": "absence_by_care",
            "of": ["absence", "care"],
            "match": {
                "name": "care",
                "by": "year",
                "variables": [f"care_{year}" for year in _YEARS],
            },
            "analyses": [
                {
                    "kind": "compare",
                    "outcome": "absence",
                    "by": "care",
                    "scale": "log-mean",
                    "as_first": ["care"],
                },
                {
                    "kind": "compare",
                    "outcome": "absence",
                    "by": "care",
                    "scale": "mean",
                    "as_first": ["care"],
                },
            ],
        },
    ),
)

SUPPORT = Joint(
    code="J4",
    study="support-and-eligibility",
    sv="Hjälper särskilt stöd, när man ser till vilka som får det?",
    en="Does special support help, once one looks at who gets it?",
    variables=(
        pupil("eligible", "behorig"),
        pupil("support", "sarskilt_stod"),
        pupil("failed_maths", "underkand_matematik"),
        pupil("absence", "franvaro_klass"),
        own("inquiry", SOCIAL, "sof_elev_underlag", "utredd", absent=True),
    ),
    questions=(
        {
            "kind": "table",
            "name": "eligibility",
            "of": ["eligible", "support", "failed_maths", "absence", "inquiry"],
            "analyses": [
                {
                    "kind": "logistic",
                    "outcome": "eligible",
                    "terms": ["support", "failed_maths", "absence", "inquiry"],
                    "as_first": ["inquiry"],
                },
            ],
        },
    ),
)

DROPPING_OUT = Joint(
    code="J5",
    study="care-at-home-and-dropping-out",
    sv="Avbryter deltagare oftare sin insats när någon i hemmet har omfattande omsorg?",
    en="Do participants drop out more often when somebody at home has extensive care?",
    variables=(
        own("dropped_out", LABOUR, "amf_avbrott_underlag", "avbrott"),
        own("half", LABOUR, "amf_avbrott_underlag", "halvar_nr"),
        *(
            home(
                f"care_{year}_{half}",
                CARE,
                "vof_hem_underlag",
                f"omfattande_halvar_{year}_{half}",
            )
            for year, half in _HALVES
        ),
    ),
    questions=(
        {
            "kind": "table",
            "name": "dropping_out",
            "of": ["dropped_out", "care"],
            "match": {
                "name": "care",
                "by": "half",
                "variables": [f"care_{year}_{half}" for year, half in _HALVES],
            },
            "analyses": [
                {
                    "kind": "logistic",
                    "outcome": "dropped_out",
                    "terms": ["care"],
                    "as_first": ["care"],
                },
            ],
        },
    ),
)

DISTRICT = Joint(
    code="N1",
    study="district-and-eligibility",
    sv="Spelar stadsdelen roll för behörigheten, när man vet hur eleven har det hemma?",
    en="Does the district matter for eligibility, once the pupil's home is known?",
    variables=(
        own("eligible", SCHOOLS, "skf_bakgrund_underlag", "behorig"),
        own("failed_maths", SCHOOLS, "skf_bakgrund_underlag", "underkand_matematik"),
        own("absence", SCHOOLS, "skf_bakgrund_underlag", "franvaro_hogst_45"),
        own("background", SCHOOLS, "skf_bakgrund_underlag", "bakgrund"),
        own("home", SOCIAL, "sof_elev_underlag", "hemmet", absent=True),
        home("district", REGISTER, "kir_hushall", "stadsdel", absent=False),
    ),
    questions=(
        {
            "kind": "table",
            "name": "eligibility",
            "of": ["eligible", "failed_maths", "absence", "background", "home", "district"],
            "analyses": [
                {
                    "kind": "logistic",
                    "outcome": "eligible",
                    "terms": ["failed_maths", "absence", "background", "home", "district"],
                    "linear": ["absence"],
                    "centres": [8.0],
                    "products": [["absence", "home"]],
                    "test": ["district"],
                    "as_first": ["home"],
                },
            ],
        },
    ),
)

OTHER = Joint(
    code="N2",
    study="other-programmes-and-leaving",
    sv="Leder jobbsökarstöd och sfi med praktik ut ur ekonomiskt bistånd?",
    en="Do job-search support and SFI with placement lead out of assistance?",
    variables=(
        own("left", SOCIAL, "sof_januari_underlag", "slut_i_januari"),
        own("clock", SOCIAL, "sof_januari_underlag", "periodens_manad_hogst_18"),
        own("ill", SOCIAL, "sof_januari_underlag", "sjuk"),
        own("year", SOCIAL, "sof_januari_underlag", "ar"),
        *(
            own(f"in_{year}", LABOUR, "amf_januari_underlag", f"laget_{year}", absent=True)
            for year in _JANUARIES
        ),
    ),
    questions=(
        {
            "kind": "table",
            "name": "leaving",
            "of": ["left", "clock", "ill", "programme"],
            "match": {
                "name": "programme",
                "by": "year",
                "variables": [f"in_{year}" for year in _JANUARIES],
            },
            "analyses": [
                {
                    "kind": "logistic",
                    "outcome": "left",
                    "terms": ["programme", "clock", "ill"],
                    "as_first": ["programme"],
                },
            ],
        },
    ),
)

CASEWORKER = Joint(
    code="N3",
    study="caseworker-and-dropping-out",
    sv="Spelar det någon roll för en insats vem som är handläggare?",
    en="Does it matter for a programme who the caseworker is?",
    variables=(
        own("caseworker", SOCIAL, "sof_handlaggare_underlag", "forsta_handlaggare"),
        own("dropped_out", LABOUR, "amf_avbrott_underlag", "avbrott"),
    ),
    questions=(
        {
            "kind": "table",
            "name": "dropping_out",
            "of": ["dropped_out", "caseworker"],
            "analyses": [
                {
                    "kind": "logistic",
                    "outcome": "dropped_out",
                    "terms": ["caseworker"],
                    "test": ["caseworker"],
                },
            ],
        },
    ),
)

JOINT = (ASSISTANCE, WORK, ABSENCE, SUPPORT, DROPPING_OUT)
NULL = (DISTRICT, OTHER, CASEWORKER)
EVERY = (*JOINT, *NULL)
