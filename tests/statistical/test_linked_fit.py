"""A fit over linked departments, with noise, ranks residents nearly as well as pooled records."""

from tests.bench import linked_fit


def test_a_linked_fit_is_within_five_thousandths_of_pooled_records() -> None:
    found = linked_fit.measure(seed=11, epsilon=1.0, residents=linked_fit.RESIDENTS)
    pooled = found["pooled, without privacy"]
    assert pooled - found["linked"] < 0.005
    assert pooled - found["best single department"] > 0.05


def test_few_residents_are_too_few() -> None:
    found = linked_fit.measure(seed=11, epsilon=1.0, residents=5_000)
    assert found["pooled, without privacy"] - found["linked"] > 0.005
