"""The city view, beside sums by hand: joint sums once, noise of a department's own each time."""

import base64
import json
import math
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from ledgers import NOW, PUPILS, Open
from oracles import gaussian_epsilon

from coordinator.client import cli
from models.governance.cost import (
    Event,
    GaussianEvent,
    JointGaussianEvent,
    NonPrivateEvent,
    PrivacyCost,
)
from models.ledger.city import CityBalance, balances
from models.ledger.entries import ChargeEntry, fingerprint, key_text
from models.quantities import Delta, NoiseMultiplier, SamplingRate
from node.ledger.ledger import Subject

DELTA = Delta(1e-6)
SUMMED, OTHER = "a" * 64, "b" * 64


def joint(noise: float, departments: int = 3, count: int = 1) -> JointGaussianEvent:
    return JointGaussianEvent(
        sampling=SamplingRate(1.0),
        noise=NoiseMultiplier(noise),
        departments=departments,
        count=count,
    )


def own(noise: float) -> GaussianEvent:
    return GaussianEvent(noise=NoiseMultiplier(noise))


def charge(
    *events: Event,
    step: str = "train/1",
    attempt: int = 1,
    study: str = SUMMED,
    population: str | None = "residents",
    at: datetime = NOW,
) -> ChargeEntry:
    return ChargeEntry(
        number=1,
        at=at,
        study=study,
        run="7",
        step=step,
        attempt=attempt,
        request="r",
        dataset="pupils",
        population=population,
        cost=PrivacyCost(events=events),
    )


def view(**ledgers: list[ChargeEntry]) -> dict[str, CityBalance]:
    return {item.what: item for item in balances(ledgers, delta=DELTA)}


def costs(found: CityBalance, squared: float) -> bool:
    """Tell whether the ε is that of one Gaussian with this μ², hardly above and never below."""
    exact = gaussian_epsilon(DELTA.value, math.sqrt(squared))
    return exact <= (found.epsilon or 0.0) <= exact * 1.004


def test_joint_sums_count_once_and_noise_of_one_s_own_in_each_ledger() -> None:
    steps = [charge(joint(40.0), step=f"train/{n}") for n in range(1, 11)]
    histogram = charge(joint(60.0), step="histogram")
    count = charge(own(8.0), study=OTHER)
    found = view(
        care=[histogram, *steps, count],
        school=[histogram, *steps, count],
        work=[histogram, *steps],
    )
    summed, other = (3 / 60) ** 2 + 10 * (3 / 40) ** 2, 2 / 8**2
    assert costs(found[SUMMED], summed)
    assert costs(found[OTHER], other)
    assert costs(found["total"], summed + other)
    assert found["2026"].epsilon == found["total"].epsilon
    assert (found[SUMMED].sums, found[SUMMED].charges) == (11, 0)
    assert (found[OTHER].sums, found[OTHER].charges) == (0, 2)
    assert found[OTHER].departments == ("care", "school")
    assert found["total"].departments == ("care", "school", "work")


def test_it_does_not_matter_which_of_the_departments_answered() -> None:
    first, second = charge(joint(30.0)), charge(joint(30.0), step="train/2")
    apart = view(care=[first], school=[second], work=[])
    together = view(care=[first, second], school=[first, second], work=[first, second])
    assert apart[SUMMED].epsilon == together[SUMMED].epsilon
    assert costs(apart[SUMMED], 2 * (3 / 30) ** 2)


def test_attempts_and_runs_are_sums_of_their_own() -> None:
    again = charge(joint(30.0), attempt=2)
    found = view(care=[charge(joint(30.0)), again], school=[charge(joint(30.0)), again])
    assert found[SUMMED].sums == 2
    assert costs(found[SUMMED], 2 * (3 / 30) ** 2)


def test_a_sum_counts_at_least_the_departments_that_answered_it() -> None:
    one = charge(joint(30.0, departments=1))
    assert costs(view(care=[one])[SUMMED], (1 / 30) ** 2)
    assert costs(view(care=[one], school=[one], work=[one])[SUMMED], (3 / 30) ** 2)


def test_ledgers_that_disagree_about_a_sum_count_with_all_they_say() -> None:
    found = view(
        care=[charge(joint(30.0))], school=[charge(joint(20.0))], work=[charge(joint(30.0))]
    )
    assert costs(found[SUMMED], (3 / 30) ** 2 + (3 / 20) ** 2)
    often = view(care=[charge(joint(30.0, count=2))], school=[charge(joint(30.0))])
    assert costs(often[SUMMED], 2 * (3 / 30) ** 2)


def test_a_charge_with_both_kinds_counts_each_in_its_way() -> None:
    both = charge(joint(30.0), own(10.0))
    found = view(care=[both], school=[both])
    assert costs(found[SUMMED], (3 / 30) ** 2 + 2 / 10**2)
    assert (found[SUMMED].sums, found[SUMMED].charges) == (1, 2)


def test_all_populations_count_and_public_data_does_not() -> None:
    found = view(
        care=[
            charge(own(10.0)),
            charge(own(10.0), population="employees"),
            charge(NonPrivateEvent(), study=OTHER, population=None),
        ]
    )
    assert costs(found["total"], 2 / 10**2)
    assert OTHER not in found


def test_a_release_without_noise_has_no_bound() -> None:
    found = view(care=[charge(NonPrivateEvent())], school=[charge(joint(9.0), study=OTHER)])
    assert found["total"].epsilon is None
    assert found[OTHER].epsilon is not None


