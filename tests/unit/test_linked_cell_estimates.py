"""Comparisons and regressions on cells: without noise they are the textbook's."""

from dataclasses import replace

import linked_tables as linked
import numpy as np
import pytest
import statsmodels.api as sm
from linked_pupils import COMPARED, FITTED, MIDDLES, VARIABLES, pupils, study
from linked_studies import TEXT
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint

from models import documents
from models.errors import UsageError
from models.governance.questions import CellFit, Comparison, Match, Table
from models.linkage.coding import Coding
from models.linkage.estimates import asked
from models.linkage.estimates.answers import answers
from models.linkage.estimates.cell_fit import fit_cells
from models.linkage.estimates.comparison import compare
from models.linkage.estimates.figures import Answer, Figure
from models.linkage.estimates.levels import counted, levels
from models.linkage.tables import NoisyTable
from models.quantities import NoiseVariance


def named(answer: Answer, kind: str, name: str) -> Figure:
    [found] = [item for item in answer.figures if (item.kind, item.name) == (kind, name)]
    return found


def interval(figure: Figure) -> list[float]:
    assert figure.value is not None
    assert figure.low is not None
    assert figure.high is not None
    return [figure.value, figure.low, figure.high]


def only(asked_for: Comparison | CellFit, rows: dict[str, np.ndarray]) -> Answer:
    own = study(asked_for)
    [answer] = answers(own, linked.clear(own, rows))
    return answer


def test_shares_have_wilsons_intervals_and_differences_newcombes() -> None:
    rows = pupils()
    answer = only(COMPARED[0], rows)
    with_it = rows["assistance"] == 1
    counts = {
        name: int(rows["passed"][own].sum()) for name, own in (("y", with_it), ("n", ~with_it))
    }
    sizes = {"y": int(with_it.sum()), "n": int((~with_it).sum())}
    share = named(answer, "share", "passed = yes | assistance = yes")
    expected = proportion_confint(counts["y"], sizes["y"], method="wilson")
    np.testing.assert_allclose(interval(share), [counts["y"] / sizes["y"], *expected], atol=1e-9)
    gap = named(answer, "difference", "passed = yes | assistance = yes against no")
    newcombe = confint_proportions_2indep(
        counts["y"], sizes["y"], counts["n"], sizes["n"], method="newcomb", compare="diff"
    )
    np.testing.assert_allclose(interval(gap)[1:], newcombe, atol=1e-9)
    assert [item.name for item in answer.figures if item.kind == "share"] == [
        "passed = yes | assistance = no",
        "passed = yes | assistance = yes",
    ]


@pytest.mark.parametrize(("scale", "change"), [("log-mean", np.log), ("mean", lambda x: x)])
def test_means_are_those_of_the_middles_of_bins(scale: str, change: object) -> None:
    rows = pupils()
    answer = only(Comparison(kind="compare", outcome="absence", by="support", scale=scale), rows)
    values = change(MIDDLES)[rows["absence"]]
    groups = [values[rows["support"] == place] for place in (1, 0)]
    kinds = {"log-mean": "log-ratio", "mean": "mean difference"}
    for group, label in zip(groups, ("no", "yes"), strict=True):
        figure = named(answer, scale, f"absence | support = {label}")
        reach = 1.959964 * group.std() / np.sqrt(len(group))
        expected = [group.mean(), group.mean() - reach, group.mean() + reach]
        np.testing.assert_allclose(interval(figure), expected, rtol=1e-4)
    gap = named(answer, kinds[scale], "absence | support = yes against no")
    assert gap.value == pytest.approx(groups[1].mean() - groups[0].mean())


