"""Leaving a state: from two tables the same as from a row for each month of each resident."""

import linked_tables as linked
import numpy as np
import pytest
import statsmodels.api as sm
from linked_spells import MONTHS, WINDOW, spells, study

from models.errors import UsageError
from models.linkage.estimates import asked
from models.linkage.estimates.answers import answers
from models.linkage.estimates.figures import Answer, Series


def in_months(rows: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Give terms, leaving and resident of each month at risk: the slow way."""
    terms, leaves, who = [], [], []
    for resident in range(len(rows["begun"])):
        lasted = int(rows["lasted"][resident]) + 1
        entry = int(rows["entry"][resident])
        lag = entry - int(rows["begun"][resident]) if entry >= 0 else 10**6
        for month in range(1, lasted + 1):
            helped = lag < month <= lag + WINDOW
            terms.append(
                (
                    helped and lag + 1 <= 6,
                    helped and 6 < lag + 1 <= 12,
                    helped and lag + 1 > 12,
                    month > lag + WINDOW,
                    4 <= month <= 6,
                    7 <= month <= 12,
                    month >= 13,
                    rows["hinder"][resident] == 1,
                )
            )
            leaves.append(month == lasted and rows["left"][resident] == 1)
            who.append(resident)
    return np.asarray(terms, float), np.asarray(leaves, float), np.asarray(who)


def answer(rows: dict[str, np.ndarray]) -> Answer:
    own = study()
    asked.check(own)
    [found] = answers(own, linked.clear(own, rows))
    return found


def curve(found: Answer, kind: str, name: str) -> Series:
    [series] = [item for item in found.series if (item.kind, item.name) == (kind, name)]
    return series


def test_the_regression_is_the_one_on_months_with_errors_by_resident() -> None:
    rows = spells(1)
    found = [item for item in answer(rows).figures if item.kind == "log-odds"]
    terms, leaves, who = in_months(rows)
    oracle = sm.GLM(leaves, sm.add_constant(terms), family=sm.families.Binomial()).fit(
        cov_type="cluster", cov_kwds={"groups": who, "use_correction": False}, tol=1e-12
    )
    assert [item.name for item in found] == [
        "measure begun in months 1 to 6",
        "measure begun in months 7 to 12",
        "measure begun in month 13 or later",
        "measure too long ago",
        "month 4 to 6",
        "month 7 to 12",
        "month 13 or later",
        "hinder = yes",
    ]
    np.testing.assert_allclose([item.value for item in found], oracle.params[1:], atol=1e-6)
    np.testing.assert_allclose(
        [(item.low, item.high) for item in found], oracle.conf_int()[1:], atol=1e-6
    )


def test_the_crude_effect_ignores_the_clock() -> None:
    rows = spells(1)
    [crude] = [item for item in answer(rows).figures if item.kind == "crude log-odds"]
    terms, leaves, _ = in_months(rows)
    oracle = sm.Logit(leaves, sm.add_constant(terms[:, :3].sum(axis=1))).fit(disp=0)
    assert crude.value == pytest.approx(oracle.params[1], abs=1e-6)


def test_hazards_and_survival_are_counted_month_by_month() -> None:
    rows = spells(2)
    found = answer(rows)
    terms, leaves, who = in_months(rows)
    month = np.concatenate([np.arange(1, n + 1) for n in np.bincount(who)])
    early = terms[:, 0] == 1
    for name, own in (("without a measure", terms[:, :3].sum(axis=1) + terms[:, 3] == 0),):
        points = {point.at: point.value for point in curve(found, "hazard", name).points}
        for at in (1, 5, 12):
            assert points[at] == pytest.approx(leaves[own & (month == at)].mean())
    points = curve(found, "hazard", "measure begun in months 1 to 6").points
    assert points[3].value == pytest.approx(leaves[early & (month == points[3].at)].mean())
    hinder = terms[:, 7] == 1
    left = 1.0
    for point in curve(found, "survival", "hinder = yes").points[1:]:
        left *= 1 - leaves[hinder & (month == point.at)].mean()
        assert point.value == pytest.approx(left)
        assert point.low < point.value < point.high


def test_survival_has_greenwoods_error_without_noise() -> None:
    rows = spells(3)
    _, leaves, who = in_months(rows)
    month = np.concatenate([np.arange(1, n + 1) for n in np.bincount(who)])
    point = curve(answer(rows), "survival", "everybody").points[6]
    risk = np.bincount(month, minlength=8)[1:7]
    gone = np.bincount(month, weights=leaves, minlength=8)[1:7]
    log = np.log(1 - gone / risk).sum()
    error = np.sqrt((gone / (risk * (risk - gone))).sum())
    expected = np.exp(log * np.exp(np.array([1.0, -1.0]) * 1.959964 * error / -log))
    np.testing.assert_allclose([point.low, point.high], expected, rtol=1e-3)


def test_noise_widens_every_figure_and_curves_stop_where_it_hides_them() -> None:
    own, rows = study(), spells(4)
    clear = linked.clear(own, rows)
    [exact] = answers(own, clear)
    [noisy] = answers(own, linked.noisy(clear, 100.0, np.random.default_rng(4)))
    for before, after in zip(exact.figures, noisy.figures, strict=True):
        assert after.value is None or after.noise > before.noise == 0
    assert len(curve(noisy, "survival", "everybody").points) <= MONTHS + 1
    assert all(point.high - point.low <= 0.5 for series in noisy.series for point in series.points)


def test_bands_must_rise() -> None:
    with pytest.raises(UsageError, match="must rise"):
        asked.check(study(bands=(12, 6)))