def test_of_training_and_evaluation_the_worse_counts_over_all_departments() -> None:
    train, evaluate = charge(joint(20.0)), charge(joint(30.0), step="evaluate")
    extra = charge(own(9.0), step="evaluate")
    found = view(care=[train, evaluate, extra], school=[train, evaluate, extra])
    # One Gaussian is worse than the other at every ε, and nobody is in both.
    assert costs(found[SUMMED], max((3 / 20) ** 2, (3 / 30) ** 2 + 2 / 9**2))


def test_a_year_has_what_was_charged_in_it_by_any_clock() -> None:
    late, early = datetime(2025, 12, 31, 23, 59, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC)
    found = view(
        care=[charge(joint(30.0), at=late)],
        school=[charge(joint(30.0), at=early), charge(own(10.0), at=early)],
    )
    assert costs(found["2025"], (3 / 30) ** 2)
    assert costs(found["2026"], (3 / 30) ** 2 + 1 / 10**2)
    assert costs(found["total"], (3 / 30) ** 2 + 1 / 10**2)


def test_nothing_costs_nothing() -> None:
    (found,) = balances({"care": []}, delta=DELTA)
    assert found == CityBalance(what="total", departments=(), charges=0, sums=0, epsilon=0.0)


# --- the command ---------------------------------------------------------------------------------

NAMES = ("care", "school", "work")


def key_of(name: str) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(name.encode().ljust(32, b"."))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder with the exports of three departments."""
    folder = tmp_path_factory.mktemp("city")
    for name in NAMES:
        home = folder / name
        home.mkdir()
        opened = Open(home, key=key_of(name), department=name)
        for number in range(1, 6):
            opened.charge(number, joint(40.0))
        if name != "work":
            staff = Subject(dataset="staff", population="employees")
            opened.charge(1, own(8.0), study=OTHER, about=staff if name == "care" else PUPILS)
        (folder / f"{name}.jsonl").write_bytes(opened.export())
        opened.close()
    return folder


def arguments(folder: Path, *names: str) -> list[str]:
    found = [str(folder / f"{name}.jsonl") for name in names]
    for name in names:
        found += ["--key", f"{name}={fingerprint(key_text(key_of(name).public_key()))}"]
    return found


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = cli.run(["ledger", "city", *words])
    out, err = capsys.readouterr()
    return code, out, err


def test_the_command_adds_three_ledgers_up(files: Path, capsys) -> None:
    code, out, err = run(capsys, *arguments(files, *NAMES), "--output", "json")
    told = json.loads(out)
    by_name = {row["what"]: row for row in told["balances"]}
    assert code == 0
    assert list(by_name) == ["total", "2026", SUMMED, OTHER]
    exact = gaussian_epsilon(1e-6, math.sqrt(5 * (3 / 40) ** 2 + 2 / 8**2))
    assert exact <= by_name["total"]["epsilon"] <= exact * 1.004
    assert (by_name["total"]["sums"], by_name["total"]["charges"]) == (5, 2)
    assert [ledger["department"] for ledger in told["ledgers"]] == list(NAMES)
    assert "care, school, work" in err
    code, out, _ = run(capsys, *arguments(files, *NAMES), "--delta", "1e-5")
    assert code == 0
    assert "secure sums" in out
    smaller = gaussian_epsilon(1e-5, math.sqrt(5 * (3 / 40) ** 2 + 2 / 8**2))
    assert f"{smaller:.2f}" in out


def test_the_command_takes_public_keys_too(files: Path, capsys) -> None:
    public = base64.b64encode(key_of("work").public_key().public_bytes_raw()).decode()
    code, _, _ = run(capsys, str(files / "work.jsonl"), "--key", f"work={public}")
    assert code == 0


def test_an_export_that_was_changed_is_found_and_nothing_is_added_up(
    files: Path, capsys, tmp_path: Path
) -> None:
    content = (files / "care.jsonl").read_bytes()
    changed = tmp_path / "care.jsonl"
    lines = content.splitlines(keepends=True)
    entry = next(i for i, line in enumerate(lines) if b'"noise":40' in line)
    for wrong in (
        content.replace(b'"noise":40', b'"noise":80', 1),
        b"".join(lines[:entry] + lines[entry + 1 :]),
        content[: len(content) // 2],
        b"",
    ):
        changed.write_bytes(wrong)
        words = arguments(files, *NAMES)
        words[0] = str(changed)
        code, out, err = run(capsys, *words)
        assert code == 1
        assert out == ""
        assert "care.jsonl is not verified" in err


def test_the_command_refuses_a_wrong_key_and_what_is_missing_or_double(files: Path, capsys) -> None:
    words = arguments(files, *NAMES)
    other = arguments(files, "work")[-1].replace("work=", "care=")
    code, _, err = run(capsys, str(files / "care.jsonl"), "--key", other)
    assert code == 1
    assert "another key" in err
    for wrong, told in (
        (words[1:], "a key but no export of care"),
        ([words[0], *words], "second export of care"),
        (words[:-2], "no key was given for the department 'work'"),
        ([*words, *words[-2:]], "once for each department"),
        ([*words[:-1], "work=abc"], "neither a fingerprint"),
        ([*words, "--delta", "0.5"], "Delta"),
        ([str(files / "none.jsonl"), *words], "cannot be read"),
    ):
        code, out, err = run(capsys, *wrong)
        assert (code, out) == (4, "")
        assert told in err
