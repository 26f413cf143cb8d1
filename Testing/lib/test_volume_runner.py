"""Volumes through windows: the laws of blending, orientation and mirror, memory, progress and cancel."""

from __future__ import annotations

import dataclasses
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import torch
from monai.inferers import sliding_window_inference
from torch import Tensor

from Testing.lib import tiny, tiny_volumes
from Testing.lib.tiny_volumes import pointwise_runner, sigmoid, volume_image
from TextGuidedSegLib import volume_preprocessing, volume_runner, windows
from TextGuidedSegLib.errors import Cancelled
from TextGuidedSegLib.network import FusedNetwork
from TextGuidedSegLib.preprocessing import PreprocessingConfig
from TextGuidedSegLib.running import Maps, Reporter
from TextGuidedSegLib.volume_preprocessing import prepare_volume
from TextGuidedSegLib.volume_runner import VolumeRunner
from TextGuidedSegLib.weights import DecisionConfig

LEFT, RIGHT = "left lower lung opacity", "right lower lung opacity"
AS_SCANNED = PreprocessingConfig(window=(16, 16, 16))
MIRRORED = DecisionConfig(mirror_average=True)
# What half precision of the logits makes of a probability.
HALF = 3e-4


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_volumes.write_model(tmp_path_factory.mktemp("volume") / "tiny-volume")


@pytest.fixture(scope="module")
def array() -> np.ndarray:
    return tiny_volumes.values((30, 41, 22))


def maps_of(runner: VolumeRunner, words: str | None = LEFT) -> Maps:
    return runner.maps(words, Reporter(None, None))


def with_window(*window: int) -> PreprocessingConfig:
    return dataclasses.replace(AS_SCANNED, window=window)


def both(image: Tensor) -> Tensor:
    """Says something of image and pseudo-image at each voxel."""
    return image[:, :1] + 3 * image[:, 1:].sum(dim=1, keepdim=True)