def test_a_regression_without_noise_is_the_one_on_records() -> None:
    rows = pupils()
    answer = only(FITTED, rows)
    assistance = (rows["assistance"] == 1).astype(float)
    absence, support = MIDDLES[rows["absence"]] - 8, 1.0 - rows["support"]
    design = np.column_stack([assistance, absence, support, assistance * absence])
    oracle = sm.GLM(
        rows["passed"].astype(float), sm.add_constant(design), family=sm.families.Binomial()
    ).fit(cov_type="HC0", tol=1e-12)
    names = ("assistance = yes", "absence", "support = yes", "assistance = yes * absence")
    found = np.array([interval(named(answer, "log-odds", name)) for name in names])
    np.testing.assert_allclose(found[:, 0], oracle.params[1:], atol=1e-6)
    np.testing.assert_allclose(found[:, 1:], oracle.conf_int()[1:], atol=1e-6)
    [test] = answer.tests
    wald = oracle.wald_test(np.eye(5)[[1, 4]], scalar=True, use_f=False)
    assert (test.name, test.degrees) == ("assistance", 2)
    assert test.statistic == pytest.approx(float(wald.statistic), rel=1e-6)
    assert test.p == pytest.approx(float(wald.pvalue), rel=1e-4)
    crude = sm.Logit(rows["passed"], sm.add_constant(support)).fit(disp=0)
    alone = named(answer, "crude log-odds", "support = yes")
    assert alone.value == pytest.approx(crude.params[1], abs=1e-6)


def test_the_exported_model_gives_each_row_its_fitted_probability() -> None:
    rows = pupils()
    answer = only(FITTED, rows)
    [score] = answer.scores
    assistance = (rows["assistance"] == 1).astype(float)
    absence, support = MIDDLES[rows["absence"]] - 8, 1.0 - rows["support"]
    design = sm.add_constant(np.column_stack([assistance, absence, support, assistance * absence]))
    oracle = sm.Logit(rows["passed"], design).fit(disp=0)
    np.testing.assert_allclose(score.predict(rows), oracle.predict(design), atol=1e-6)
    numbers = {"absence": MIDDLES[rows["absence"]]}
    np.testing.assert_allclose(score.predict(rows, numbers), score.predict(rows))
    with pytest.raises(UsageError, match="needs the categories of support"):
        score.predict({name: codes for name, codes in rows.items() if name != "support"})


def test_residents_without_an_outcome_are_left_out() -> None:
    axes = (
        Coding(
            variable="passed", labels=("no", "yes", "missing", "no record"), missing=2, absent=3
        ),
        Coding(variable="girl", labels=("no", "yes")),
    )
    counts = np.array([[10.0, 20.0], [30.0, 40.0], [500.0, 600.0], [700.0, 800.0]])
    table = NoisyTable(
        question="q", table="q", axes=axes, counts=counts, variance=NoiseVariance(0.0)
    )
    answer = compare(Comparison(kind="compare", outcome="passed", by="girl"), table)
    assert named(answer, "share", "passed = yes | girl = no").value == pytest.approx(30 / 40)
    fit = fit_cells(CellFit(kind="logistic", outcome="passed", terms=("girl",)), table)
    assert named(fit, "log-odds", "girl = yes").value == pytest.approx(np.log(2) - np.log(3))


def test_levels_put_presence_in_order_and_apart_what_is_no_category() -> None:
    presence = Coding(variable="client", labels=("yes", "no"), absent=1)
    assert [(item.label, item.places) for item in levels(presence)] == [("no", (1,)), ("yes", (0,))]
    flag = Coding(variable="flag", labels=("a", "b", "missing", "no record"), missing=2, absent=3)
    assert [item.label for item in levels(flag)] == ["a", "b", "missing", "no record"]
    assert [item.places for item in counted(flag, as_first=True)] == [(0, 3), (1,)]


def test_noise_that_hides_a_group_is_said_and_nothing_breaks() -> None:
    own = study(*COMPARED, FITTED)
    generator = np.random.default_rng(5)
    few = linked.noisy(linked.clear(own, pupils(residents=60)), 400.0, generator)
    for answer in answers(own, few):
        assert any(figure.drowned for figure in answer.figures), answer.analysis
        written = documents.canonical(documents._adapter(Answer).dump_python(answer, mode="json"))
        assert b"NaN" not in written


def test_a_category_that_noise_hides_is_left_out_and_the_others_keep_their_estimates() -> None:
    axes = (
        Coding(variable="passed", labels=("no", "yes")),
        Coding(variable="home", labels=("none", "few", "some")),
    )
    counts = np.array([[1000.0, -40.0, 500.0], [3000.0, 50.0, 600.0]])
    table = NoisyTable(
        question="q", table="q", axes=axes, counts=counts, variance=NoiseVariance(400.0)
    )
    answer = fit_cells(CellFit(kind="logistic", outcome="passed", terms=("home",)), table)
    few = named(answer, "log-odds", "home = few")
    assert few.value is None
    assert few.drowned
    some = named(answer, "log-odds", "home = some")
    assert some.value == pytest.approx(np.log(600 / 500) - np.log(3))
    assert not some.drowned


