"""Lungs and zones: they divide the film, follow a mirror, and survive their file."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from TextGuidedSegLib.phantom import chest_film
from training.datasets.index import read_index
from training.lung_zones import (
    LEVELS,
    SIDES,
    LungZones,
    contact_sheet,
    load_zones,
    main,
    save_zones,
    side_bits,
    zone_bit,
)


@pytest.fixture(scope="module")
def lungs() -> LungZones:
    """Lungs of a phantom that is wider than high."""
    film = chest_film(3, size=(72, 90))
    return LungZones(film.lungs["left"].T, film.lungs["right"].T)


class TestLaws:
    def test_the_two_sides_divide_the_film(self, lungs: LungZones) -> None:
        left, right = lungs.side("left"), lungs.side("right")
        assert not (left & right).any()
        assert (left | right).all()

    def test_a_lung_lies_on_its_side(self, lungs: LungZones) -> None:
        assert lungs.side("left")[lungs.left].all()
        assert lungs.side("right")[lungs.right].all()

    @pytest.mark.parametrize("side", SIDES)
    def test_the_levels_cover_a_side_from_top_to_bottom_and_upper_is_nowhere_lower(
        self, lungs: LungZones, side: str
    ) -> None:
        zones = [lungs.zone(side, [level]) for level in LEVELS]
        assert np.array_equal(np.any(zones, axis=0), lungs.side(side))
        assert not (zones[0] & zones[2]).any()
        rows = [np.argwhere(zone & (lungs.left | lungs.right))[:, 1].mean() for zone in zones]
        assert rows == sorted(rows)

    def test_mirroring_the_film_exchanges_the_sides(self, lungs: LungZones) -> None:
        mirrored = LungZones(lungs.right[::-1], lungs.left[::-1])
        here, there = lungs.zone("left", ["lower"]), mirrored.zone("right", ["lower"])[::-1]
        assert (here == there).mean() > 0.99  # a pixel as near to one lung as to the other goes to the right one

    def test_a_cut_to_all_zones_is_the_mask(self, lungs: LungZones) -> None:
        mask = np.random.default_rng(0).random(lungs.left.shape) < 0.3
        assert np.array_equal(lungs.cut(mask, [("left", LEVELS), ("right", ())]), mask)
        assert not lungs.cut(mask, []).any()

    def test_a_cut_keeps_what_was_drawn_at_the_named_place(self) -> None:
        film = chest_film(5, size=(96, 96), lesions=(("left", "lower"), ("right", "upper")))
        lungs = LungZones(film.lungs["left"].T, film.lungs["right"].T)
        for side, level, drawn in film.lesion_places:
            kept = lungs.cut(film.lesions.T, [(side, [level])])
            assert (kept & drawn.T).sum() > 0.6 * drawn.sum()
            assert not (kept & ~drawn.T).any()

    def test_the_map_of_zones_says_the_same(self, lungs: LungZones) -> None:
        zones = lungs.zones()
        for side in SIDES:
            assert np.array_equal((zones & side_bits(side)) != 0, lungs.side(side))
            for level in LEVELS:
                assert np.array_equal((zones & zone_bit(side, level)) != 0, lungs.zone(side, [level]))

    def test_another_grid_shows_the_same_lungs(self, lungs: LungZones) -> None:
        double = tuple(2 * size for size in lungs.left.shape)
        assert np.array_equal(lungs.resized(double).left, lungs.left.repeat(2, axis=0).repeat(2, axis=1))
        assert np.array_equal(lungs.resized(double).resized(lungs.right.shape).right, lungs.right)

    def test_lungs_that_are_missing_or_exchanged_are_not_sound(self, lungs: LungZones) -> None:
        assert lungs.is_sound
        assert not LungZones(lungs.right, lungs.left).is_sound
        assert not LungZones(lungs.left, lungs.right & False).is_sound


class TestFile:
    def test_round_trip(self, lungs: LungZones, tmp_path: Path) -> None:
        save_zones(tmp_path / "zones.npz", {"images/a.png": lungs}, "note")
        loaded = load_zones(tmp_path / "zones.npz")["images/a.png"]
        assert np.array_equal(loaded.left, lungs.left)
        assert np.array_equal(loaded.right, lungs.right)

    def test_only_the_films_that_are_wanted_are_read(self, lungs: LungZones, tmp_path: Path) -> None:
        save_zones(tmp_path / "zones.npz", {"images/a.png": lungs, "images/b.png": lungs}, "note")
        assert load_zones(tmp_path / "zones.npz").keys() == {"images/a.png", "images/b.png"}
        assert load_zones(tmp_path / "zones.npz", {"images/b.png", "images/c.png"}).keys() == {"images/b.png"}
        assert load_zones(tmp_path / "zones.npz", set()) == {}

    @pytest.mark.parametrize("kept", [0.0, 0.3, 0.95], ids=["empty", "cut", "without its end"])
    def test_a_cut_file_is_refused(self, kept: float, lungs: LungZones, tmp_path: Path) -> None:
        save_zones(tmp_path / "zones.npz", {"images/a.png": lungs}, "note")
        content = (tmp_path / "zones.npz").read_bytes()
        (tmp_path / "zones.npz").write_bytes(content[: int(kept * len(content))])
        with pytest.raises(ValueError, match=r"zones\.npz is no file of lung zones .* python -m training\.lung_zones"):
            load_zones(tmp_path / "zones.npz")

    def test_damaged_bytes_in_a_file_are_refused(self, lungs: LungZones, tmp_path: Path) -> None:
        save_zones(tmp_path / "zones.npz", {"images/a.png": lungs}, "note")
        content = bytearray((tmp_path / "zones.npz").read_bytes())
        for place in range(60, len(content) // 2, 3):
            content[place] ^= 255
        (tmp_path / "zones.npz").write_bytes(content)
        with pytest.raises(ValueError, match="is no file of lung zones"):
            load_zones(tmp_path / "zones.npz")

    def test_another_file_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "zones.npz").write_text("no lungs", encoding="utf-8")
        with pytest.raises(ValueError, match=r"zones\.npz is no file of lung zones .* python -m training\.lung_zones"):
            load_zones(tmp_path / "zones.npz")


class TestCommand:
    def test_writes_every_film_of_the_splits_with_the_models_hash(
        self, loose_model: Path, lesion_index: Path, tmp_path: Path
    ) -> None:
        out = tmp_path / "zones.npz"
        arguments = ["--weights", str(loose_model), "--data", str(lesion_index), "--split", "dev", "--out", str(out)]
        assert main(arguments) == 0
        expected = {row.columns["image"] for row in read_index(lesion_index) if row.columns["split"] == "dev"}
        assert load_zones(out).keys() == expected
        with np.load(out) as stored:
            assert set(json.loads(str(stored["note"]))["sha256"]) == {"weights.safetensors", "tokenizer.json"}

    def test_an_unknown_split_is_refused_before_work(
        self, loose_model: Path, lesion_index: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        out = tmp_path / "zones.npz"
        command = ["--weights", str(loose_model), "--data", str(lesion_index), "--split", "exam", "--out", str(out)]
        assert main(command) == 2
        assert "has a split in ['exam']" in capsys.readouterr().err
        assert not out.exists()


def test_the_contact_sheet_draws_outlines_on_a_grid_of_films(lungs: LungZones) -> None:
    grey = np.full(lungs.left.shape, 100)
    sheet = contact_sheet([(grey, lungs)] * 3, columns=2)
    width, height = lungs.left.shape
    assert sheet.shape == (2 * height, 2 * width, 3)
    assert len(np.unique(sheet.reshape(-1, 3), axis=0)) == 4  # grey, two outlines, the empty place