class TestWindows:
    def test_a_network_that_says_the_same_everywhere(self, array: np.ndarray, model: Path) -> None:
        runner = pointwise_runner(
            volume_image(array), lambda image: torch.full_like(image[:, :1], 0.75), model, preprocessing=AS_SCANNED
        )
        assert runner.plan.count > 8
        maps = maps_of(runner)
        np.testing.assert_allclose(maps.probability, float(sigmoid(np.array([0.75]))[0]), atol=HALF)
        assert maps.evidence == pytest.approx(0.75, abs=1e-3)

    @pytest.mark.parametrize("mirrors", [False, True])
    def test_a_network_that_gives_the_image_back(self, mirrors: bool, array: np.ndarray, model: Path) -> None:
        image = volume_image(array)
        runner = pointwise_runner(
            image, lambda values: values[:, :1], model, preprocessing=AS_SCANNED,
            decision=DecisionConfig(mirror_average=mirrors),
        )  # fmt: skip
        expected = sigmoid(prepare_volume(image, AS_SCANNED).whole())
        np.testing.assert_allclose(maps_of(runner).probability, expected, atol=HALF)

    @pytest.mark.parametrize("window", [(16, 16, 16), (24, 16, 32), (64, 64, 64)], ids=str)
    @pytest.mark.parametrize("mirrors", [False, True])
    def test_the_result_does_not_depend_on_the_plan(
        self, mirrors: bool, window: tuple[int, int, int], array: np.ndarray, model: Path
    ) -> None:
        decision = DecisionConfig(mirror_average=mirrors)
        runs = [
            pointwise_runner(volume_image(array), both, model, preprocessing=with_window(*one), decision=decision)
            for one in (window, (32, 32, 16))
        ]
        assert runs[0].plan != runs[1].plan
        one, two = (maps_of(run) for run in runs)
        np.testing.assert_allclose(one.probability, two.probability, atol=HALF)
        np.testing.assert_allclose(one.pseudo_image, two.pseudo_image, atol=1e-5)
        assert one.evidence == pytest.approx(two.evidence, abs=5e-3)

    def test_equal_plans_give_equal_bits(self, array: np.ndarray, model: Path) -> None:
        net = tiny.network(tiny.VOLUME_NETWORK)
        runs = [tiny_volumes.runner(net, volume_image(array), model) for _ in range(2)]
        assert runs[0].plan == runs[1].plan
        one, two = (maps_of(run) for run in runs)
        assert one.probability.tobytes() == two.probability.tobytes()
        assert one.pseudo_image.tobytes() == two.pseudo_image.tobytes()

    def test_as_monai_does_it(self, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        # Flat weights, because MONAI makes all that are small equal, which ours are not.
        monkeypatch.setattr(windows, "_SIGMA", 1.0)
        net = tiny.network(tiny.VOLUME_NETWORK)
        image = volume_image(tiny_volumes.values((40, 24, 40)))
        config = with_window(24, 24, 24)
        runner = tiny_volumes.runner(
            net, image, model, preprocessing=config, decision=DecisionConfig(mirror_average=False)
        )
        assert runner.plan.starts == ((0, 16), (0,), (0, 16))
        with torch.inference_mode():
            values = torch.from_numpy(prepare_volume(image, config).whole())[None, None]
            words = net.read(tiny.phrase_tokenizer(model)([LEFT]))
            pseudo = net.pseudo_image(words, values.shape[2:])
            assert pseudo is not None
            expected = sliding_window_inference(
                torch.cat([values, pseudo.sigmoid()], dim=1), (24, 24, 24), 1, _backbone(net), overlap=0.25,
                mode="gaussian", sigma_scale=1.0,
            )  # fmt: skip
        np.testing.assert_allclose(maps_of(runner).probability, expected.sigmoid()[0, 0].numpy(), atol=2e-3)

    def test_two_windows_at_once_say_what_one_says(self, array: np.ndarray, model: Path) -> None:
        net = tiny.network(tiny.VOLUME_NETWORK)
        one, two = (tiny_volumes.runner(net, volume_image(array), model, decision=MIRRORED) for _ in range(2))
        two.plan = dataclasses.replace(two.plan, batch=3)
        assert one.plan.count % 3 or one.plan.count > 3
        np.testing.assert_allclose(maps_of(one).probability, maps_of(two).probability, atol=HALF)

    def test_a_network_with_all_methods_runs_through_windows(self, array: np.ndarray, model: Path) -> None:
        net = tiny.network(tiny.with_methods(tiny.VOLUME_NETWORK, "all"))
        maps = maps_of(tiny_volumes.runner(net, volume_image(array), model))
        assert np.isfinite(maps.probability).all()

    def test_without_early_fusion_nothing_is_painted(self, array: np.ndarray, model: Path) -> None:
        net = tiny.network(tiny.with_methods(tiny.VOLUME_NETWORK, "no text"))
        maps = maps_of(tiny_volumes.runner(net, volume_image(array), model))
        assert not maps.pseudo_image.any()
        assert maps.probability.any()


def _backbone(net: FusedNetwork):
    def predict(image: Tensor) -> Tensor:
        low: Tensor = net.backbone(image)
        return torch.nn.functional.interpolate(low, size=image.shape[2:], mode="trilinear", align_corners=False)

    return predict


class TestMirror:
    @pytest.mark.parametrize("methods", ["early fusion", "symmetric alignment", "all"])
    @pytest.mark.parametrize(
        ("words", "mirrored"),
        [(LEFT, RIGHT), ("anterior lung", "anterior lung"), (None, None), ("left ventricle", "left ventricle")],
    )
    def test_a_mirrored_volume_with_mirrored_words_gives_the_mirrored_result(
        self, words: str | None, mirrored: str | None, methods: str, array: np.ndarray, model: Path
    ) -> None:
        net = tiny_volumes.aligned_network(methods) if methods != "early fusion" else tiny.network(tiny.VOLUME_NETWORK)
        one = maps_of(tiny_volumes.runner(net, volume_image(array), model, decision=MIRRORED), words)
        two = maps_of(tiny_volumes.runner(net, volume_image(array[::-1]), model, decision=MIRRORED), mirrored)
        np.testing.assert_allclose(two.probability[::-1], one.probability, atol=5e-3)
        assert two.evidence == pytest.approx(one.evidence, abs=1e-2)

    def test_without_the_average_that_would_not_hold(self, array: np.ndarray, model: Path) -> None:
        net, single = tiny.network(tiny.VOLUME_NETWORK), DecisionConfig(mirror_average=False)
        one = maps_of(tiny_volumes.runner(net, volume_image(array), model, decision=single))
        two = maps_of(tiny_volumes.runner(net, volume_image(array[::-1]), model, decision=single), RIGHT)
        assert np.abs(two.probability[::-1] - one.probability).max() > 2e-2


class TestManyPhrases:
    def test_windows_are_cut_once_for_all_phrases(
        self, array: np.ndarray, model: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        cuts: list[int] = []
        cut = VolumeRunner._cut
        monkeypatch.setattr(VolumeRunner, "_cut", lambda *given: cuts.append(1) or cut(*given))
        net = tiny.network(tiny.VOLUME_NETWORK)
        together = tiny_volumes.runner(net, volume_image(array), model)
        together.run([LEFT, RIGHT, None, LEFT], Reporter(None, None))
        assert len(cuts) == together.plan.count
        results = [maps_of(together, words) for words in (LEFT, RIGHT, None)]
        assert len(cuts) == together.plan.count, "what is kept is not run again"
        for words, maps in zip((LEFT, RIGHT, None), results, strict=True):
            alone = maps_of(tiny_volumes.runner(net, volume_image(array), model), words)
            assert alone.probability.tobytes() == maps.probability.tobytes()
            assert alone.pseudo_image.tobytes() == maps.pseudo_image.tobytes()

    @pytest.mark.parametrize(
        ("methods", "passes_per_window"),
        [("symmetric alignment", 2), ("contrastive alignment", 2), ("early fusion", 6)],
    )
    def test_what_no_word_changes_is_computed_once_for_all_phrases(
        self, methods: str, passes_per_window: int, array: np.ndarray, model: Path
    ) -> None:
        net = tiny.network(tiny.with_methods(tiny.VOLUME_NETWORK, methods))
        alone = [maps_of(tiny_volumes.runner(net, volume_image(array), model, decision=MIRRORED), words)
                 for words in ("lung", "heart", None)]  # fmt: skip
        together = tiny_volumes.runner(net, volume_image(array), model, decision=MIRRORED)
        encoded: list[int] = []
        handle = net.backbone.input_block.register_forward_hook(lambda *_: encoded.append(1))
        together.run(["lung", "heart", None], Reporter(None, None))
        handle.remove()
        assert len(encoded) == passes_per_window * together.plan.count
        for words, maps in zip(("lung", "heart", None), alone, strict=True):
            assert maps_of(together, words).probability.tobytes() == maps.probability.tobytes()

    def test_only_so_much_is_kept(self, array: np.ndarray, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        runner = pointwise_runner(volume_image(array), both, model, preprocessing=AS_SCANNED)
        monkeypatch.setattr(volume_runner, "_KEPT_BYTES", int(2.5 * 2 * array.size))
        for words in (LEFT, RIGHT, None):
            maps_of(runner, words)
        assert list(runner._kept) == [RIGHT, None]

    def test_a_result_may_be_changed_without_harm(self, array: np.ndarray, model: Path) -> None:
        runner = pointwise_runner(volume_image(array), both, model, preprocessing=AS_SCANNED)
        first = maps_of(runner)
        kept = first.probability.copy()
        first.probability[:] = 0
        assert maps_of(runner).probability.tobytes() == kept.tobytes()


class TestProgressAndCancel:
    def test_every_window_is_told(self, array: np.ndarray, model: Path) -> None:
        runner = pointwise_runner(volume_image(array), both, model, preprocessing=AS_SCANNED)
        told: list[tuple[float, str]] = []
        runner.maps(LEFT, Reporter(lambda share, stage: told.append((share, stage)), None))
        shares = [share for share, _ in told]
        assert shares == sorted(shares)
        assert (shares[0], shares[-1] < 1) == (0, True)
        count = runner.plan.count
        assert [stage for _, stage in told][:count] == [f"window {n} of {count}" for n in range(1, count + 1)]
        assert told[count][1] == "original grid"

    def test_it_may_be_cancelled_before_every_pass_of_the_network(self, array: np.ndarray, model: Path) -> None:
        asked: list[int] = []
        runner = tiny_volumes.runner(tiny.network(tiny.VOLUME_NETWORK), volume_image(array), model, decision=MIRRORED)
        runner.run([LEFT, RIGHT], Reporter(None, lambda: bool(asked.append(1))))
        passes = 2 * 2 * runner.plan.count  # two phrases, straight and mirrored
        assert len(asked) == passes + runner.plan.count

    @pytest.mark.parametrize("after", [0, 1, 4, -1])
    def test_cancelled_between_windows_it_stays_usable(self, after: int, array: np.ndarray, model: Path) -> None:
        net = tiny.network(tiny.VOLUME_NETWORK)
        expected = maps_of(tiny_volumes.runner(net, volume_image(array), model))
        runner = tiny_volumes.runner(net, volume_image(array), model)
        maps_of(runner, RIGHT)
        stops_at = after if after >= 0 else runner.plan.count  # before the way back to the original grid
        answers = iter([False] * stops_at + [True])
        with pytest.raises(Cancelled, match="cancelled before the stage"):
            runner.maps(LEFT, Reporter(None, lambda: next(answers)))
        assert RIGHT in runner._kept
        assert maps_of(runner).probability.tobytes() == expected.probability.tobytes()


class TestMemory:
    def test_it_grows_with_the_volume_by_its_output_only(self, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(volume_preprocessing, "_KEPT_VOXELS", 0)
        monkeypatch.setattr(volume_preprocessing, "_PORTION_VOXELS", 1 << 18)
        peaks = {}
        for length in (128, 256):
            image = volume_image(np.tile(tiny_volumes.values((128, 128, 32)).astype(np.uint8), (1, 1, length // 32)))
            config = PreprocessingConfig(spacing_mm=tiny_volumes.SPACING_MM, window=(64, 64, 64))
            tracemalloc.start()
            runner = pointwise_runner(image, lambda values: values[:, :1], model, preprocessing=config)
            maps = maps_of(runner)
            peaks[length] = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            assert runner.plan.axis == (0 if length == 128 else 2)
            del maps, runner
        more = 128**3
        # Two float32 maps and what is kept for a new threshold, two bytes.
        assert peaks[256] - peaks[128] < 1.15 * (4 + 4 + 2) * more
