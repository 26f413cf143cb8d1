"""Directions on volumes: *left* means the same in every window, because the organ is found once, on the whole."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from Testing.lib import tiny, tiny_volumes
from Testing.lib.tiny_volumes import aligned_network, volume_image
from TextGuidedSegLib import windows
from TextGuidedSegLib.errors import Cancelled
from TextGuidedSegLib.geometry import AxisCodes
from TextGuidedSegLib.network import FusedNetwork, NetworkOutput
from TextGuidedSegLib.preprocessing import PreprocessingConfig
from TextGuidedSegLib.running import Reporter
from TextGuidedSegLib.weights import DecisionConfig

LEFT = "left lower lung opacity"
AS_SCANNED = PreprocessingConfig(window=(16, 16, 16))
SINGLE, MIRRORED = DecisionConfig(mirror_average=False), DecisionConfig(mirror_average=True)
QUIET = Reporter(None, None)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_volumes.write_model(tmp_path_factory.mktemp("volume") / "tiny-volume")


@pytest.fixture(scope="module")
def array() -> np.ndarray:
    return tiny_volumes.values((30, 41, 22))


def spied(net: FusedNetwork, monkeypatch: pytest.MonkeyPatch) -> list[tuple[tuple[int, ...], NetworkOutput]]:
    """Shape of the image and output of every pass of a network."""
    passes: list[tuple[tuple[int, ...], NetworkOutput]] = []
    segment = net.segment

    def recorded(image: Tensor, *given: object, **options: object) -> NetworkOutput:
        output = segment(image, *given, **options)  # type: ignore[arg-type]
        passes.append((tuple(image.shape), output))
        return output

    monkeypatch.setattr(net, "segment", recorded)
    return passes


@pytest.mark.parametrize(
    ("words", "axis", "named_end"),
    [
        ("left lung", 0, 0), ("right lung", 0, -1), ("posterior hippocampus", 1, 0),
        ("anterior hippocampus", 1, -1), ("lower lung", 2, 0), ("upper lung", 2, -1),
    ],
)  # fmt: skip
def test_a_direction_is_that_of_the_whole_volume_in_every_window(
    words: str, axis: int, named_end: int, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    net = tiny.network(tiny.with_methods(tiny.VOLUME_NETWORK, "symmetric alignment"))
    shape = tuple(48 if one == axis else 16 for one in range(3))
    image = volume_image(tiny_volumes.values(shape))  # type: ignore[arg-type]
    runner = tiny_volumes.runner(net, image, model, preprocessing=AS_SCANNED, decision=SINGLE)
    passes = spied(net, monkeypatch)
    runner.run([words], QUIET)
    regions = [output.spatial.regions[1] for _, output in passes[1:] if output.spatial is not None]
    assert len(regions) == runner.plan.count == 4
    assert float(regions[named_end].mean()) > 3 * float(regions[-1 - named_end].mean())


def test_one_frame_is_found_on_the_whole_and_given_to_all(
    array: np.ndarray, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    net = aligned_network("all")
    runner = tiny_volumes.runner(net, volume_image(array), model, preprocessing=AS_SCANNED, decision=SINGLE)
    passes = spied(net, monkeypatch)
    runner.run([LEFT], QUIET)
    overview, *rest = [(shape, output.spatial.frame) for shape, output in passes if output.spatial is not None]
    assert overview[0] == (1, 1, *windows.overview_shape(runner.plan))
    assert len(rest) == runner.plan.count
    assert overview[1].center.abs().max() > 0.01, "the organ is not the whole volume"
    for _, frame in rest:
        assert torch.equal(frame.center, overview[1].center)
        assert torch.equal(frame.extent, overview[1].extent)


@pytest.mark.parametrize(("words", "extra"), [("lung", 0), ("left ventricle", 0), (None, 0), ("left lung", 1)])
def test_only_words_that_point_somewhere_need_it(
    words: str | None, extra: int, array: np.ndarray, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    net = aligned_network()
    for image, more in ((volume_image(array), extra), (volume_image(array[:16, :16, :16]), 0)):
        runner = tiny_volumes.runner(net, image, model, preprocessing=AS_SCANNED, decision=SINGLE)
        passes = spied(net, monkeypatch)
        runner.run([words], QUIET)
        assert len(passes) == runner.plan.count + more
        monkeypatch.undo()


@pytest.mark.parametrize("codes", [("L", "P", "S"), ("S", "A", "R"), ("P", "I", "L")], ids="".join)
def test_orientation_changes_no_bit_of_it(codes: AxisCodes, array: np.ndarray, model: Path) -> None:
    net = aligned_network()
    upright = tiny_volumes.runner(net, volume_image(array), model, decision=MIRRORED).maps(LEFT, QUIET)
    image = volume_image(array, codes)
    turned = tiny_volumes.runner(net, image, model, decision=MIRRORED).maps(LEFT, QUIET)
    assert tiny_volumes.canonical(image, turned.probability).tobytes() == upright.probability.tobytes()


def test_cancelled_before_the_first_window(array: np.ndarray, model: Path) -> None:
    runner = tiny_volumes.runner(aligned_network(), volume_image(array), model)
    with pytest.raises(Cancelled, match="whole volume"):
        runner.run([LEFT], Reporter(None, lambda: True))
