"""One film between phrases: prepared once, and every phrase run once."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch

from TextGuidedSegLib.image import Image
from TextGuidedSegLib.mirroring import mirrored_words
from TextGuidedSegLib.network import FusedNetwork
from TextGuidedSegLib.preprocessing import PreparedFilm, prepare_film
from TextGuidedSegLib.presence import presence_evidence
from TextGuidedSegLib.running import Maps, Reporter, device_of
from TextGuidedSegLib.text_encoder import PhraseTokenizer
from TextGuidedSegLib.weights import ModelCard


class NetworkMaps(NamedTuple):
    """Network output.

    Attributes:
        probability: `(I, J)` float32 in [0, 1] on the network's grid.
        pseudo_image: Likewise.
        evidence: Logit of the presence head; of a network without one, the highest logits of the map.
    """

    probability: np.ndarray
    pseudo_image: np.ndarray
    evidence: float


class FilmRunner:
    """Runs a network on one film.

    Args:
        network: From `weights.load_network`.
        tokenizer: Likewise.
        card: Card of the model.
        image: The film.

    Raises:
        ImageError: The film holds values that are not finite.
    """

    def __init__(self, network: FusedNetwork, tokenizer: PhraseTokenizer, *, card: ModelCard, image: Image) -> None:
        self._network, self._tokenizer, self._card = network, tokenizer, card
        self.film: PreparedFilm = prepare_film(image, card.preprocessing, channels=card.network.image_channels)
        self._maps: dict[str | None, NetworkMaps] = {}

    def maps(self, words: str | None, report: Reporter) -> Maps:
        """Answer one phrase; the same words do not run the network again.

        Args:
            words: Normalized phrase; None for no phrase.
            report: Told of every stage.

        Raises:
            Cancelled: The caller said so.
        """
        maps = self.network_maps(words, report)
        report(0.8, "original grid")
        return Maps(maps.evidence, self.film.undo(maps.probability), self.film.undo(maps.pseudo_image))

    @torch.inference_mode()
    def network_maps(self, words: str | None, report: Reporter, *, mirrors: bool = True) -> NetworkMaps:
        """Probability and pseudo-image on the network's grid.

        Args:
            words: Normalized phrase; None for no phrase.
            report: Told of every stage.
            mirrors: The first axis runs from one side of the patient to the other, so a mirrored film has a meaning.
        """
        if words not in self._maps:
            self._maps[words] = self._averaged(words, report, mirrors=mirrors and self._card.decision.mirror_average)
        return self._maps[words]

    def _averaged(self, words: str | None, report: Reporter, *, mirrors: bool) -> NetworkMaps:
        image = torch.from_numpy(self.film.channels_first)[None].to(device_of(self._network))
        report(0.1, "network")
        logits, occupancy, presence = self._logits(image, words)
        if mirrors:
            report(0.4, "network, mirrored")
            mirrored, _, swapped = self._logits(image.flip(2), None if words is None else mirrored_words(words))
            logits = (logits + mirrored.flip(2)) / 2
            presence = None if presence is None or swapped is None else (presence + swapped) / 2
        probability = logits.sigmoid()[0, 0].cpu().numpy()
        evidence = presence_evidence(probability) if presence is None else float(presence)
        return NetworkMaps(probability, occupancy.sigmoid()[0, 0].cpu().numpy(), evidence)

    def _logits(self, image: torch.Tensor, words: str | None) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
        """Segmentation and pseudo-image occupancy, `(1, 1, I, J)` each, and the logit of the presence head if any."""
        device = device_of(self._network)
        tokens = self._tokenizer([words or ""]).to(device)
        absent = torch.tensor([words is None], device=device)
        output = self._network(image, tokens, absent=absent)
        pseudo_logits = output.pseudo_logits
        # Without early fusion nothing is painted: black, not a guess.
        occupancy = torch.full_like(output.logits, -torch.inf) if pseudo_logits is None else pseudo_logits[:, :1]
        return output.logits, occupancy, output.presence_logits
