"""Runs in a process of its own, in Slicer's Python without Slicer: has the PyTorch extension install torch.

    PythonSlicer torchChild.py /path/to/PyTorchUtils.py ">=2.5"

In Slicer's own process the extension would stop the window for minutes, could not be cancelled and would load torch.
"""

from __future__ import annotations

import importlib.util
import sys
from types import ModuleType


def install(extension: str, specifier: str) -> None:
    """Let the extension choose the build for this computer and install it.

    Args:
        extension: File of the extension's module.
        specifier: Range of versions, such as ">=2.5".

    Raises:
        ImportError: What was installed cannot be loaded.
        RuntimeError: The extension installed nothing.
    """
    _standInForTheWindow()
    spec = importlib.util.spec_from_file_location("PyTorchUtils", extension)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    # Without a question: it was answered in the panel, and here is no window to ask in.
    torch = module.PyTorchUtilsLogic().installTorch(askConfirmation=False, torchVersionRequirement=specifier)
    if torch is None:
        msg = "the PyTorch extension installed nothing; open its module PyTorch Utils and install torch there"
        raise RuntimeError(msg)


def _standInForTheWindow() -> None:
    """The extension's file also holds its panel, whose base classes exist only where there is a window."""
    for name in ("qt", "ctk"):
        sys.modules[name] = ModuleType(name)
    bases = ModuleType("slicer.ScriptedLoadableModule")
    for suffix in ("", "Widget", "Logic", "Test"):
        name = f"ScriptedLoadableModule{suffix}"
        setattr(bases, name, type(name, (), {}))
    sys.modules[bases.__name__] = bases


if __name__ == "__main__":
    install(*sys.argv[1:])
