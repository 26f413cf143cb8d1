"""Folders for images in transit: closed to others, gone with their owners, never anyone else's."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from TextGuidedSegPanel import privateFolder
from TextGuidedSegPanel.privateFolder import PrivateFolder, removeLeftFolders

MODULE_FOLDER = Path(__file__).resolve().parents[2] / "TextGuidedSeg"
KILLED_OWNER = """
import os, pathlib, signal, sys
from TextGuidedSegPanel.privateFolder import PrivateFolder
folder = PrivateFolder(pathlib.Path(sys.argv[1]))
(folder.path / "1-image.npy").write_bytes(b"secret")
os.kill(os.getpid(), signal.SIGKILL)
"""


def folders(parent: Path) -> list[Path]:
    return sorted(parent.iterdir())


def leave_a_folder(parent: Path) -> Path:
    before = set(folders(parent))
    subprocess.run(
        [sys.executable, "-c", KILLED_OWNER, str(parent)],
        env={**os.environ, "PYTHONPATH": str(MODULE_FOLDER)},
        check=False,
    )
    (left,) = set(folders(parent)) - before
    return left


def test_nobody_else_may_enter(tmp_path: Path) -> None:
    folder = PrivateFolder(tmp_path)
    assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700
    folder.remove()
    assert folders(tmp_path) == []


def test_what_a_killed_owner_left_is_removed_and_what_the_living_have_stays(tmp_path: Path) -> None:
    living = PrivateFolder(tmp_path)
    left = leave_a_folder(tmp_path)
    assert (left / "1-image.npy").exists()
    removeLeftFolders(tmp_path)
    assert folders(tmp_path) == [living.path]
    living.remove()


def test_only_folders_of_this_kind_are_touched(tmp_path: Path) -> None:
    target = tmp_path / "mine"
    target.mkdir()
    (target / "owner.lock").touch()
    (tmp_path / "TextGuidedSeg-link").symlink_to(target)
    (tmp_path / "TextGuidedSeg-file").touch()
    (tmp_path / "TextGuidedSegmentation").mkdir()
    removeLeftFolders(tmp_path)
    assert len(folders(tmp_path)) == 4
    assert (target / "owner.lock").exists()


def test_a_folder_without_its_lock_is_left_in_peace_while_it_is_new(tmp_path: Path) -> None:
    new, old = tmp_path / "TextGuidedSeg-new", tmp_path / "TextGuidedSeg-old"
    for folder in (new, old):
        folder.mkdir()
    os.utime(old, (1e9, 1e9))
    removeLeftFolders(tmp_path)
    assert folders(tmp_path) == [new]


def test_a_folder_taken_before_its_lock_was_on_is_made_again(tmp_path: Path, monkeypatch) -> None:
    from TextGuidedSegPanel import privateFolder

    attempts = iter([False, True])
    monkeypatch.setattr(privateFolder, "_tryLock", lambda _descriptor: next(attempts))
    folder = PrivateFolder(tmp_path)
    assert folder.path.exists()
    assert len(folders(tmp_path)) == 2
    folder.remove()


def test_where_files_cannot_be_locked_one_folder_is_made_and_none_is_taken_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_arguments: object) -> None:
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(privateFolder.fcntl, "flock", refuse)
    folder, other = PrivateFolder(tmp_path), PrivateFolder(tmp_path)
    removeLeftFolders(tmp_path)
    assert folders(tmp_path) == sorted([folder.path, other.path])


def test_a_folder_that_another_program_removes_meanwhile_is_none_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "TextGuidedSeg-x"
    folder.mkdir()
    monkeypatch.setattr(privateFolder, "_isOurs", lambda one: one.rmdir() or True)
    removeLeftFolders(tmp_path)
    assert folders(tmp_path) == []
