"""What is needed, what of it is there, what is downloaded: read from metadata, never by an import."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
import slicer
from packaging.requirements import Requirement

from Testing.slicer.panel_fixtures import MODULE_FOLDER
from Testing.slicer.wheels import write_installed

pytestmark = pytest.mark.slicer
ROOT = MODULE_FOLDER.parent


@pytest.fixture
def requirements(module):
    """The file under test."""
    from TextGuidedSegPanel import requirements

    return requirements


@pytest.fixture
def listed(requirements, tmp_path, monkeypatch: pytest.MonkeyPatch):
    """Replaces the module's list of requirements."""

    def replace(*lines: str, torch: str = "torch>=2.5") -> None:
        path = tmp_path / "requirements.txt"
        path.write_text("\n".join(lines), encoding="utf-8")
        monkeypatch.setattr(requirements, "REQUIREMENTS_FILE", path)
        monkeypatch.setattr(requirements, "TORCH", torch)

    return replace


@pytest.fixture
def there(tmp_path, monkeypatch: pytest.MonkeyPatch):
    """Makes a package look installed."""

    def add(name: str, version: str) -> None:
        folder = tmp_path / "site-packages"
        write_installed(folder, name, version)
        monkeypatch.syspath_prepend(folder)

    return add


def by_name(packages) -> dict:
    return {one.name: one for one in packages}


def test_the_list_is_that_of_the_library(requirements) -> None:
    needed = {str(one.requirement) for one in requirements.neededPackages()}
    assert needed == set(map(str, slicer.packaging.load_pyproject_dependencies(ROOT / "pyproject.toml")))


def test_the_list_is_one_that_slicer_can_read_and_leaves_torch_to_its_extension(requirements) -> None:
    names = [one.name for one in slicer.packaging.load_requirements(requirements.REQUIREMENTS_FILE)]
    assert "torch" not in names
    assert requirements.neededPackages()[0].isTorch


def test_each_package_has_a_size_on_each_system(requirements, monkeypatch: pytest.MonkeyPatch) -> None:
    for system in ("linux", "win32", "darwin"):
        monkeypatch.setattr(sys, "platform", system)
        for one in requirements.neededPackages():
            for by_extension in (False, True):
                size = requirements.download([one], byExtension=by_extension)
                assert 0 < size.least <= size.most


def test_sizes_add_up_and_only_the_extension_leaves_a_range(requirements, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    packages = requirements.neededPackages()
    parts = [requirements.download([one], byExtension=True) for one in packages]
    whole = requirements.download(packages, byExtension=True)
    assert (whole.least, whole.most) == (sum(one.least for one in parts), sum(one.most for one in parts))
    assert whole.least < whole.most
    by_pip = requirements.download(packages, byExtension=False)
    assert by_pip.least == by_pip.most == whole.most


def test_everything_is_here(requirements) -> None:
    assert all(one.isReady for one in requirements.neededPackages())
    assert requirements.toInstall(requirements.neededPackages()) == ()


@pytest.mark.parametrize(
    ("version", "is_ready"), [("2.4.1", False), ("2.9.1", False), ("2.5.0", True), ("2.10.0+cu128", True)]
)
def test_the_version_decides(requirements, there, version: str, is_ready: bool) -> None:
    there("torch", version)
    torch = requirements.neededPackages()[0]
    assert (torch.installedVersion, torch.isReady) == (version, is_ready)
    assert (torch in requirements.toInstall(requirements.neededPackages())) == (not is_ready)


def test_what_is_not_there_is_missing(requirements, listed) -> None:
    listed("no-such-package-here>=1.0", torch="torch>=99")
    torch, other = requirements.neededPackages()
    assert (other.installedVersion, other.isReady) == (None, False)
    assert not torch.isReady
    assert requirements.toInstall((torch, other)) == (torch, other)


@pytest.mark.parametrize("version", ["", "not a version"])
def test_a_damaged_package_is_missing(requirements, listed, there, version: str) -> None:
    listed("damaged>=1.0")
    there("damaged", version)
    damaged = by_name(requirements.neededPackages())["damaged"]
    assert (damaged.installedVersion, damaged.isReady) == (None, False)


@pytest.mark.parametrize("version", ["2.5.0rc2.dev368", "2.5.0", "not a version"])
def test_what_slicer_built_itself_is_never_replaced(requirements, there, version: str) -> None:
    there("SimpleITK", version)
    requirement = by_name(requirements.neededPackages())["SimpleITK"]
    assert requirement.isReady
    assert requirement.isOfSlicer
    assert not any(one.startswith("simpleitk==not") for one in requirements.pins())


def test_what_is_too_old_in_slicer_asks_for_a_newer_slicer(requirements, there) -> None:
    there("numpy", "1.20.0")
    packages = requirements.neededPackages()
    assert [one.name for one in requirements.outdatedInSlicer(packages)] == ["numpy"]
    assert requirements.toInstall(packages) == ()
    assert "numpy==1.20.0" in requirements.pins()


def test_looking_loads_nothing() -> None:
    code = f"""
import sys
from types import SimpleNamespace
import pytest, slicer
from Testing.slicer.standins import install
slicer.mrmlScene, slicer.modules = slicer.vtkMRMLScene(), SimpleNamespace()
install.install(pytest.MonkeyPatch(), None)
sys.path.insert(0, {str(MODULE_FOLDER)!r})
from TextGuidedSegPanel.requirements import neededPackages
assert all(one.isReady for one in neededPackages())
heavy = sorted({{"torch", "monai", "transformers", "tokenizers", "safetensors", "SimpleITK"}} & set(sys.modules))
assert heavy == [], heavy
"""
    if not hasattr(slicer, "slicer_core"):
        return  # Slicer itself has some of them loaded
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_reader_takes_no_remark_behind_a_requirement(module, tmp_path) -> None:
    path = tmp_path / "requirements.txt"
    path.write_text("# a whole line\n--no-index\nnumpy>=1.26\n", encoding="utf-8")
    assert slicer.packaging.load_requirements(path) == [Requirement("numpy>=1.26")]
    path.write_text("numpy>=1.26  # arrays\n", encoding="utf-8")
    with pytest.raises(ValueError, match="numpy"):
        slicer.packaging.load_requirements(path)


def test_pip_ensure_does_nothing_in_testing_mode(module) -> None:
    assert slicer.packaging.pip_ensure(["no-such-package-here>=1.0"]) is None
    assert not slicer.packaging.pip_check("no-such-package-here>=1.0")


def test_the_sizes_say_what_they_are(requirements) -> None:
    content = json.loads(requirements.DOWNLOADS_FILE.read_text(encoding="utf-8"))
    assert "MB" in content["about"]
