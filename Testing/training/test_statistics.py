"""Laws of the paired, clustered bootstrap, before anything is claimed with it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.metrics import Overlap, pooled
from training.statistics import Ratio, clusters, image_mean, micro_dice, micro_iou, paired_bootstrap


def counted(rng: np.random.Generator, count: int) -> list[Overlap]:
    """Overlaps of random masks."""
    true, predicted = rng.integers(1, 400, count), rng.integers(0, 400, count)
    common = (rng.random(count) * np.minimum(true, predicted)).astype(int)
    return [Overlap(int(i), int(p), int(t)) for i, p, t in zip(common, predicted, true, strict=True)]


def own(count: int) -> list[str]:
    return [f"case {number}" for number in range(count)]


class TestScores:
    def test_one_seed_gives_the_scores_of_metrics(self) -> None:
        overlaps = counted(np.random.default_rng(0), 30)
        assert micro_dice([overlaps]).value() == pytest.approx(pooled(overlaps).dice)
        assert micro_iou([overlaps]).value() == pytest.approx(pooled(overlaps).iou)
        dice = [each.dice for each in overlaps]
        assert image_mean([dice]).value() == pytest.approx(np.mean(dice))

    def test_micro_scores_belong_together(self) -> None:
        overlaps = counted(np.random.default_rng(8), 30)
        dice = micro_dice([overlaps]).value()
        assert micro_iou([overlaps]).value() == pytest.approx(dice / (2 - dice))

    def test_empty_masks_only_score_one_as_in_metrics(self) -> None:
        empty, missed = [Overlap(0, 0, 0)] * 3, [Overlap(0, 5, 0)] * 3
        for score, of_metrics in ((micro_dice, pooled(empty).dice), (micro_iou, pooled(empty).iou)):
            assert score([empty]).value() == of_metrics == 1
            assert score([missed]).value() == 0
            assert score([empty, missed]).value() == 0.5
            interval = paired_bootstrap(score([empty]), score([missed]), own(3))
            assert (interval.difference, interval.low, interval.high) == (1, 1, 1)

    def test_several_seeds_give_the_mean_of_their_scores(self) -> None:
        rng = np.random.default_rng(1)
        seeds = [counted(rng, 20) for _ in range(3)]
        assert micro_dice(seeds).value() == pytest.approx(np.mean([pooled(seed).dice for seed in seeds]))

    def test_some_of_the_cases(self) -> None:
        chosen = np.array([True, False, True])
        assert image_mean([[0.2, 0.9, 0.4]]).of(chosen).value() == pytest.approx(0.3)

    def test_cases_without_a_patient_are_their_own_cluster(self) -> None:
        names = clusters(["a", "", "a", "", "b.png"], ["1.png", "a", "2.png", "b.png", "3.png"])
        assert len(set(names)) == 4
        assert names[0] == names[2]


class TestLaws:
    @given(st.integers(0, 2**31), st.integers(1, 3))
    def test_a_method_differs_from_itself_by_exactly_nothing(self, seed: int, seeds: int) -> None:
        rng = np.random.default_rng(seed)
        names = [f"{name}" for name in rng.integers(0, 8, 25)]
        for score in (
            micro_dice([counted(rng, 25) for _ in range(seeds)]),
            image_mean(rng.random((seeds, 25)).tolist()),
        ):
            interval = paired_bootstrap(score, score, names, resamples=50)
            assert (interval.difference, interval.low, interval.high) == (0.0, 0.0, 0.0)
            assert not interval.is_clear

    def test_exchanging_the_methods_changes_the_sign(self) -> None:
        rng = np.random.default_rng(2)
        one, other = (micro_dice([counted(rng, 40)]) for _ in range(2))
        there, back = paired_bootstrap(one, other, own(40)), paired_bootstrap(other, one, own(40))
        assert (there.difference, there.low, there.high) == pytest.approx((-back.difference, -back.high, -back.low))

    def test_a_constant_gain_has_no_width(self) -> None:
        scores = np.random.default_rng(3).random((1, 30))
        interval = paired_bootstrap(image_mean((scores + 0.1).tolist()), image_mean(scores.tolist()), own(30))
        assert (interval.low, interval.high) == pytest.approx((0.1, 0.1))
        assert interval.is_clear

    def test_the_order_of_the_cases_does_not_matter(self) -> None:
        rng = np.random.default_rng(4)
        one, other = counted(rng, 60), counted(rng, 60)
        names = [f"patient {number}" for number in rng.integers(0, 15, 60)]
        order = rng.permutation(60)
        straight = paired_bootstrap(micro_dice([one]), micro_dice([other]), names)
        mixed = paired_bootstrap(
            micro_dice([[one[at] for at in order]]),
            micro_dice([[other[at] for at in order]]),
            [names[at] for at in order],
        )
        assert (mixed.difference, mixed.low, mixed.high) == pytest.approx(
            (straight.difference, straight.low, straight.high), abs=1e-12
        )

    def test_two_clusters_have_a_known_answer(self) -> None:
        # Draws are (a, a), (a, b) twice, (b, b): means 0, 1/2, 1 with chances 1/4, 1/2, 1/4.
        interval = paired_bootstrap(image_mean([[0.0, 1.0]]), image_mean([[0.0, 0.0]]), ["a", "b"])
        assert (interval.difference, interval.low, interval.high) == (0.5, 0.0, 1.0)

    def test_one_cluster_has_no_width(self) -> None:
        interval = paired_bootstrap(image_mean([[0.0, 1.0]]), image_mean([[0.5, 0.1]]), ["a", "a"])
        assert (interval.low, interval.high) == pytest.approx((0.2, 0.2))

    def test_patients_whose_films_are_alike_widen_the_interval(self) -> None:
        rng = np.random.default_rng(5)
        effect = np.repeat(rng.normal(0, 0.1, 40), 5)
        ours, theirs = image_mean([(0.7 + effect).tolist()]), image_mean([[0.7] * 200])
        by_patient = paired_bootstrap(ours, theirs, [f"{at // 5}" for at in range(200)])
        by_film = paired_bootstrap(ours, theirs, own(200))
        ratio = (by_patient.high - by_patient.low) / (by_film.high - by_film.low)
        assert ratio == pytest.approx(5**0.5, rel=0.15)

    def test_the_interval_holds_the_truth_in_about_95_of_100_studies(self) -> None:
        rng = np.random.default_rng(6)
        held = []
        for study in range(200):
            sizes = rng.integers(1, 7, 50)
            names = [f"{patient}" for patient, size in enumerate(sizes) for _ in range(size)]
            shared = np.repeat(rng.normal(0, 0.1, len(sizes)), sizes)
            hard = np.repeat(rng.normal(0, 0.2, len(sizes)), sizes)  # the same for both methods: pairing removes it
            ours = hard + 0.03 + shared + rng.normal(0, 0.05, len(names))
            interval = paired_bootstrap(
                image_mean([ours.tolist()]), image_mean([hard.tolist()]), names, resamples=400, seed=study
            )
            held.append(interval.low <= 0.03 <= interval.high)
        assert 0.88 <= np.mean(held) <= 0.98


class TestErrors:
    def test_other_cases_are_refused(self) -> None:
        with pytest.raises(ValueError, match="the same cases on both sides, got 2, 3 and 2 names"):
            paired_bootstrap(image_mean([[0.1, 0.2]]), image_mean([[0.1, 0.2, 0.3]]), own(2))

    def test_no_case_is_refused(self) -> None:
        nothing = Ratio(np.zeros((1, 0)), np.zeros((1, 0)))
        with pytest.raises(ValueError, match="0, 0 and 0 names"):
            paired_bootstrap(nothing, nothing, [])

    def test_a_draw_of_empty_masks_only_scores_one(self) -> None:
        empty, missed = Overlap(0, 0, 0), Overlap(0, 0, 10)
        interval = paired_bootstrap(micro_dice([[empty, missed]]), micro_dice([[missed, missed]]), ["a", "b"])
        assert interval.high == 1.0
