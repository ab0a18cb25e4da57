"""What a declaration file says of the register and of linking, and how each mistake is named."""

import datetime as dt

import pytest
from linkages import CASES, REGISTER, REPLACED, folder, person, resident

from models.errors import ConfigurationError, InvalidDocumentError
from models.linkage.identity import Admission, Mode
from node.datasets import load
from node.promises import Aliases, Compared, Linkage, RegisterPromise

LINES = [resident(person(0))]


def problems(tmp_path, **bodies):
    with pytest.raises(InvalidDocumentError) as caught:
        folder(tmp_path, register=LINES, bodies=bodies)
    return {p.field: p.problem.partition(" (line")[0] for p in caught.value.problems}


def test_a_folder_gives_the_register_and_what_is_linked_to_it(tmp_path):
    found = folder(tmp_path, register=LINES)
    register, cases = found["register"], found["cases"]
    assert register.register == RegisterPromise(
        date=dt.date(2024, 12, 31), household="home", protected="hidden"
    )
    assert cases.linkage == Linkage(
        aliases=Aliases(dataset="replaced", column="former"),
        compare={
            "gender": Compared(column="sex", words={"1": "M", "2": "K"}),
            "year": Compared(column="born"),
        },
    )
    assert register.residents is None
    assert cases.residents == register
    assert cases.aliases is not None
    assert cases.aliases.declaration == found["replaced"].declaration
    assert found["per_resident"].residents == register
    (table,) = found["per_resident"].tables
    assert table == cases


def test_one_file_finds_the_others_of_its_folder(tmp_path):
    found = folder(tmp_path, register=LINES)
    assert load(tmp_path / "cases.yaml", admission=Admission(mode=Mode.DEMO)) == found["cases"]


def test_none_of_it_is_published(tmp_path):
    found = folder(tmp_path, register=LINES)
    plain = folder(
        tmp_path,
        register=LINES,
        bodies={
            "register": REGISTER[REGISTER.index("source:") :],
            "cases": CASES[CASES.index("source:") :],
        },
    )
    for name, dataset in found.items():
        assert dataset.declaration == plain[name].declaration
        assert plain[name].residents is None


def test_a_linkage_waits_for_a_register_and_asks_nothing_of_it_before(tmp_path):
    plain = REGISTER[REGISTER.index("source:") :]
    odd = CASES.replace("column: sex", "column: nothing")
    found = folder(tmp_path, register=LINES, bodies={"register": plain, "cases": odd})
    assert found["cases"].residents is None
    assert problems(tmp_path, cases=odd) == {
        "linkage.compare.gender": "nothing is not a column of numbers or categories of register"
    }


@pytest.mark.parametrize(
    ("old", "new", "field", "problem"),
    [
        ("2024-12-31", "20241231", "register.date", "must be a day, YYYY-MM-DD"),
        ("2024-12-31", "2024-02-30", "register.date", "must be a day, YYYY-MM-DD"),
        ("date: 2024-12-31, ", "", "register.date", "is required"),
        ("home, pro", "sex, pro", "register.household", "sex is not a declared column of type key"),
        ("home, pro", "x, pro", "register.household", "x is not a declared column of type key"),
        ("hidden}", "sex}", "register.protected", "sex is not a declared column of type boolean"),
        ("protected", "hushall", "register.hushall", "is not a known field"),
        ("source", "linkage: {}\nsource", "register",
         "a register is neither derived nor linked to another"),
    ],
)  # fmt: skip
def test_each_mistake_in_a_register_is_named(tmp_path, old, new, field, problem):
    body = REGISTER.replace(old, new, 1)
    assert body != REGISTER
    assert problems(tmp_path, register=body) == {field: problem}


@pytest.mark.parametrize(
    ("old", "new", "field", "problem"),
    [
        ("replaced,", "gone,", "linkage.aliases.dataset", "gone is not declared in this folder"),
        ("former}", "pnr}", "linkage.aliases.column",
         "pnr is not a column of type key of replaced"),
        ("gender: {", "x: {", "linkage.compare.x",
         "is not a declared column of numbers or categories"),
        ("gender: {", "partner: {", "linkage.compare.partner",
         "is not a declared column of numbers or categories"),
        ("column: sex", "column: home", "linkage.compare.gender",
         "home is not a column of numbers or categories of register"),
        ("born", "{words: {a: b}}", "linkage.compare.year.column", "is required"),
        ("compare", "compares", "linkage.compares", "is not a known field"),
    ],
)  # fmt: skip
def test_each_mistake_in_a_linkage_is_named(tmp_path, old, new, field, problem):
    body = CASES.replace(old, new, 1)
    assert body != CASES
    assert problems(tmp_path, cases=body) == {field: problem}


def test_a_folder_has_one_register(tmp_path):
    second = REPLACED.replace("source:", "register: {date: 2024-12-31}\nsource:", 1)
    with pytest.raises(ConfigurationError, match="both declare a register"):
        folder(tmp_path, register=LINES, bodies={"replaced": second})


def test_a_comparison_without_words_takes_a_value_for_itself(tmp_path):
    compare = folder(tmp_path, register=LINES)["cases"].linkage.compare
    assert compare["year"].word("1985") == "1985"
    assert compare["gender"].word("1") == "M"
    assert compare["gender"].word("3") is None
    assert compare["gender"].word(None) is compare["year"].word(None) is None
