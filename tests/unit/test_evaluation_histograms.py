"""What evaluation takes from residents: bounded, by public bins, and summed plainly."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import ProtocolViolationError
from models.evaluation import histograms
from models.evaluation.holdout import held_out
from models.families.chunks import Chunk
from models.quantities import NoiseMultiplier, Share
from tests.support.studies import study


def chunk(owners: list[int], outcomes: list[int]) -> Chunk:
    counts = np.bincount(owners)
    return Chunk(
        inputs=np.zeros((len(owners), 1), dtype=np.float32),
        outcomes=np.array(outcomes),
        owners=np.array(owners),
        shares=1.0 / counts[owners],
        complete=True,
    )


def test_one_half_is_an_edge_and_the_edges_rise() -> None:
    edges = histograms.edges()
    assert edges.shape == (histograms.SCORE_BINS - 1,)
    assert edges[histograms.SCORE_BINS // 2 - 1] == 0.5
    assert (np.diff(edges) > 0).all()
    assert (edges[0] < 0.001, edges[-1] > 0.999) == (True, True)
    np.testing.assert_allclose(edges, 1 - edges[::-1], atol=1e-15)
    path = np.concatenate([[0], edges, [1]])
    centres = histograms.centres()
    assert ((path[:-1] < centres) & (centres < path[1:])).all()


def test_a_row_lands_in_the_bin_of_its_score_and_outcome() -> None:
    scores = np.array([[0.5, 0.5], [0.9999, 0.0001], [0.0, 1.0]])
    got = histograms.contributions(scores, chunk=chunk([0, 1, 2], [1, 0, 0]))
    cells = got.reshape(3, *histograms.shape(2))
    assert cells.sum() == 3
    assert cells[0, 0, 1, 32] == 1  # 0.5 counts as yes
    assert cells[1, 0, 0, 0] == 1
    assert cells[2, 0, 0, 63] == 1


def test_more_classes_have_a_group_each_and_one_for_the_predicted_class() -> None:
    scores = np.array([[0.7, 0.2, 0.1], [0.3, 0.3, 0.4]])
    got = histograms.contributions(scores, chunk=chunk([0, 1], [0, 1]))
    cells = got.reshape(2, *histograms.shape(3))
    assert cells.sum(axis=(2, 3)).tolist() == [[1, 1, 1, 1]] * 2
    assert cells[:, :3, 1].sum(axis=2).tolist() == [[1, 0, 0], [0, 1, 0]]
    assert cells[:, 3, 1].sum(axis=1).tolist() == [1, 0]  # the second was predicted wrongly


@given(
    classes=st.integers(2, 5),
    owners=st.lists(st.integers(0, 4), min_size=1, max_size=30),
    data=st.data(),
)
def test_a_resident_weighs_one_per_group_however_many_rows(
    classes: int, owners: list[int], data: st.DataObject
) -> None:
    _, dense = np.unique(owners, return_inverse=True)
    owners = np.sort(dense).tolist()
    raw = data.draw(
        st.lists(
            st.lists(st.floats(0.001, 1.0), min_size=classes, max_size=classes),
            min_size=len(owners),
            max_size=len(owners),
        )
    )
    scores = np.array(raw) / np.sum(raw, axis=1, keepdims=True)
    outcomes = data.draw(
        st.lists(st.integers(0, classes - 1), min_size=len(owners), max_size=len(owners))
    )
    got = histograms.contributions(scores, chunk=chunk(owners, outcomes))
    per_group = got.reshape(len(got), histograms.groups(classes), -1)
    np.testing.assert_allclose(per_group.sum(axis=2), 1.0)
    bound = histograms.sensitivity(classes).value
    assert (np.linalg.norm(got, axis=1) <= bound * (1 + 1e-12)).all()


def test_the_variance_of_the_noise_grows_with_departments_and_groups() -> None:
    noise = NoiseMultiplier(2.0)
    assert histograms.noise_variance(noise, classes=2, departments=1).value == 4.0
    assert histograms.noise_variance(noise, classes=2, departments=3).value == 12.0
    assert histograms.noise_variance(noise, classes=3, departments=1).value == pytest.approx(16.0)
    assert histograms.noise_variance(None, classes=3, departments=9).value == 0.0


def test_departments_add_up_and_odd_histograms_are_refused() -> None:
    one = np.ones(histograms.shape(2))
    assert (histograms.combine([one, -0.5 * one, one], classes=2) == 1.5).all()
    assert (histograms.combine([], classes=3) == np.zeros((4, 2, 64))).all()
    for odd in (one[0], one[:, :, :-1], one * np.nan, one.astype(object)):
        with pytest.raises(ProtocolViolationError):
            histograms.combine([one, odd], classes=2)


IDS = [f"r{index}" for index in range(20_000)]
KEY = study().digest()


def test_the_same_residents_are_set_aside_wherever_they_appear() -> None:
    here = dict(zip(IDS, held_out(IDS, study=KEY, share=Share(0.2)), strict=True))
    order = [*reversed(IDS[::7]), "somebody-new"]
    there = held_out(order, study=KEY, share=Share(0.2))
    assert [here[i] for i in order[:-1]] == there[:-1].tolist()


def test_the_share_is_kept_and_another_study_takes_others() -> None:
    aside = held_out(IDS, study=KEY, share=Share(0.2))
    assert 0.19 < aside.mean() < 0.21
    other = held_out(IDS, study=study(study="another-study").digest(), share=Share(0.2))
    assert 0.18 < other[aside].mean() < 0.22
    assert not held_out(IDS, study=KEY, share=Share(0.0)).any()
    assert held_out([], study=KEY, share=Share(0.2)).tolist() == []
    assert (held_out(IDS, study=KEY, share=Share(0.5)) >= aside).all()
