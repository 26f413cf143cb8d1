"""How the inference process is run: with which Python, on which path, how long it may be silent."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import TextGuidedSegLib

from .processTree import pythonProgram

_WORKER = "TextGuidedSegLib.worker"


@dataclass(frozen=True)
class ClientSettings:
    """How the process is run.

    Attributes:
        command: Program and arguments; None for the library's worker in Slicer's Python, or in this one.
        environment: Environment variables; None for this process's own. The library's folder is put on its path.
        folder: Where private folders for arrays are made; None for the system's folder of temporary files.
        threads: Most threads of the CPU; None leaves it to the environment.
        idleReleaseS: Idle time after which model and GPU memory are given back.
        idleExitS: Idle time after that until the process ends.
        startS: Longest time from the start to the first sign of the library.
        loadSilenceS: Longest silence while torch and the model are loaded: the loader of a large library on a slow disk
            lets no other thread run.
        silenceS: Longest silence while it runs.
        cancelS: Time a cancelled process has to stop by itself.
    """

    command: tuple[str, ...] | None = None
    environment: Mapping[str, str] | None = None
    folder: Path | None = None
    threads: int | None = None
    idleReleaseS: float = 600.0
    idleExitS: float = 3600.0
    startS: float = 60.0
    loadSilenceS: float = 120.0
    silenceS: float = 20.0
    cancelS: float = 0.8

    def processCommand(self) -> tuple[str, ...]:
        """Program and arguments of the process."""
        if self.command is not None:
            return self.command
        # -P: nothing in the folder the program was started from takes the place of a library.
        return (pythonProgram(), "-P", "-u", "-X", "utf8", "-m", _WORKER)

    def processEnvironment(self) -> dict[str, str]:
        """Environment variables of the process: the library on its path, its threads capped."""
        environment = dict(os.environ if self.environment is None else self.environment)
        libraryFolder = str(Path(TextGuidedSegLib.__file__).resolve().parents[1])
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, (libraryFolder, environment.get("PYTHONPATH"))))
        if self.threads is not None:
            environment |= {"OMP_NUM_THREADS": str(self.threads), "MKL_NUM_THREADS": str(self.threads)}
        return environment

    def longestSilenceS(self, state: str) -> float:
        """Silence in that state after which the process is given up, s."""
        return {"starting": self.startS, "loading": self.loadSilenceS}.get(state, self.silenceS)

    def silenceSentence(self, state: str) -> str:
        """What to say about a process that was given up in that state."""
        silence = f"{self.longestSilenceS(state):g} seconds"
        if state == "starting":
            return f"The inference process did not start within {silence}; see the log, then run the phrase again."
        return f"The inference process gave no sign of life for {silence} and was ended; run the phrase again."
