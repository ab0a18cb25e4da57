"""Public data sets as federations: the folders that the tutorials start from.

`python -m demo.public_data heart --data DIR --out DIR` (or `adult`) writes, under `--out`, the
folder `nodes/<department>/datasets/` of each node, the study files, and `test.csv`: rows that no
node has.
"""

import itertools
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import typer
import yaml
from sklearn.model_selection import train_test_split

from demo import fields
from demo.fields import Field, Table

app = typer.Typer(add_completion=False, help=__doc__, pretty_exceptions_enable=False)
DataOption = Annotated[Path, typer.Option("--data", help="The folder with the published files.")]
OutOption = Annotated[Path, typer.Option("--out", help="The folder to write to.")]
RepeatsOption = Annotated[
    int, typer.Option("--repeats", min=1, help="Copies of each private study: noise differs.")
]

HOSPITALS = ("cleveland", "hungarian", "switzerland", "va")

HEART = (
    Field(name="age", sv="Ålder", en="Age", bounds=(20, 90), whole=True, unit="years"),
    Field(name="sex", sv="Kön", en="Sex", categories=("female", "male")),
    Field(
        name="chest_pain",
        sv="Typ av bröstsmärta",
        en="Kind of chest pain",
        categories=("typical angina", "atypical angina", "other pain", "none"),
    ),
    Field(
        name="blood_pressure",
        sv="Blodtryck i vila",
        en="Resting blood pressure",
        bounds=(0, 220),
        unit="mm Hg",
    ),
    Field(
        name="cholesterol",
        sv="Kolesterol (0: inte mätt)",
        en="Cholesterol (0: not measured)",
        bounds=(0, 700),
        unit="mg/dl",
    ),
    Field(
        name="high_sugar",
        sv="Fasteblodsocker över 120 mg/dl",
        en="Fasting blood sugar above 120 mg/dl",
    ),
    Field(
        name="ecg",
        sv="EKG i vila",
        en="Resting ECG",
        categories=("normal", "ST-T abnormality", "hypertrophy"),
    ),
    Field(
        name="heart_rate",
        sv="Högsta uppnådda puls",
        en="Highest heart rate reached",
        bounds=(50, 220),
        unit="1/min",
    ),
    Field(name="exercise_pain", sv="Kärlkramp vid ansträngning", en="Angina on exercise"),
    Field(
        name="st_depression",
        sv="ST-sänkning vid ansträngning",
        en="ST depression on exercise",
        bounds=(-3, 7),
    ),
    Field(name="disease", sv="Kranskärlssjukdom", en="Coronary disease", categories=("no", "yes")),
)

WORKCLASSES = {
    "Private": "private",
    "Self-emp-not-inc": "self-employed",
    "Local-gov": "local-government",
    "?": "unknown",
    "State-gov": "state-government",
    "Self-emp-inc": "incorporated",
    "Federal-gov": "federal-government",
    "Without-pay": "without-pay",
    "Never-worked": "never-worked",
}
_UNKNOWN = ("Uppgift saknas", "Not stated")


@app.command()
def heart(data: DataOption, out: OutOption, repeats: RepeatsOption = 1) -> None:
    """Write UCI Heart Disease as four hospitals, with FLamby's cleaning and its split."""
    tests = []
    for hospital in HOSPITALS:
        raw = pd.read_csv(data / f"processed.{hospital}.data", header=None, na_values="?")
        clean = raw.drop(columns=[10, 11, 12]).dropna()
        sick = (clean[13] > 0).to_numpy()
        stratify = sick if min(sick.sum(), (~sick).sum()) > 2 else None  # noqa: PLR2004
        train, test = train_test_split(
            range(len(clean)),
            test_size=1 - 0.66,
            train_size=0.66,
            random_state=43,
            shuffle=True,
            stratify=stratify,
        )
        rows = _heart_rows(clean, hospital)
        tests.append(rows.iloc[sorted(test)].assign(department=hospital))
        table = _table(
            "heart",
            title=("Hjärtsjukdom", "Heart disease"),
            resident_id="patient",
            declared=HEART,
            department=hospital,
        )
        folder = out / "nodes" / hospital / "datasets"
        fields.write(folder, table, rows.iloc[sorted(train)], form="csv")
    pd.concat(tests).to_csv(out / "test.csv", index=False)
    open_study = _study("heart-open", HOSPITALS, "heart", HEART) | {
        "training": {
            "strategy": "fedadam",
            "rounds": 20,
            "steps": 10,
            "sampling_rate": 1.0,
            "learning_rate": 0.3,
            "server_learning_rate": 0.1,
        },
        "privacy": {
            "protection": "none: secure sum and disclosure rules only",
            "holdout": 0.0,
        },
    }
    _save(out / "heart-open.yaml", open_study)
    for epsilon, number in itertools.product((1.0, 5.0), range(1, repeats + 1)):
        name = f"heart-epsilon-{epsilon:.0f}-{number}"
        private = _study(name, HOSPITALS, "heart", HEART) | {
            "training": {
                "rounds": 8,
                "steps": 1,
                "sampling_rate": 1.0,
                "learning_rate": 1.0,
            },
            "privacy": _private(epsilon=epsilon, delta=1e-4) | {"clip": 0.5},
        }
        _save(out / f"{name}.yaml", private)


