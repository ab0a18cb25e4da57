"""YAML without its surprises, and problems with their lines."""

import pytest

from models import yaml_text
from models.errors import InvalidDocumentError
from models.governance import draft as drafts
from models.governance.draft import Blank
from models.governance.study import Protection

TEMPLATE = drafts.template(Blank())


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-5", 1e-5),
        ("1.5E+3", 1500.0),
        ("-.5", -0.5),
        ("7", 7),
        ("-3", -3),
        ("true", True),
        ("yes", "yes"),
        ("no", "no"),
        ("on", "on"),
        ("2026-11-22", "2026-11-22"),
        ("12:30", "12:30"),
        ("010", "010"),
        ("0x1F", "0x1F"),
        ("1_000", "1_000"),
        ("", None),
        ("null", None),
        ('"1e-5"', "1e-5"),
    ],
)
def test_plain_texts_mean_what_people_mean(text: str, value: object) -> None:
    found = yaml_text.parse(f"key: {text}", what="x").content
    assert found == {"key": value}
    assert type(found["key"]) is type(value)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: 1\nb: 2\na: 3", "line 3, column 1: the key is there twice"),
        ("a: &x 1\nb: *x", "line 2, column 4: aliases are not allowed"),
        ("a: [1, 2", "line 1, column 9"),
        ("\tx: 1", "line 1, column 1"),
        ("a: !!python/object:os.system {}", "could not determine a constructor"),
        ("a: 1\n---\nb: 2", "but found another document"),
        ("x" * (yaml_text.MAX_CHARACTERS + 1), "at most"),
        ("? [a, b]\n: 1", "line 1, column 3: a key must be a text"),
    ],
)
def test_what_is_refused(text: str, problem: str) -> None:
    with pytest.raises(InvalidDocumentError) as caught:
        yaml_text.parse(text, what="the file")
    assert problem in caught.value.message
    assert caught.value.message.startswith("the file is not valid:")


def test_deep_nesting_is_refused_and_not_a_crash() -> None:
    with pytest.raises(InvalidDocumentError):
        yaml_text.parse("[" * 100_000, what="x")


def test_the_template_is_valid_and_ends_where_it_should() -> None:
    draft = drafts.read(TEMPLATE, name="x")
    assert draft.privacy.delta is not None
    assert draft.privacy.delta.value == 1e-6
    assert TEMPLATE.endswith("\n")


@pytest.mark.parametrize(
    ("old", "new", "field"),
    [
        ("epsilon: 3.0", "epsilon: -1", "privacy.epsilon"),
        ("delta: 1e-6", "delta: 0.5", "privacy.delta"),
        ("  residents: 10000", "  residents: many", "secure_sum.residents"),
        ("  - department-two", "  - Department Two", "departments.1"),
        ("retention_days: 365", "retention_days: 0", "retention_days"),
        ("  mode: pairwise", "  mode: pairs", "secure_sum.mode"),
        ("  family: logistic", "  family: forest", "model.family"),
        ("minimum_cohort: 3", "minimum_cohort: 3\nfoo: 1", "foo"),
    ],
)
def test_each_problem_has_its_line(old: str, new: str, field: str) -> None:
    text = TEMPLATE.replace(old, new)
    wrong = new.splitlines()[-1].strip()
    line = [t.strip() for t in text.splitlines()].index(wrong) + 1
    with pytest.raises(InvalidDocumentError) as caught:
        drafts.read(text, name="study.yaml")
    (problem,) = caught.value.problems
    assert problem.field == field
    assert problem.problem.endswith(f"(line {line})")


def local_noise() -> str:
    """Do with the template what its comments say."""
    lines = TEMPLATE.splitlines()
    start, end = lines.index("secure_sum:"), lines.index("privacy:")
    first = lines.index("  #   training:")
    last = lines.index("  #     weights: noisy-count")
    training = [line.removeprefix("  #   ") for line in lines[first : last + 1]]
    text = "\n".join([*lines[:start], *training, *lines[end:]])
    text = text.replace("  protection: secure-sum", "  protection: local-noise")
    return text.replace("  # clip: 1.0", "  clip: 0.5") + "\n"


def test_the_template_tells_how_to_take_local_noise_instead() -> None:
    draft = drafts.read(local_noise(), name="x")
    assert draft.privacy.protection is Protection.LOCAL_NOISE
    assert draft.averaging.rounds == 10
    assert draft.privacy.bound.value == 0.5


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("  protection: secure-sum", "  protection: local-noise", "secure_sum belongs to"),
        ("minimum_cohort: 3", "minimum_cohort: 2", "minimum_cohort must be their number"),
        ("  mode: pairwise", "  mode: witness", "a witness belongs to the modes"),
        ("  # clip: 1.0", "  clip: 1.0", "clip belongs to local noise"),
        ("  colluders: 1", "  colluders: 3", "colluders must be fewer"),
    ],
)
def test_what_does_not_belong_together_is_refused(old: str, new: str, told: str) -> None:
    with pytest.raises(InvalidDocumentError, match=told):
        drafts.read(TEMPLATE.replace(old, new), name="x")


def test_a_missing_section_is_told_without_a_line() -> None:
    text = "\n".join(t for t in TEMPLATE.splitlines() if not t.startswith("contact"))
    with pytest.raises(InvalidDocumentError, match="contact: is required"):
        drafts.read(text, name="x")


def test_the_template_takes_what_the_catalogue_knows() -> None:
    blank = Blank(
        study="one",
        dataset="pupils",
        departments=("school", "care"),
        variables=(("age", "Age in years"), ("longer_name", "Says: a colon # and a hash")),
        outcome="passed",
    )
    draft = drafts.read(drafts.template(blank), name="x")
    assert draft.variables == ("age", "longer_name")
    assert draft.departments == ("school", "care")
    assert draft.minimum_cohort == 2
