"""Phrases for what no chest film shows, said as people say it: beside a side, a level, a finding.

A network that hears *left kidney* alone as absent learns the two words; one that hears *opacity of the kidney* and
*guitar in the left lower lung* has to learn that a thing it does not know is not a lung. The names are no part of the
tokenizer's corpus: what people type that is on no list arrives in rare pieces too.
"""

from __future__ import annotations

import random

from training import grammar
from training.levels import LEVELS

NOWHERE = (
    "amygdala", "ankle", "anus", "appendix", "basal ganglia", "bile duct", "bladder neck", "brainstem", "calcaneus",
    "calf muscle", "caudate lobe", "cerebellum", "coccyx", "cornea", "corpus callosum", "ear lobe", "eardrum",
    "elbow", "embryo", "eyelid", "facial nerve", "fibula", "finger", "foot", "forearm", "hand", "heel", "hip joint",
    "iris", "kneecap", "lens of the eye", "liver lobe", "lateral ventricle", "maxillary sinus", "molar", "nose",
    "palate", "parotid gland", "pelvis", "pituitary gland", "placenta", "sacrum", "sciatic nerve", "scrotum", "skull",
    "testis", "thalamus", "thigh", "thumb", "thyroid lobe", "toe", "tongue", "tonsil", "ureter", "urethra",
    "white matter", "bladder stone", "brain tumor", "glioma", "kidney stone", "liver hemangioma", "meningioma",
    "pancreatic stone", "splenic infarct", "stroke", "thyroid nodule", "tibial fracture", "uterine fibroid",
    "airplane", "anchor", "banana", "bridge", "butterfly", "camera", "candle", "carpet", "carrot", "castle", "chair",
    "cheese sandwich", "chess board", "chimney", "curtain", "dolphin", "door", "elephant", "football", "fountain",
    "garden gate", "glove", "guitar", "hammer", "helicopter", "horse", "keyboard", "kettle", "ladder", "lamp",
    "laptop", "mailbox", "motorbike", "mountain", "necktie", "onion", "parrot", "pencil", "penguin", "pizza",
    "potato", "rabbit", "rainbow", "river", "rocket", "roof", "school bus", "shoe", "snowman", "sofa", "spider",
    "spoon", "submarine", "table", "telescope", "tennis racket", "tractor", "trumpet", "volcano", "wheelbarrow",
    "windmill", "window", "zebra",
)  # fmt: skip
"""No rib, bowel, coin or necklace: what a film of the chest may show after all is not denied."""

_PLAIN, _BARE = 0.3, 0.25


def absent_phrase(rng: random.Random) -> str:
    """One of `grammar.ABSENT_STRUCTURES`, or one of `NOWHERE` alone or beside a side, a place or a finding."""
    if rng.random() < _PLAIN:
        return rng.choice(grammar.ABSENT_STRUCTURES)
    name = rng.choice(NOWHERE)
    if rng.random() < _BARE:
        return name
    side, finding = rng.choice(("left", "right")), rng.choice(grammar.FINDINGS)
    levels = rng.choice((LEVELS, *((level,) for level in LEVELS)))
    places = grammar.place_words({side: levels}, rng)
    return rng.choice((
        f"{side} {name}", f"{name} in the {places}", f"{name}, {places}", f"{places} {name}",
        f"{finding} of the {name}", f"{finding} in the {side} {name}", f"{name} {finding}",
    ))  # fmt: skip
