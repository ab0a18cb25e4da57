"""Linking: which way each id is led to a resident, and that a doubtful one is led to nobody."""

import numpy as np
import pytest
from linkages import CASES, case, folder, number, person, resident

from models.errors import DataContractError
from node.vault.contract import check
from node.vault.linking import LEAST, Linker, Way
from node.vault.quality import report
from node.vault.records import linked, records
from node.vault.register import register

PEOPLE = [person(place) for place in range(300)]
REGISTER = [resident(pnr) for pnr in PEOPLE]
CASES_OF_ALL = [case(pnr) for pnr in PEOPLE for _ in range(2)]
A, B = PEOPLE[10], PEOPLE[20]
STRANGER = person(700)


def slip(pnr, place=11):
    """Another digit; at the end, only the check digit is wrong."""
    return f"{pnr[:place]}{(int(pnr[place]) + 1) % 10}{pnr[place + 1 :]}"


def links(tmp_path, cases, **rest):
    rest = {"register": REGISTER} | rest
    data = folder(tmp_path, cases=[*CASES_OF_ALL, *cases], **rest)["cases"]
    linker = Linker()
    found = linker.links(data)
    codes = found.survey.ids["pnr"].codes[len(CASES_OF_ALL) :]
    return [found.found["pnr"][code] for code in codes.tolist()]


def test_a_number_of_the_register_is_exact_however_it_is_written(tmp_path):
    written = f"{A[2:8]}-{A[8:]}"
    (found,) = links(tmp_path, [case(A).replace(A, written, 1)])
    assert (found.way, found.resident, found.probability) == (Way.EXACT, A, 1.0)


def test_a_temporary_number_is_the_resident_of_the_table_of_aliases(tmp_path):
    cases = [case("TF0000000001", of=A), case(" TF0000000002 ", of=B)]
    known, unknown = links(tmp_path, cases, replaced=[f"{A},TF0000000001"])
    assert (known.way, known.resident) == (Way.ALIAS, A)
    assert (unknown.way, unknown.resident) == (Way.UNKNOWN, "")


def test_a_number_that_was_replaced_twice_leads_to_the_one_that_counts(tmp_path):
    second = person(701)
    replaced = [f"{second},{STRANGER[2:8]}-{STRANGER[8:]}", f"{A},{second}"]
    (found,) = links(tmp_path, [case(STRANGER)], replaced=replaced)
    assert (found.way, found.resident) == (Way.ALIAS, A)


def test_numbers_that_replace_each_other_end_somewhere(tmp_path):
    second = person(701)
    replaced = [f"{second},{STRANGER}", f"{STRANGER},{second}"]
    (found,) = links(tmp_path, [case(STRANGER)], replaced=replaced)
    assert found.way is Way.ABSENT


def test_an_alias_of_two_residents_is_nobodys(tmp_path):
    replaced = [f"{A},TF0000000001", f"{B},TF0000000001"]
    (found,) = links(tmp_path, [case("TF0000000001", of=A)], replaced=replaced)
    assert found.way is Way.UNKNOWN


def test_a_number_of_the_register_is_not_replaced(tmp_path):
    (found,) = links(tmp_path, [case(A)], replaced=[f"{B},{A}"])
    assert (found.way, found.resident) == (Way.EXACT, A)


@pytest.mark.parametrize("place", [2, 5, 8, 11])
def test_a_wrong_digit_is_mended(tmp_path, place):
    (found,) = links(tmp_path, [case(slip(A, place), of=A)])
    assert (found.way, found.resident) == (Way.COMPARED, A)
    assert LEAST <= found.probability < 1


def test_a_lost_digit_a_digit_too_many_and_swapped_digits_are_mended(tmp_path):
    at = next(n for n in range(2, 11) if abs(int(A[n]) - int(A[n + 1])) not in {0, 9})
    swapped = A[:at] + A[at + 1] + A[at] + A[at + 2 :]
    cases = [case(text, of=A) for text in (A[:6] + A[7:], A[:6] + "0" + A[6:], swapped)]
    assert {(f.way, f.resident) for f in links(tmp_path, cases)} == {(Way.COMPARED, A)}


