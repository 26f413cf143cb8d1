"""The module `SampleData`: keeps what is registered where Slicer keeps it, and takes no other keywords."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import slicer


class SampleDataSource:
    """One entry: every field but the names and the thumbnail is a list, with one element for each file."""

    def __init__(self, sampleName: str, uris: Any, thumbnailFileName: Any, **files: Any) -> None:  # noqa: N803
        self.sampleName = self.sampleDescription = sampleName
        self.thumbnailFileName = thumbnailFileName
        self.uris = _listed(uris)
        for name, value in files.items():
            entries = [value] * len(self.uris) if value is None else _listed(value)
            if len(entries) != len(self.uris):
                msg = f"All fields of sample data source must have the same length, got {name}: {entries}"
                raise ValueError(msg)
            setattr(self, name, entries)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SampleDataSource) and vars(self) == vars(other)

    __hash__ = None  # type: ignore[assignment]


class SampleDataLogic:
    """Registers only."""

    @staticmethod
    def registerCustomSampleDataSource(  # noqa: N802
        category: str = "Custom", sampleName: Any = None, uris: Any = None, fileNames: Any = None,  # noqa: N803
        nodeNames: Any = None, customDownloader: Any = None, thumbnailFileName: Any = None,  # noqa: N803
        loadFileType: Any = "VolumeFile", loadFiles: Any = None, loadFileProperties: Any = None,  # noqa: N803
        checksums: Any = None,
    ) -> None:  # fmt: skip
        """Add to `slicer.modules.sampleDataSources`, unless the same is there already."""
        assert customDownloader is None
        assert loadFileProperties is None
        source = SampleDataSource(
            sampleName, uris, thumbnailFileName, fileNames=fileNames, nodeNames=nodeNames, loadFileType=loadFileType,
            loadFiles=loadFiles, checksums=checksums,
        )  # fmt: skip
        sources = vars(slicer.modules).setdefault("sampleDataSources", {}).setdefault(category, [])
        if source not in sources:
            sources.append(source)


def make_sample_data() -> ModuleType:
    """The module."""
    module = ModuleType("SampleData")
    module.SampleDataLogic, module.SampleDataSource = SampleDataLogic, SampleDataSource
    return module


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]
