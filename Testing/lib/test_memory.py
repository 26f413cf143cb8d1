"""Free memory as Linux tells it: of the computer, or of the control group that a container was given."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from TextGuidedSegLib.memory import linux_host_bytes

GIGABYTE = 1 << 30
COMPUTER = {"proc/meminfo": f"MemTotal: 99 kB\nMemAvailable:   {64 << 20} kB\n"}
INSIDE = {"proc/self/cgroup": "0::/\n"}
LIMITED = {"sys/fs/cgroup/memory.max": f"{6 * GIGABYTE}\n", "sys/fs/cgroup/memory.current": f"{2 * GIGABYTE}\n"}


def system(root: Path, files: Mapping[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def test_without_limits_it_is_the_computers(tmp_path: Path) -> None:
    assert linux_host_bytes(system(tmp_path, COMPUTER)) == 64 * GIGABYTE
    unlimited = {**INSIDE, "sys/fs/cgroup/memory.max": "max\n", "sys/fs/cgroup/memory.current": "5\n"}
    assert linux_host_bytes(system(tmp_path, unlimited)) == 64 * GIGABYTE


def test_a_container_has_what_it_was_given(tmp_path: Path) -> None:
    assert linux_host_bytes(system(tmp_path, COMPUTER | INSIDE | LIMITED)) == 4 * GIGABYTE


def test_files_that_were_read_take_no_memory_away(tmp_path: Path) -> None:
    cached = {"sys/fs/cgroup/memory.stat": f"anon 7\ninactive_file {GIGABYTE}\nactive_file 3\n"}
    assert linux_host_bytes(system(tmp_path, COMPUTER | INSIDE | LIMITED | cached)) == 5 * GIGABYTE


def test_a_full_container_has_none_and_a_larger_one_than_the_computer_no_more(tmp_path: Path) -> None:
    full = LIMITED | {"sys/fs/cgroup/memory.current": f"{7 * GIGABYTE}"}
    assert linux_host_bytes(system(tmp_path / "full", COMPUTER | INSIDE | full)) == 0
    huge = LIMITED | {"sys/fs/cgroup/memory.max": f"{900 * GIGABYTE}"}
    assert linux_host_bytes(system(tmp_path / "huge", COMPUTER | INSIDE | huge)) == 64 * GIGABYTE


def test_the_tightest_group_above_counts(tmp_path: Path) -> None:
    service = {"proc/self/cgroup": "0::/work.slice/run.scope\n"}
    folders = {"sys/fs/cgroup/work.slice": 8, "sys/fs/cgroup/work.slice/run.scope": 20}
    limits = {f"{folder}/memory.max": str(size * GIGABYTE) for folder, size in folders.items()}
    used = {f"{folder}/memory.current": str(GIGABYTE) for folder in folders}
    assert linux_host_bytes(system(tmp_path, COMPUTER | service | limits | used)) == 7 * GIGABYTE


@pytest.mark.parametrize("path", ["/", "/docker/0123"])
def test_the_first_version_of_control_groups(path: str, tmp_path: Path) -> None:
    files = {
        "proc/self/cgroup": f"12:cpu,cpuacct:{path}\n5:memory:{path}\n1:name=systemd:{path}\n",
        "sys/fs/cgroup/memory/memory.limit_in_bytes": f"{6 * GIGABYTE}\n",
        "sys/fs/cgroup/memory/memory.usage_in_bytes": f"{3 * GIGABYTE}\n",
        "sys/fs/cgroup/memory/memory.stat": f"inactive_file 5\ntotal_inactive_file {GIGABYTE}\n",
        "sys/fs/cgroup/cpu/memory.limit_in_bytes": "1\n",
    }
    assert linux_host_bytes(system(tmp_path, COMPUTER | files)) == 4 * GIGABYTE


def test_a_system_that_says_nothing(tmp_path: Path) -> None:
    assert linux_host_bytes(tmp_path) is None
    (tmp_path / "sys/fs/cgroup/memory.max").mkdir(parents=True)  # which cannot be read
    assert linux_host_bytes(system(tmp_path, COMPUTER | INSIDE)) == 64 * GIGABYTE