def test_a_wrong_digit_in_a_number_of_ten_is_mended(tmp_path):
    wrong = slip(A)
    (found,) = links(tmp_path, [case(wrong, of=A).replace(wrong, f"{wrong[2:8]}-{wrong[8:]}", 1)])
    assert (found.way, found.resident) == (Way.COMPARED, A)


def test_a_number_without_a_fault_is_never_led_to_a_neighbour(tmp_path):
    (found,) = links(tmp_path, [case(STRANGER, of=A)])
    assert (found.way, found.resident, found.place) == (Way.ABSENT, STRANGER, -1)


def test_a_row_that_speaks_against_the_only_candidate_is_left_out(tmp_path):
    man = next(pnr for pnr in PEOPLE if int(pnr[10]) % 2)
    woman = next(pnr for pnr in PEOPLE if not int(pnr[10]) % 2 and pnr[:4] != man[:4])
    (found,) = links(tmp_path, [case(slip(man), of=woman)])
    assert (found.way, found.resident) == (Way.AMBIGUOUS, "")


def twins():
    """Two numbers of one day, and a text that is one slip from both."""
    for one in range(1, 99):
        for other in range(one + 1, 99):
            first, second = number(1985, 3, 7, 10 * one), number(1985, 3, 7, 10 * other)
            differ = [n for n in range(12) if first[n] != second[n]]
            if len(differ) == 2:
                return first, second, first[: differ[1]] + second[differ[1] :]
    raise AssertionError


def test_of_two_alike_candidates_neither_is_taken(tmp_path):
    first, second, between = twins()
    lines = [*REGISTER, resident(first), resident(second)]
    cases = [case(first), case(second), case(between, of=first)]
    found = links(tmp_path, cases, register=lines)[-1]
    assert (found.way, found.resident) == (Way.AMBIGUOUS, "")
    # Shown to be the two candidates' doing: without the second, the first is taken.
    alone = links(tmp_path, [case(first), case(between, of=first)], register=lines[:-1])[-1]
    assert alone.resident == first


def test_the_same_records_give_the_same_links(tmp_path):
    cases = [case(slip(pnr), of=pnr) for pnr in PEOPLE[:40]]
    assert links(tmp_path, cases) == links(tmp_path, cases)


def test_without_a_declared_linkage_only_exact_numbers_are_linked(tmp_path):
    plain = CASES[CASES.index("source:") :]
    cases = [case(A), case(slip(B), of=B)]
    found = links(tmp_path, cases, bodies={"cases": plain})
    assert [one.way for one in found] == [Way.EXACT, Way.UNKNOWN]


def test_linked_rows_have_their_place_in_the_register_and_the_others_are_counted(tmp_path):
    cases = [*CASES_OF_ALL, case(slip(A), of=A), case(STRANGER), case("TF0000000009", of=B)]
    data = folder(tmp_path, register=REGISTER, cases=cases)
    people = register(data["register"])
    batches = list(linked(data["cases"], columns=[], register=people, batch_rows=100))
    places = np.concatenate([batch.places for batch in batches])
    residents = np.concatenate([batch.residents for batch in batches])
    assert people.ids[places].tolist() == residents.tolist()
    assert len(places) == len(CASES_OF_ALL) + 1
    assert residents[-1] == A
    assert sum(batch.unmatched for batch in batches) == 2


def test_rows_are_mended_in_a_table_and_in_what_is_derived_from_it(tmp_path):
    data = folder(tmp_path, register=REGISTER, cases=[*CASES_OF_ALL, case(slip(A), of=A)])
    (own,) = records(data["cases"], columns=data["cases"].declaration.variables)
    assert (own.residents == A).sum() == 3
    (derived,) = records(data["per_resident"], columns=data["per_resident"].declaration.variables)
    times = dict(zip(derived.residents.tolist(), derived.columns["times"].tolist(), strict=True))
    assert (times[A], times[B]) == (3, 2)
    assert not [note for note in check(data["per_resident"]).notes if "left out" in note.note]
    assert [v.row for v in check(data["cases"]).violations] == [len(CASES_OF_ALL) + 1]