def test_a_term_that_settles_the_outcome_is_said_to_be_undetermined() -> None:
    axes = (
        Coding(variable="passed", labels=("no", "yes")),
        Coding(variable="home", labels=("none", "some")),
    )
    table = NoisyTable(
        question="q",
        table="q",
        axes=axes,
        counts=np.array([[100.0, 0.0], [300.0, 60.0]]),
        variance=NoiseVariance(0.0),
    )
    answer = fit_cells(CellFit(kind="logistic", outcome="passed", terms=("home",)), table)
    [figure] = answer.figures
    assert figure.value is None or figure.high - figure.low > 10
    assert answer.notes


def test_many_residents_are_not_drowned() -> None:
    own = study(COMPARED[0], FITTED)
    generator = np.random.default_rng(5)
    many = linked.noisy(linked.clear(own, pupils(residents=100_000)), 30.0, generator)
    for answer in answers(own, many):
        assert not any(figure.drowned for figure in answer.figures), answer.analysis


@pytest.mark.parametrize("seed", range(20))
def test_nothing_but_noise_gives_answers_that_admit_it(seed: int) -> None:
    own = study(*COMPARED, FITTED)
    generator = np.random.default_rng(seed)
    nobody = {name: np.full(1, -1) for name in ("passed", "absence", "support", "assistance")}
    for answer in answers(own, linked.noisy(linked.clear(own, nobody), 30.0, generator)):
        shown = [item for item in answer.figures if item.kind in {"difference", "log-odds"}]
        assert all(
            item.drowned or item.value is None or item.note or item.low <= 0 <= item.high
            for item in shown
        )


def test_an_answer_is_a_document_that_reads_back() -> None:
    answer = only(FITTED, pupils())
    mapping = documents._adapter(Answer).dump_python(answer, mode="json")
    assert documents.read(Answer, mapping, what="answer") == answer


@pytest.mark.parametrize(
    ("analysis", "said"),
    [
        (Comparison(kind="compare", outcome="merit", by="support"), "merit is not among"),
        (Comparison(kind="compare", outcome="passed", by="passed"), "compared with itself"),
        (replace(COMPARED[0], scale="mean"), "have no mean"),
        (replace(COMPARED[0], as_first=("passed",)), "no category `no record`"),
        (replace(FITTED, outcome="absence"), "must have two categories"),
        (replace(FITTED, terms=("assistance", "passed")), "is the outcome"),
        (replace(FITTED, centres=(8.0, 1.0)), "a number for each"),
        (replace(FITTED, test=("passed",)), "passed is not a term"),
        (replace(FITTED, products=(("support", "support"),)), "two different terms"),
    ],
)
def test_what_no_table_can_answer_is_refused_beforehand(
    analysis: Comparison | CellFit, said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        asked.check(study(analysis))


def test_logarithms_need_bins_above_zero() -> None:
    variables = (linked.variable("school", linked.number("change", -2, 0, 2)), *VARIABLES[2:])
    question = Table(
        kind="table",
        name="pupils",
        title=TEXT,
        of=("change", "assistance"),
        analyses=(Comparison(kind="compare", outcome="change", by="assistance", scale="log-mean"),),
    )
    with pytest.raises(UsageError, match="no logarithm"):
        asked.check(linked.study(variables, question))


def test_a_matched_variable_can_be_asked_about() -> None:
    years = linked.category("year", "2023", "2024")
    flags = [linked.category(f"assistance_{year}", "no", "yes") for year in (2023, 2024)]
    variables = (
        VARIABLES[0],
        linked.variable("school", years),
        *(linked.variable("social", flag, absent=True) for flag in flags),
    )
    names = tuple(flag.name for flag in flags)
    question = Table(
        kind="table",
        name="pupils",
        title=TEXT,
        of=("passed", "assistance"),
        match=Match(name="assistance", by="year", variables=names),
        analyses=(
            Comparison(kind="compare", outcome="passed", by="assistance", as_first=("assistance",)),
        ),
    )
    asked.check(linked.study(variables, question))
