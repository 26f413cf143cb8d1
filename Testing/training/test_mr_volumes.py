"""The reader of labelled volumes: crops that know their place, phrases with their labels, lost spacings."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from Testing.training.volume_sets import HEADS, PATCH, PREPROCESSING, STACKS, crop, labels, write_set, write_volume
from TextGuidedSegLib.io import read_image
from TextGuidedSegLib.preprocessing import PreprocessingConfig
from TextGuidedSegLib.volume_preprocessing import prepare_volume
from training import grammar_volume
from training.datasets.index import Row, read_index
from training.datasets.label_maps import joined_labels, label_values, load_truth
from training.datasets.mr_volumes import (
    NOMINAL_SPACING_MM,
    LabelledVolume,
    LabelledVolumes,
    MrVolumes,
    VolumeSet,
    load_volume,
    open_volume,
    rows_by_image,
)
from training.datasets.volume_sample import VolumeSample, collate_volumes
from training.datasets.volume_slices import labelled_slices

SET = VolumeSet(HEADS, 1.0, PATCH)


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_set(tmp_path_factory.mktemp("volumes"))


@pytest.fixture(scope="module")
def heads(index: Path) -> MrVolumes:
    return MrVolumes(index, SET, "train", PREPROCESSING)


def draws(source: MrVolumes, count: int = 60) -> list[VolumeSample]:
    return [sample for seed in range(count) for sample in source.draw(random.Random(seed), 1)]


class TestSamples:
    def test_sizes_and_kinds(self, heads: MrVolumes) -> None:
        assert len(heads.volumes) == 4
        samples = draws(heads, 300)
        for sample in samples:
            assert sample.array.shape == sample.mask.shape == sample.frame_mask.shape == PATCH
            assert sample.array.dtype == np.float16
            assert set(np.unique(sample.mask)) <= {0, 1}
            assert sample.oriented
            if not sample.pointed and not sample.absent:
                assert not sample.mask.any()
                assert not sample.frame_mask.any()
            assert bool(sample.phrase) != sample.absent
        kinds = [(sample.absent, sample.pointed) for sample in samples]
        assert {(True, False), (False, False), (False, True)} == set(kinds)
        assert kinds.count((False, False)) == pytest.approx(45, abs=20)

    def test_equal_seeds_give_equal_samples(self, heads: MrVolumes) -> None:
        for one, two in zip(draws(heads), draws(heads), strict=True):
            assert one.phrase == two.phrase
            np.testing.assert_array_equal(one.array, two.array)
            np.testing.assert_array_equal(one.window, two.window)

    def test_words_name_the_labels(self, heads: MrVolumes) -> None:
        seen = set()
        for sample in draws(heads, 400):
            if not sample.pointed:
                continue
            for key in ("anterior hippocampus", "posterior hippocampus", "hippocampus"):
                if sample.phrase.rstrip(".") == key:
                    seen.add(key)
                    volume = next(one for one in heads.volumes if _holds(one.array, sample.array))
                    whole = volume.mask(key)
                    assert sample.frame_mask.mean(dtype=np.float64) == pytest.approx(whole.mean(), abs=2e-3)
        assert len(seen) == 3

    def test_a_crop_knows_its_place_in_the_whole(self, index: Path) -> None:
        chosen = VolumeSet(HEADS, 1.0, (8, 32, 12))  # narrower, longer and shorter than the volumes
        source = MrVolumes(index, chosen, "train", PREPROCESSING)
        for sample in draws(source):
            size = np.array(source.volumes[0].labels.shape)
            borders = np.round((sample.window + 1) / 2 * size[:, None]).astype(int)
            np.testing.assert_array_equal(borders[:, 1] - borders[:, 0], np.minimum(chosen.patch, size))
            volume = next(one for one in source.volumes if _holds(one.array, sample.array))
            padded = np.pad(volume.array, [(40, 40)] * 3)
            cut = padded[tuple(slice(low + 40, high + 40) for low, high in borders)]
            np.testing.assert_array_equal(cut, sample.array)

    def test_crops_of_a_batch_are_as_large_as_its_largest_volume_and_padded_at_the_end(self) -> None:
        volumes = [
            LabelledVolume(
                np.ones(shape, dtype=np.float16), np.ones(shape, dtype=np.uint8), np.ones(3), {"hippocampus": (1,)}
            )
            for shape in ((6, 9, 20), (8, 7, 20))
        ]
        source = LabelledVolumes(VolumeSet(HEADS, 1.0, (12, 12, 12)), volumes)
        shapes = set()
        for seed in range(30):
            samples = source.draw(random.Random(seed), 2)
            (shape,) = {sample.array.shape for sample in samples}
            shapes.add(shape)
            for sample in samples:
                size = (6, 9) if sample.array[:, 0].sum() == 6 * 12 else (8, 7)  # by its first slice
                assert sample.array[: size[0], : size[1]].all()
                assert sample.array.sum() == size[0] * size[1] * 12
        assert shapes == {(6, 9, 12), (8, 7, 12), (8, 9, 12)}

    def test_they_stack(self, heads: MrVolumes) -> None:
        batch = collate_volumes(draws(heads, 3))
        assert batch.image.shape == batch.mask.shape == batch.frame_mask.shape == (3, 1, *PATCH)
        assert batch.window.shape == (3, 3, 2)
        assert batch.spacing_mm.shape == (3, 3)
        assert len(batch.phrases) == len(batch.absent) == 3


def _holds(whole: np.ndarray, crop: np.ndarray) -> bool:
    """Whether a crop was cut from a volume: its values are noise, so one row tells."""
    values = crop[crop != 0]
    return bool(np.isin(values[:50], whole).all())


class TestVolumes:
    def test_thick_slices_stay_thick(self, index: Path) -> None:
        stacks = MrVolumes(index, VolumeSet(STACKS, 1.0, (16, 24, 8), oriented=False), "train", PREPROCESSING)
        assert [volume.labels.shape for volume in stacks.volumes] == [(16, 24, 5)] * 2
        np.testing.assert_allclose(stacks.volumes[0].spacing_mm, (2.5, 2.5, 8.0))
        assert not stacks.draw(random.Random(0), 1)[0].oriented

    def test_values_are_those_of_inference(self, index: Path, heads: MrVolumes) -> None:
        row = read_index(index)[0]
        expected = prepare_volume(read_image(row.image), PREPROCESSING).whole()
        np.testing.assert_array_equal(heads.volumes[0].array, expected.astype(np.float16))

    def test_labels_are_resampled_with_the_image(self, index: Path) -> None:
        coarse = PreprocessingConfig(spacing_mm=(5.0, 5.0, 5.0))
        rows = read_index(index)[:3]
        volume = load_volume(rows, coarse)
        fine = load_volume(rows, PREPROCESSING)
        assert volume.labels.shape == volume.array.shape == (8, 12, 8)
        assert set(np.unique(volume.labels)) == {0, 1, 2}
        assert volume.mask(None).mean() == pytest.approx(fine.mask(None).mean(), rel=0.4)

    def test_lost_spacing_is_replaced_by_the_nominal_one(self, index: Path) -> None:
        first = read_index(index)[0]
        source, nominal = next(iter(NOMINAL_SPACING_MM.items()))
        lost = Row(first.image, first.mask, first.columns | {"source": source, "spacing": "unknown (dropped)"})
        image = open_volume(lost)
        np.testing.assert_allclose(image.geometry.spacing_mm, nominal)
        assert not image.spacing_known
        known = Row(first.image, first.mask, first.columns | {"source": source})
        np.testing.assert_allclose(open_volume(known).geometry.spacing_mm, 2.5, rtol=1e-5)

    def test_truth_joins_labels(self, index: Path) -> None:
        rows = {row.columns["text"]: row for row in read_index(index)[:3]}
        image = open_volume(rows["Hippocampus."])
        names = ("Anterior hippocampus.", "Posterior hippocampus.", "Hippocampus.")
        front, back, both = (load_truth(rows[text], image) for text in names)
        assert front.any()
        assert back.any()
        assert not (front & back).any()
        np.testing.assert_array_equal(front | back, both)


class TestJoinedRows:
    """Masks that come as the panel's *Export for training* writes them, or as any other tool does."""

    @staticmethod
    def written(folder: Path, masks: dict[str, tuple[np.ndarray, str]]) -> list[Row]:
        """One file a caption, with the values and the cell of the column `label` that are given."""
        volume = crop(0)
        write_volume(folder / "image.nii.gz", volume.array.astype(np.int16), volume)
        lines = ["image,mask,label,text,split"]
        for number, (text, (mask, label)) in enumerate(masks.items()):
            write_volume(folder / f"mask{number}.nii.gz", mask, volume)
            lines.append(f'image.nii.gz,mask{number}.nii.gz,"{label}",{text},train')
        (folder / "index.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
        return read_index(folder / "index.csv")

    def test_every_caption_has_its_own_file_value_and_place_overlapping_or_not(self, tmp_path: Path) -> None:
        volume = crop(0)
        front, back = volume.mask(depth="anterior"), volume.mask(depth="posterior")
        both = front | back
        rows = self.written(
            tmp_path,
            {
                "Anterior hippocampus.": ((7 * front).astype(np.uint8), "7"),
                "Hippocampus.": ((300 * both).astype(np.int16), "300"),  # 300 is 44 modulo 256
                "Posterior hippocampus.": ((256 * back).astype(np.int16), "256"),  # and 256 is the background
                "Brain.": (np.ones_like(front).astype(np.uint8), ""),
                "Left atrium.": (np.zeros_like(front).astype(np.uint8), "9"),
            },
        )
        expected = {"anterior hippocampus": front, "hippocampus": both, "posterior hippocampus": back,
                    "brain": np.ones_like(front), "left atrium": np.zeros_like(front)}  # fmt: skip
        labels, targets = joined_labels(rows, open_volume(rows[0]))
        assert labels.dtype == np.uint8
        assert targets["left atrium"] == ()
        for key, mask in expected.items():
            np.testing.assert_array_equal(np.isin(labels, targets[key]), mask, err_msg=key)

        loaded = load_volume(rows, PREPROCESSING)
        slices = labelled_slices(rows, PreprocessingConfig(size=24))
        for key in expected:
            assert loaded.mask(key).sum() == expected[key].sum(), key
            shown = sum(int(np.isin(one.labels, one.targets[key]).sum()) for one in slices)
            assert shown >= expected[key].sum() * 0.9, key
        (volumes,) = rows_by_image(tmp_path / "index.csv", "", "train")  # the panel writes no column source
        assert len(volumes) == 5

    def test_what_no_caption_names_stays_labelled(self, tmp_path: Path) -> None:
        both = labels(crop(0))
        rows = self.written(tmp_path, {"Anterior hippocampus.": (both, "1")})
        joined, targets = joined_labels(rows, open_volume(rows[0]))
        np.testing.assert_array_equal(joined, both)
        assert targets == {"anterior hippocampus": (1,)}

    def test_the_labels_of_one_file_keep_their_numbers(self, index: Path) -> None:
        rows = read_index(index)[2::-1]
        joined, targets = joined_labels(rows, open_volume(rows[0]))
        np.testing.assert_array_equal(joined, labels(crop(0)))
        assert targets == {"anterior hippocampus": (1,), "posterior hippocampus": (2,), "hippocampus": (1, 2)}

    def test_more_overlaps_than_a_label_map_holds_are_refused(self, tmp_path: Path) -> None:
        numbers = np.arange(crop(0).array.size).reshape(crop(0).array.shape)
        masks = {f"Part {bit}.": ((numbers >> bit & 1).astype(np.uint8), "1") for bit in range(9)}
        rows = self.written(tmp_path, masks)
        with pytest.raises(ValueError, match=r"image.nii.gz overlap in 511 ways; expected 255 at most"):
            joined_labels(rows, open_volume(rows[0]))


class TestRefusals:
    def test_a_set_that_is_not_there(self, index: Path) -> None:
        with pytest.raises(ValueError, match="no row with split='test' and source='synthetic heads'"):
            MrVolumes(index, SET, "test", PREPROCESSING)

    @pytest.mark.parametrize("patch", [(16, 16), (16, 0, 16)])
    def test_an_impossible_patch(self, patch: tuple[int, ...], index: Path) -> None:
        with pytest.raises(ValueError, match="must be three sizes"):
            MrVolumes(index, VolumeSet(HEADS, 1.0, patch), "train", PREPROCESSING)

    def test_labels_that_are_no_numbers(self, index: Path) -> None:
        first = read_index(index)[0]
        with pytest.raises(ValueError, match="whole numbers with commas between, got 'a,2'"):
            label_values(Row(first.image, first.mask, first.columns | {"label": "a,2"}))

    def test_a_label_map_of_another_size(self, index: Path) -> None:
        rows = read_index(index)
        mixed = Row(rows[0].image, next(row.mask for row in rows if "stacks" in row.mask.name), rows[0].columns)
        with pytest.raises(ValueError, match="expected the same"):
            load_truth(mixed, open_volume(mixed))


def test_every_caption_of_the_set_has_wordings(heads: MrVolumes) -> None:
    assert set(heads.volumes[0].targets) <= set(grammar_volume.STRUCTURES)
