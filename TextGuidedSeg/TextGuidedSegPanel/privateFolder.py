"""A folder that only its owner may enter and that outlives nobody: what a killed program left, the next one removes."""

from __future__ import annotations

import errno
import os
import shutil
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

_PREFIX = "TextGuidedSeg-"
_LOCK_FILE = "owner.lock"
# What a lock that another program holds is told by; anything else means that there are no locks here.
_HELD = frozenset({errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES, errno.EDEADLK})
_UNLOCKED_S = 60.0  # far longer than a new folder is without its lock


class PrivateFolder:
    """A new folder of mode 0700 below another one, locked as long as this process lives.

    Args:
        parent: Where it is made; None for the system's folder of temporary files.

    Raises:
        OSError: The parent is missing or may not be written.
    """

    def __init__(self, parent: Path | None = None) -> None:
        base = Path(parent or tempfile.gettempdir())
        while True:
            self.path = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=base))
            self._lock = (self.path / _LOCK_FILE).open("wb")
            # Another program may take a folder for left behind before its lock is on; then a new one is made.
            try:
                isOurs = _tryLock(self._lock.fileno()) and (self.path / _LOCK_FILE).exists()
            except OSError:  # a file system without locks: nobody takes a folder there for left behind
                return
            if isOurs:
                return
            self._lock.close()

    def remove(self) -> None:
        """Remove the folder with everything in it."""
        self._lock.close()
        shutil.rmtree(self.path, ignore_errors=True)


def removeLeftFolders(parent: Path | None = None) -> None:
    """Remove private folders whose owners no longer live.

    Args:
        parent: Where they were made; None for the system's folder of temporary files.
    """
    for folder in Path(parent or tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        if _isOurs(folder) and _isLeft(folder):
            shutil.rmtree(folder, ignore_errors=True)


def _isOurs(folder: Path) -> bool:
    """True for a folder, not a link to one, of the same user: in a shared folder names can be planted."""
    try:
        status = folder.lstat()
    except OSError:
        return False
    return folder.is_dir() and not folder.is_symlink() and (sys.platform == "win32" or status.st_uid == os.getuid())


def _isLeft(folder: Path) -> bool:
    """True if nobody holds the folder's lock; the system drops it with the process, however that ended."""
    try:
        with (folder / _LOCK_FILE).open("r+b") as lock:
            return _tryLock(lock.fileno())
    except FileNotFoundError:  # just being made, or the rest of one whose removal was interrupted
        with suppress(FileNotFoundError):  # another program is removing it
            return time.time() - folder.stat().st_mtime > _UNLOCKED_S
        return False
    except OSError:
        return False


def _tryLock(descriptor: int) -> bool:
    """Lock a file; False if another program holds it.

    Raises:
        OSError: The file system has no locks.
    """
    try:
        if sys.platform == "win32":
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in _HELD:
            raise
        return False
    return True