def test_a_resident_who_is_not_in_the_register_stays_in_a_derived_table(tmp_path):
    data = folder(tmp_path, register=REGISTER, cases=[case(STRANGER), case(slip(A), of=A)])
    (derived,) = records(data["per_resident"], columns=data["per_resident"].declaration.variables)
    assert STRANGER in derived.residents
    batches = linked(data["per_resident"], columns=[], register=register(data["register"]))
    assert sum(batch.unmatched for batch in batches) == 1


def test_other_residents_numbers_are_mended_too(tmp_path):
    cases = [case(pnr, partner=PEOPLE[0]) for pnr in PEOPLE]
    wrong = slip(PEOPLE[0])
    data = folder(tmp_path, register=REGISTER, cases=[*cases, case(A, partner=wrong)])
    found = Linker().links(data["cases"])
    ways = found.found["partner"][found.survey.ids["partner"].written[wrong]]
    assert (ways.way, ways.resident) == (Way.COMPARED, PEOPLE[0])


def test_the_report_counts_every_row_once_and_names_nobody(tmp_path):
    replaced = [f"{A},TF0000000001"]
    cases = [case(slip(B), of=B), case(STRANGER), case("TF0000000001", of=A), case("x", of=A)]
    lines = [resident(PEOPLE[0], hidden="1"), *REGISTER[1:]]
    data = folder(tmp_path, register=lines, cases=[*CASES_OF_ALL, *cases], replaced=replaced)
    found = report(data["cases"], Linker())
    own, partner = found.columns
    assert own.ways == {
        "exact": 600,
        "alias": 1,
        "compared": 1,
        "ambiguous": 0,
        "absent": 1,
        "unknown": 1,
    }
    assert (own.rows, own.residents, own.protected, own.empty) == (604, 300, 2, 0)
    assert 0 < own.doubt <= 1 - LEAST
    assert (partner.column, partner.empty, partner.residents) == ("partner", 604, 0)
    assert found.register == "register of 2024-12-31"
    assert not [pnr for pnr in (*PEOPLE, STRANGER) if pnr in repr(found)]


def test_without_a_register_nothing_is_linked_and_nothing_changes(tmp_path):
    data = folder(tmp_path, register=REGISTER, cases=[case(A), case(slip(B), of=B)])
    (tmp_path / "register.yaml").unlink()
    data = folder_again(tmp_path)
    (batch,) = records(data["cases"], columns=[])
    assert batch.residents.tolist() == [A]
    with pytest.raises(DataContractError, match="no other dataset in its folder"):
        report(data["cases"], Linker())


def folder_again(tmp_path):
    from models.linkage.identity import Admission, Mode
    from node.datasets import load_folder

    found = load_folder(tmp_path, admission=Admission(mode=Mode.DEMO))
    return {dataset.declaration.name: dataset for dataset in found}


def test_no_resident_decides_whom_another_ones_rows_are_led_to(tmp_path):
    """The formal guarantee: without all rows led to one resident, the others stay as they are."""
    first, second, between = twins()
    replaced = [f"{A},TF0000000001"]
    lines = [*REGISTER, resident(first), resident(second)]
    cases = [*CASES_OF_ALL, *(case(slip(pnr), of=pnr) for pnr in PEOPLE[:30])]
    cases += [case(first), case(second), case(between, of=first), case("TF0000000001", of=A)]
    cases += [case(slip(B), of=A), case(STRANGER)]  # B's own row says otherwise

    def led(rows):
        data = folder(tmp_path, register=lines, cases=rows, replaced=replaced)["cases"]
        found = Linker().links(data)
        codes = found.survey.ids["pnr"].codes.tolist()
        return [found.found["pnr"][code].resident for code in codes]

    every = led(cases)
    assert every[-4:] == ["", A, B, STRANGER]
    for gone in (A, B, first, second, STRANGER, PEOPLE[0]):
        kept = [n for n, one in enumerate(every) if one != gone]
        assert len(kept) < len(every)
        assert led([cases[n] for n in kept]) == [every[n] for n in kept]


def test_a_folder_with_too_few_cases_to_learn_from_still_links_exact_numbers(tmp_path):
    data = folder(tmp_path, register=[resident(A)], cases=[case(A), case(slip(A), of=A)])
    (own, _) = report(data["cases"], Linker()).columns
    assert own.ways["exact"] == 1
    assert own.ways["compared"] + own.ways["ambiguous"] == 1