@app.command()
def adult(data: DataOption, out: OutOption) -> None:
    """Write Adult (census income 1994) as nine very unequal departments, by class of worker."""
    train = _adult_rows(pd.read_csv(data / "adult_train.csv.gz"))
    test = _adult_rows(pd.read_csv(data / "adult_test.csv.gz"))
    declared = _adult_fields(pd.concat([train, test]))
    for work_class, department in WORKCLASSES.items():
        table = _table(
            "adult",
            title=("Inkomst", "Income"),
            resident_id="person",
            declared=declared,
            department=department,
        )
        folder = out / "nodes" / department / "datasets"
        fields.write(folder, table, train[train["workclass"] == work_class], form="csv")
    test.drop(columns="workclass").to_csv(out / "test.csv", index=False)
    study = _study("adult-income", tuple(WORKCLASSES.values()), "adult", declared) | {
        "model": {"family": "logistic", "bins": 20},
        "training": {
            "rounds": 20,
            "steps": 5,
            "sampling_rate": 0.25,
            "learning_rate": 4.0,
        },
        "privacy": _private(epsilon=2.0, delta=1e-5) | {"holdout": 0.1},
    }
    _save(out / "adult-income.yaml", study)


def _heart_rows(clean: pd.DataFrame, hospital: str) -> pd.DataFrame:
    def level(column: int, first: int, field: str) -> pd.Series:
        categories = next(f.categories for f in HEART if f.name == field)
        return (clean[column].astype(int) - first).map(dict(enumerate(categories)))

    def flag(column: int) -> pd.Series:
        return clean[column].astype(int).map({0: "false", 1: "true"})

    return pd.DataFrame(
        {
            "patient": [f"{hospital}-{number:03d}" for number in range(len(clean))],
            "age": clean[0].astype(int),
            "sex": level(1, 0, "sex"),
            "chest_pain": level(2, 1, "chest_pain"),
            "blood_pressure": clean[3],
            "cholesterol": clean[4],
            "high_sugar": flag(5),
            "ecg": level(6, 0, "ecg"),
            "heart_rate": clean[7],
            "exercise_pain": flag(8),
            "st_depression": clean[9],
            "disease": (clean[13] > 0).map({False: "no", True: "yes"}),
        }
    )


def _adult_rows(raw: pd.DataFrame) -> pd.DataFrame:
    rows = raw.drop(columns=["fnlwgt", "education_num"]).replace({"?": None})
    rows["workclass"] = raw["workclass"]
    rows["income"] = rows["income"].str.rstrip(".").map({"<=50K": "no", ">50K": "yes"})
    rows["person"] = [f"A{number:05d}" for number in range(len(rows))]
    return rows


def _adult_fields(rows: pd.DataFrame) -> tuple[Field, ...]:
    """Declare Adult. The published files are public, so their categories may be read off."""

    def listed(name: str, sv: str, en: str, *, missing: bool = False) -> Field:
        levels = tuple(sorted(rows[name].dropna().unique()))
        absent = _UNKNOWN if missing else None
        return Field(name=name, sv=sv, en=en, categories=levels, missing=absent)

    def number(name: str, sv: str, en: str, *, bounds: tuple[float, float]) -> Field:
        return Field(name=name, sv=sv, en=en, bounds=bounds, whole=True)

    return (
        number("age", "Ålder", "Age", bounds=(17, 90)),
        listed("education", "Utbildning", "Education"),
        listed("marital_status", "Civilstånd", "Marital status"),
        listed("occupation", "Yrke", "Occupation", missing=True),
        listed("relationship", "Ställning i familjen", "Place in the family"),
        listed("race", "Grupp i folkräkningen", "Group in the census"),
        listed("sex", "Kön", "Sex"),
        number("capital_gain", "Kapitalvinst (dollar)", "Capital gain (USD)", bounds=(0, 99999)),
        number("capital_loss", "Kapitalförlust (dollar)", "Capital loss (USD)", bounds=(0, 5000)),
        number("hours_per_week", "Timmar i veckan", "Hours a week", bounds=(1, 99)),
        listed("native_country", "Födelseland", "Country of birth", missing=True),
        Field(
            name="income",
            sv="Inkomst över 50 000 dollar",
            en="Income above 50,000 USD",
            categories=("no", "yes"),
        ),
    )


def _table(
    name: str,
    *,
    title: tuple[str, str],
    resident_id: str,
    declared: tuple[Field, ...],
    department: str,
) -> Table:
    sv, en = title
    return Table(
        name=name,
        title=title,
        description=(f"{sv}, publicerade data från UCI.", f"{en}, published by UCI."),
        steward=f"Steward of {department}",
        secrecy="None: public data (CC BY 4.0)",
        public=True,
        resident_id=resident_id,
        fields=declared,
    )


def _study(
    name: str, departments: tuple[str, ...], dataset: str, declared: tuple[Field, ...]
) -> dict[str, Any]:
    return {
        "study": name,
        "title": {"sv": "Öppna data", "en": "Open data"},
        "purpose": {"sv": "Prova tjänsten på öppna data.", "en": "Try the service on open data."},
        "legal_basis": {"article_6": "e", "provision": "None needed: public data"},
        "contact": "analyst@city.example",
        "departments": list(departments),
        "dataset": dataset,
        "variables": [field.name for field in declared[:-1]],
        "outcome": declared[-1].name,
        "model": {"family": "logistic"},
        "minimum_cohort": 3,
        "retention_days": 365,
    }


def _private(**parameters: float) -> dict[str, Any]:
    return {
        "protection": "local-noise",
        **parameters,
        "clip": 1.0,
        "departments_per_resident": 1,
        "holdout": 0.0,
        "spare_rounds": 0,
    }


def _save(path: Path, document: dict[str, Any]) -> None:
    path.write_text(yaml.safe_dump(document, allow_unicode=True, sort_keys=False), "utf-8")


if __name__ == "__main__":
    app()
