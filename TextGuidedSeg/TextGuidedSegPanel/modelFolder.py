"""A folder with models of one's own beside those that come with the module; it belongs to the computer."""

from __future__ import annotations

from pathlib import Path

import qt

from TextGuidedSegLib.errors import WeightsError
from TextGuidedSegLib.weights import CARD_FILE, Model, model_folders, read_model, readable_models

MODEL_FOLDER = "TextGuidedSeg/ModelFolder"
"""Key of Slicer's settings."""


def chosenFolder() -> Path | None:
    """The folder that was chosen; None for none."""
    folder = qt.QSettings().value(MODEL_FOLDER, "")
    return Path(folder) if folder else None


def chooseFolder(folder: Path | None) -> None:
    """Look for models in a folder, now and after a restart; None in no other place than the module's own.

    Raises:
        WeightsError: There is no model, or one of them cannot be read; the folder that was chosen before stays.
    """
    if folder is not None:
        modelsIn(folder)
    qt.QSettings().setValue(MODEL_FOLDER, "" if folder is None else str(folder))


def modelsIn(folder: Path) -> tuple[Model, ...]:
    """The models of a folder: itself, or those beside each other in it, or in its folder `models`.

    Raises:
        WeightsError: There is none, or one of them cannot be read.
    """
    cards = next((found for found in _cards(folder) if found), [])
    if not cards:
        msg = f"there is no model in {folder}; a model is a folder with {CARD_FILE}, its weights and their license"
        raise WeightsError(msg)
    return tuple(read_model(card.parent) for card in cards)


def installedModels() -> tuple[dict[str, Model], str]:
    """Models by name, those of the chosen folder before the module's own, and why some are missing; empty if none."""
    models, unreadable = readable_models()
    problems = [str(error) for error in unreadable]
    try:
        models |= {model.card.name: model for model in _chosenModels()}
    except WeightsError as error:
        problems.append(str(error))
    return {name: models[name] for name in sorted(models)}, "; ".join(problems)


def referenceOf(model: Model) -> str:
    """What the inference process calls a model: its name, or its folder if that is not one of the library's."""
    return model.card.name if model.folder.parent in model_folders() else str(model.folder)


def referenceOfName(name: str) -> str:
    """What the inference process calls the installed model of that name; anything else stays as it is."""
    model = installedModels()[0].get(name)
    return name if model is None else referenceOf(model)


def _chosenModels() -> tuple[Model, ...]:
    folder = chosenFolder()
    return () if folder is None else modelsIn(folder)


def _cards(folder: Path) -> tuple[list[Path], ...]:
    inside = f"*/{CARD_FILE}"
    return sorted(folder.glob(CARD_FILE)), sorted(folder.glob(inside)), sorted((folder / "models").glob(inside))
