"""Mistyped numbers: the candidates are those of the definition, and nobody is led to a stranger."""

import numpy as np
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from linkages import case, folder, number, resident

from models.linkage.identity import Admission, Mode
from node.vault.linking import Linker
from node.vault.matching import Numbers, slips

DIGITS = st.text("0123456789", min_size=8, max_size=14)
NUMBERS = st.builds(
    number,
    st.integers(1980, 1983),
    st.integers(1, 3),
    st.integers(1, 3),
    st.integers(100, 140),
)
"""Few days and birth numbers: many are near each other."""


def distance(one, other):
    """Give the least number of slips between two texts (optimal string alignment), slowly."""
    rows = np.zeros((len(one) + 1, len(other) + 1), dtype=int)
    rows[:, 0], rows[0, :] = range(len(one) + 1), range(len(other) + 1)
    for i, a in enumerate(one, 1):
        for j, b in enumerate(other, 1):
            best = min(rows[i - 1, j] + 1, rows[i, j - 1] + 1, rows[i - 1, j - 1] + (a != b))
            if i > 1 and j > 1 and a == other[j - 2] and b == one[i - 2]:
                best = min(best, rows[i - 2, j - 2] + 1)
            rows[i, j] = best
    return rows[-1, -1]


@st.composite
def slipped(draw, texts=NUMBERS):
    """Give a number and what one slip makes of it."""
    text = draw(texts)
    place, digit = draw(st.integers(0, len(text) - 2)), draw(st.sampled_from("0123456789"))
    kind = draw(st.sampled_from(["other", "lost", "more", "swapped"]))
    before, at, after = text[:place], text[place], text[place + 1 :]
    found = {
        "other": before + digit + after,
        "lost": before + after,
        "more": before + digit + at + after,
        "swapped": before + after[0] + at + after[1:],
    }[kind]
    return text, found


@given(DIGITS)
def test_a_slip_gives_exactly_the_texts_at_distance_one(digits):
    found = set(slips(digits))
    assert all(len(text) in {10, 12} and distance(digits, text) == 1 for text in found)


@given(slipped(texts=st.text("0123456789", min_size=12, max_size=12)))
def test_every_slip_can_be_undone(pair):
    text, found = pair
    assert text == found or text in set(slips(found))
    short, found_short = text[2:], found[2:]
    if distance(short, found_short) == 1:
        assert short in set(slips(found_short))


@settings(max_examples=50)
@given(st.lists(NUMBERS, unique=True, min_size=1, max_size=40), slipped())
def test_candidates_are_the_residents_at_distance_one(register, pair):
    _, text = pair
    ids = np.array(sorted(register), dtype=object)
    numbers = Numbers(ids)
    for digits in (text, text[2:]):
        near = {
            place
            for place, one in enumerate(ids)
            if any(
                len(form) in {len(digits) - 1, len(digits), len(digits) + 1}
                and distance(form, digits) == 1
                for form in (one, one[2:])
            )
        }
        assert set(numbers.near(digits)) == near


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(NUMBERS, unique=True, min_size=2, max_size=60), st.data())
def test_a_mistyped_number_is_led_to_its_resident_or_to_nobody(tmp_path_factory, register, data):
    meant, text = data.draw(slipped(texts=st.sampled_from(register)))
    # What may be a real person's number stops the reading.
    assume(Admission(mode=Mode.DEMO).refusal_of_mistyped(text) is None)
    path = tmp_path_factory.mktemp("folder")
    cases = [case(pnr) for pnr in register for _ in range(2)]
    found = folder(
        path, register=[resident(pnr) for pnr in register], cases=[*cases, case(text, of=meant)]
    )
    links = Linker().links(found["cases"])
    ids = links.survey.ids["pnr"]
    if text in ids.written:
        one = links.found["pnr"][ids.written[text]]
        near = Numbers(np.array(sorted(register), dtype=object)).near(text)
        assert one.resident in {meant, ""}
        if len(near) > 1:
            # Sex and year tell two candidates apart now and then, birth numbers alone never.
            alike = [p for p in near if sorted(register)[p][:4] == meant[:4]]
            sexes = {int(sorted(register)[p][10]) % 2 for p in alike}
            assert one.resident == "" or len(alike) == 1 or len(sexes) > 1
