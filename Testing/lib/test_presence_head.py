"""The head that says whether what a phrase names is there: what it may know, what it trains, what it can learn."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from Testing.lib import tiny
from TextGuidedSegLib.config import NetworkConfig, PresenceConfig
from TextGuidedSegLib.inference import Segmenter
from TextGuidedSegLib.network import FusedNetwork
from TextGuidedSegLib.phantom import chest_film
from TextGuidedSegLib.phrase import swap_sides
from TextGuidedSegLib.preprocessing import prepare_film
from TextGuidedSegLib.presence import calibrated

HEAD = PresenceConfig(level=1, width=16)
CONFIG = dataclasses.replace(tiny.FILM_NETWORK, presence=HEAD)
LEFT, LONG = "left lower lung opacity", "left upper lung infection, right upper lung"


def images(count: int = 2) -> torch.Tensor:
    return torch.randn(count, 1, 48, 48, generator=torch.Generator().manual_seed(1))


def test_one_logit_a_film_and_none_without_the_head() -> None:
    with torch.no_grad():
        assert tiny.network(CONFIG)(images(), tiny.tokens(LEFT, LONG)).presence_logits.shape == (2,)
        assert tiny.network()(images(), tiny.tokens(LEFT, LONG)).presence_logits is None


def test_the_head_changes_nothing_of_the_mask() -> None:
    with_head = tiny.network(CONFIG)
    without = tiny.network()
    without.load_state_dict(with_head.state_dict(), strict=False)
    with torch.no_grad():
        one, other = (net(images(), tiny.tokens(LEFT, LONG)).logits for net in (with_head, without))
    assert torch.allclose(one, other, atol=1e-5)


def test_padding_of_words_and_neighbors_change_nothing() -> None:
    net = tiny.network(CONFIG)
    with torch.no_grad():
        both = net(images(), tiny.tokens(LEFT, LONG)).presence_logits
        alone = net(images()[:1], tiny.tokens(LEFT)).presence_logits
    assert torch.allclose(both[:1], alone, atol=1e-5)


def test_it_trains_features_and_words_but_not_through_the_mask() -> None:
    net = tiny.network(CONFIG).train()
    output = net(images(), tiny.tokens(LEFT, LONG))
    output.logits.retain_grad()
    output.presence_logits.sum().backward()
    assert output.logits.grad is None or not output.logits.grad.any()
    reached = {name.split(".")[0] for name, one in net.named_parameters() if one.grad is not None and one.grad.any()}
    assert reached == {"text_encoder", "generator", "backbone", "presence"}
    assert all(one.grad is not None for one in net.presence.parameters())


def test_half_precision_is_finite() -> None:
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        judged = tiny.network(CONFIG)(images(), tiny.tokens(LEFT, LONG)).presence_logits
    assert judged.dtype == torch.float32
    assert judged.isfinite().all()


def test_it_learns_whether_a_square_is_there() -> None:
    net = tiny.network(CONFIG).train()
    optimizer = torch.optim.Adam(net.parameters(), lr=3e-3)
    generator = torch.Generator().manual_seed(0)
    for _ in range(60):
        there = torch.rand(8, generator=generator) < 0.5
        film = torch.randn(8, 1, 48, 48, generator=generator)
        film[:, :, 16:28, 20:30] += 2.0 * there[:, None, None, None]
        judged = net(film, tiny.tokens(*[LEFT] * 8)).presence_logits
        loss = functional.binary_cross_entropy_with_logits(judged, there.float())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert ((judged > 0) == there).all()
    assert loss < 0.2


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (dataclasses.replace(CONFIG, presence=PresenceConfig(level=2)), "network.presence.level must be one or more"),
        (dataclasses.replace(CONFIG, pseudo_image=None), "reads words"),
        (dataclasses.replace(tiny.VOLUME_NETWORK, presence=HEAD), "spatial_dims 2"),
    ],
    ids=["level", "deaf", "volume"],
)
def test_where_it_cannot_work_it_says_so(config: NetworkConfig, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tiny.network(config)


@pytest.fixture
def folder(tmp_path: Path) -> tuple[Path, FusedNetwork]:
    net = tiny.network(CONFIG)
    return tiny.write_model(tmp_path / "headed", net), net


def test_a_result_takes_its_presence_from_the_head(folder: tuple[Path, FusedNetwork]) -> None:
    segmenter = Segmenter(str(folder[0]))
    film = tiny.film_image(chest_film(3, size=(96, 96)).array)
    segmenter.set_image(film)
    result = segmenter.segment(LEFT)
    prepared = prepare_film(film, tiny.PREPROCESSING)
    image = torch.from_numpy(np.ascontiguousarray(prepared.channels_first))[None]
    with torch.inference_mode():
        here = folder[1](image, tiny.tokens(LEFT)).presence_logits
        there = folder[1](image.flip(2), tiny.tokens(swap_sides(LEFT))).presence_logits
    decision = segmenter.card.decision
    mean = float((here + there) / 2) if decision.mirror_average else float(here)
    assert result.presence == pytest.approx(calibrated(mean, decision), abs=1e-5)
