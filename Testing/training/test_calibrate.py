"""Thresholds are fixed on the development split, by figures that can be recomputed."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from Testing.training.tiny import LESIONS, lesion_film
from TextGuidedSegLib.inference import Segmenter
from TextGuidedSegLib.weights import find_model, verify, write_card
from training.calibrate import (
    Films,
    best_threshold,
    calibrate,
    fit_presence,
    main,
    presence_limit,
    unsure_limit,
)
from training.datasets.index import read_index, select
from training.evidence import EVERYTHING, THRESHOLDS, measure, measure_by, overlaps
from training.lung_zones import LungZones, save_zones
from training.metrics import overlap, pooled

TRUTH = np.zeros((10, 10, 1), dtype=bool)
TRUTH[2:6, 2:6] = True


def arguments(model: Path, data: Path, split: str) -> list[str]:
    return ["--weights", str(model), "--data", str(data), "--split", split]


def test_the_threshold_that_separates_is_found() -> None:
    probability = np.where(TRUTH, 0.62, 0.57)
    assert best_threshold([overlaps(probability, TRUTH)]) == 0.6


def test_the_best_threshold_weighs_both_scores() -> None:
    # One large film is best above 0.5 and nine small ones below: by their number they outvote its pixels.
    large, small = np.zeros((60, 60, 1), dtype=bool), np.zeros((6, 6, 1), dtype=bool)
    large[:40], small[:2] = True, True
    maps = [np.where(large, 0.7, 0.45), *[np.where(small, 0.4, 0.1)] * 9]
    truth = [large, *[small] * 9]
    scores = {}
    for threshold in THRESHOLDS:
        here = [overlap(each >= threshold, true) for each, true in zip(maps, truth, strict=True)]
        scores[threshold] = np.mean([each.dice for each in here]) + pooled(here).dice
    best = best_threshold([overlaps(each, true) for each, true in zip(maps, truth, strict=True)])
    assert scores[best] == max(scores.values())
    assert best <= 0.4


def test_the_fit_recovers_the_calibration_that_made_the_evidence() -> None:
    rng = np.random.default_rng(0)
    evidence = rng.uniform(-8, 8, 40_000)
    there = rng.random(evidence.size) < 1 / (1 + np.exp(-(0.7 * evidence - 1.0)))
    scale, offset = fit_presence(evidence[there].tolist(), evidence[~there].tolist())
    assert scale == pytest.approx(0.7, rel=0.1)
    # Both classes weigh the same, whatever their numbers: the prior odds are taken out of the offset.
    assert offset == pytest.approx(-1.0 - np.log(there.sum() / (~there).sum()), abs=0.2)


def test_the_fit_ranks_what_is_there_higher_and_stays_finite_when_scores_do_not_overlap() -> None:
    scale, offset = fit_presence([3.0, 4.0], [-4.0, -3.0])
    assert scale > 0
    assert np.isfinite([scale, offset]).all()


class TestLimitOfNotFound:
    def test_it_costs_no_more_dice_than_allowed(self) -> None:
        presence, dice = np.linspace(0.0, 1.0, 201), np.linspace(0.2, 0.9, 201)
        lost = dice[presence < presence_limit(presence.tolist(), dice.tolist())].sum() / 201
        assert 0.002 < lost <= 0.003

    def test_films_that_are_drawn_badly_anyway_cost_less(self) -> None:
        presence = np.linspace(0.0, 1.0, 201).tolist()
        assert presence_limit(presence, [0.1] * 201) > presence_limit(presence, [0.9] * 201)

    def test_it_is_never_above_one_half(self) -> None:
        assert presence_limit([0.9, 0.95], [0.8, 0.8]) == 0.5
        assert presence_limit([0.1, 0.2], [0.0, 0.0]) == 0.5

    def test_no_more_than_four_percent_of_the_answers_are_unsure(self) -> None:
        there, absent = np.linspace(0.2, 1.0, 401), np.linspace(0.0, 0.8, 161)

        def share(limit: float) -> float:
            return float(np.mean([((each >= limit) & (each < 0.5)).mean() for each in (there, absent)]))

        limit = unsure_limit(there.tolist(), absent.tolist())
        assert 0.035 < share(limit) <= 0.04 < share(limit - 0.01)

    def test_it_is_a_quarter_where_hardly_anything_is_in_doubt(self) -> None:
        assert unsure_limit([0.9, 0.95], [0.01, 0.02]) == 0.25
        assert unsure_limit([0.9, 0.3], [0.01, 0.4]) == pytest.approx(0.401)


def test_calibration_writes_what_it_chose_and_drops_figures_of_other_decisions(
    model_folder: Path, lesion_index: Path
) -> None:
    before = find_model(model_folder).card
    write_card(model_folder, dataclasses.replace(before, figures=before.figures | {"lesions, dev": {"n": 1}}))
    decision = calibrate(str(model_folder), Films(lesion_index, "dev"))
    model = find_model(model_folder)
    assert model.card == dataclasses.replace(before, decision=decision)
    assert decision.mirror_average == before.decision.mirror_average
    verify(model)
    assert 0 <= decision.not_found_below <= decision.found_above <= 1
    assert {decision.threshold, decision.pseudo_threshold} <= set(THRESHOLDS)
    again = calibrate(str(model_folder), Films(lesion_index, "dev"))  # what it finds does not depend on the card
    fitted = {name: getattr(decision, name) for name in ("presence_scale", "presence_offset")}
    assert {name: getattr(again, name) for name in fitted} == pytest.approx(fitted, rel=1e-3)
    assert dataclasses.replace(again, **fitted) == decision


def test_what_is_measured_is_every_caption_and_the_empty_side_of_undoubted_one_sided_films(
    exported_model: Path, lesion_index: Path
) -> None:
    rows = select(read_index(lesion_index), ["split=dev"])
    measured = measure(Segmenter(find_model(exported_model), device="cpu"), rows)
    assert len(measured.probability) == len(measured.pseudo_image) == len(measured.present) == 4
    assert len(measured.empty) == 2  # not the flagged film, not the one with lesions on both sides
    assert {len(each) for each in measured.probability} == {len(THRESHOLDS)}
    odd = select(read_index(lesion_index), ["published_side=patient"])
    assert measure(Segmenter(find_model(exported_model), device="cpu"), odd).empty == []


def test_films_whose_lungs_are_known_are_asked_for_parts_and_for_what_is_not_there(
    model_folder: Path, lesion_index: Path, tmp_path: Path
) -> None:
    films = [(row.name, lesion_film(number)) for number, row in enumerate(LESIONS)]
    lungs = {f"images/{name}.png": LungZones(film.lungs["left"].T, film.lungs["right"].T) for name, film in films}
    rows = select(read_index(lesion_index), ["split=dev"])
    measured = measure(Segmenter(find_model(model_folder), device="cpu"), rows, lungs)
    assert measure_by(find_model(model_folder), rows, lungs, EVERYTHING, jobs=2) == measured
    assert len(measured.present) == 4
    # Both sides and both levels of dev_both, the one level of dev_left and dev_right.
    assert len(measured.parts) == 2 + 2 + 1 + 1
    assert len(measured.empty) > 2
    # Once a film is in the file, nothing else is asked of it; the plain captions are those of a run without it.
    plain = measure(Segmenter(find_model(model_folder), device="cpu"), rows)
    assert plain.parts == []
    assert measured.present == plain.present
    save_zones(tmp_path / "lungs.npz", lungs, "drawn")
    arguments_with_lungs = [*arguments(model_folder, lesion_index, "dev"), "--lungs", str(tmp_path / "lungs.npz")]
    assert main(arguments_with_lungs) == 0
    decision = find_model(model_folder).card.decision
    expected = fit_presence([*measured.present, *measured.parts], measured.empty)
    assert (decision.presence_scale, decision.presence_offset) == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize(
    ("split", "where", "message"),
    [
        ("nowhere", "", "has split='nowhere'"),
        ("val", "structures", "names one side"),
    ],
)
def test_a_split_that_cannot_calibrate_is_told_and_the_card_stays(
    split: str,
    where: str,
    message: str,
    model_folder: Path,
    lesion_index: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    data = lesion_index
    if where:
        data = lesion_index.parent / "two_sided.csv"
        header, *lines = lesion_index.read_text(encoding="utf-8").splitlines()
        both = [line.replace(",dev,", ",val,") for line in lines if "images/dev_both" in line]
        data.write_text("\n".join([header, *both]), encoding="utf-8")
    card = (model_folder / "card.json").read_bytes()
    assert main(arguments(model_folder, data, split)) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line
    assert (model_folder / "card.json").read_bytes() == card


def test_the_command_calibrates_and_names_its_mistakes(
    model_folder: Path, lesion_index: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments(model_folder, lesion_index, "dev")) == 0
    capsys.readouterr()
    assert main(arguments(model_folder, Path("nowhere.csv"), "dev")) == 2
    assert main(arguments(Path("no-such-model"), lesion_index, "dev")) == 2
    first, second = capsys.readouterr().err.splitlines()
    assert "nowhere.csv does not exist" in first
    assert "there is no model 'no-such-model'" in second


def test_every_nth_image_is_measured_with_all_its_rows(model_folder: Path, lesion_index: Path) -> None:
    rows = select(read_index(lesion_index), ["split=train"])
    halves = calibrate(str(model_folder), Films(lesion_index, "train", every=2))
    images = {row.image for row in rows[::2]}
    measured = measure(Segmenter(find_model(model_folder), device="cpu"), [row for row in rows if row.image in images])
    assert halves.threshold == best_threshold(measured.probability)
    with pytest.raises(SystemExit):
        main([*arguments(model_folder, lesion_index, "train"), "--every", "0"])


def test_a_further_split_moves_the_scale_of_presence_alone(model_folder: Path, lesion_index: Path) -> None:
    alone = calibrate(str(model_folder), Films(lesion_index, "dev"))
    joined = calibrate(str(model_folder), Films(lesion_index, "dev", presence_split="train"))
    segmenter = Segmenter(find_model(model_folder), device="cpu")
    dev, train = (measure(segmenter, select(read_index(lesion_index), [f"split={name}"])) for name in ("dev", "train"))
    expected = fit_presence([*dev.present, *train.present], [*dev.empty, *train.empty])
    assert (joined.presence_scale, joined.presence_offset) == pytest.approx(expected, abs=1e-3)
    assert (joined.threshold, joined.pseudo_threshold) == (alone.threshold, alone.pseudo_threshold)


def test_a_further_split_that_is_none_is_told_and_the_card_stays(
    model_folder: Path, lesion_index: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    card = (model_folder / "card.json").read_bytes()
    assert main([*arguments(model_folder, lesion_index, "dev"), "--presence-split", "nowhere"]) == 2
    assert "has split='nowhere'" in capsys.readouterr().err
    assert (model_folder / "card.json").read_bytes() == card
