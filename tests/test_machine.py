"""What a record says of the machine: enough to compare times, and nothing of a person."""

from __future__ import annotations

import contextlib
import getpass
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch

import aebench
from aebench import machine, schema


def test_description_fills_columns_and_only_those() -> None:
    described = machine.describe(torch.device("cpu"))
    columns = {column.name: column.kind for column in schema.JOBS}
    kinds = {str: "string", int: "int64"}
    told = {name: value for name, value in described.items() if value is not None}
    assert set(described) - set(told) <= {"cpu_details"}  # of which Linux alone tells
    assert set(described) <= set(columns)
    assert {name: kinds[type(value)] for name, value in told.items()} == {
        name: columns[name] for name in told
    }
    assert described["torch"] == torch.__version__
    assert described["aebench"] == aebench.__version__
    assert described["cores"] >= 1
    assert described["memory_bytes"] > 2**28
    assert described["device_name"] == described["cpu_name"] != ""


def test_without_torch_the_machine_is_the_same() -> None:
    full, bare = machine.describe(torch.device("cpu")), machine.describe()
    assert {**full, "torch": None} == {**bare, "torch": None}
    assert "torch" not in bare


def test_nothing_names_a_person_a_host_or_a_path() -> None:
    text = " ".join(map(str, machine.describe(torch.device("cpu")).values())).split()
    private = {platform.node(), str(Path.home()), os.getcwd()}
    with contextlib.suppress(KeyError, OSError):  # a container may have no user
        private.add(getpass.getuser())
    assert not private & set(text)
    assert not any(str(Path.home()) in word for word in text if Path.home() != Path("/"))


def test_the_id_is_of_the_hardware_not_of_the_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    before = machine.describe()
    real = psutil.virtual_memory()

    def memory(change: int) -> Any:
        return lambda: real._replace(total=round(real.total / 2**30) * 2**30 + change)

    monkeypatch.setattr(aebench, "__version__", "99")
    monkeypatch.setattr(psutil, "virtual_memory", memory(4096))
    assert machine.describe()["machine_id"] == before["machine_id"]
    monkeypatch.setattr(psutil, "virtual_memory", memory(2**33))
    assert machine.describe()["machine_id"] != before["machine_id"]


def test_commit_is_told_with_changes_and_is_empty_outside_a_checkout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "aebench"
    package.mkdir()
    source = package / "machine.py"
    source.write_text("one\n")
    monkeypatch.setattr(machine, "__file__", str(source))
    commit = machine.commit.__wrapped__
    assert commit() == ""

    def git(*arguments: str) -> None:
        who = ("-c", "user.name=a", "-c", "user.email=a@example.org")
        subprocess.run(["git", *who, *arguments], cwd=tmp_path, check=True, capture_output=True)

    git("init")
    git("add", ".")
    git("commit", "-m", "one")
    clean = commit()
    assert len(clean) == 12
    assert int(clean, 16) >= 0
    source.write_text("two\n")
    assert commit() == f"{clean}+changes"


def test_a_program_that_is_not_there_or_fails_says_nothing() -> None:
    assert machine._output("no-such-program-of-anybody") == ""
    assert machine._output("git", "no-such-command") == ""


def test_counting_devices_needs_no_device(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_driver(name: str) -> None:
        raise OSError(f"{name}: cannot open")

    monkeypatch.setattr(machine.ctypes, "CDLL", no_driver)
    assert machine.cuda_devices() == 0


@pytest.mark.parametrize(
    ("group", "files", "expected"),
    [
        ("0::/job", {"job/cpu.max": "150000 100000"}, 1.5),
        ("0::/job", {"job/cpu.max": "max 100000", "cpu.max": "400000 100000"}, 4),
        ("0::/job", {}, None),
        (
            "4:cpu,cpuacct:/job",
            {
                "cpu,cpuacct/job/cpu.cfs_quota_us": "200000",
                "cpu,cpuacct/job/cpu.cfs_period_us": "100000",
            },
            2,
        ),
        (
            "4:cpu:/",
            {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"},
            None,
        ),
    ],
)
def test_quota_of_a_container(
    group: str, files: dict[str, str], expected: float | None, tmp_path: Path
) -> None:
    (tmp_path / "self").mkdir()
    (tmp_path / "self" / "cgroup").write_text(group + "\n")
    for name, text in files.items():
        file = tmp_path / "groups" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text + "\n")
    assert machine.quota_cores(tmp_path, tmp_path / "groups") == expected


def test_cores_and_memory_are_those_of_this_process() -> None:
    assert 1 <= machine.cores() <= (os.cpu_count() or 1)
    now = psutil.Process().memory_info().rss
    assert 0.9 * now <= machine.peak_host_bytes() <= 1000 * now  # systems count it in two units


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ("fpu avx512_bf16 avx512f", "avx512_bf16"),
        ("fpu amx_bf16 avx512_bf16 amx_tile", "amx_bf16"),
        ("fpu amx_bf16 avx512_bf16", "avx512_bf16"),  # tiles that the system does not offer
        ("fpu amx_bf16", ""),
        ("fpu avx512_bf16x", ""),
        ("", ""),
    ],
)
def test_products_of_bf16_are_read_from_the_flags(
    flags: str, expected: str, tmp_path: Path
) -> None:
    info = tmp_path / "cpuinfo"
    info.write_text(f"model name\t: avx512_bf16 in its name\nflags\t\t: {flags}\n")
    assert machine.bf16_instructions(info) == expected


X86 = """processor\t: 0
vendor_id\t: AuthenticAMD
cpu family\t: 26
model\t\t: 2
model name\t: AMD EPYC
stepping\t: 1
flags\t\t: fpu sme fma avx avx2 avx512_bf16 smep

processor\t: 1
cpu family\t: 99
"""
ARM = """processor\t: 0
BogoMIPS\t: 50.00
Features\t: fp asimd crc32 sve i8mm bf16
CPU implementer\t: 0x41
CPU part\t: 0xd40
"""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (X86, "cpu family 26, model 2, stepping 1; avx avx2 avx512_bf16 fma"),
        (ARM, "CPU implementer 0x41, CPU part 0xd40; asimd bf16 i8mm sve"),
        ("flags: avx", "avx"),
        ("model: 1", "model 1"),
        ("processor: 0\nno colon", None),
        ("", None),
    ],
)
def test_cpus_of_one_name_are_told_apart(text: str, expected: str | None, tmp_path: Path) -> None:
    (tmp_path / "cpuinfo").write_text(text)
    assert machine.cpu_details(tmp_path / "cpuinfo") == expected


def test_another_cpu_of_the_same_name_is_another_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Virtual machines call processors of several generations ``AMD EPYC``."""
    ids = set()
    for details in ("model 1; avx2", "model 2; avx2 avx512_bf16", None):
        monkeypatch.setattr(machine, "cpu_details", lambda details=details: details)
        described = machine.describe()
        assert described["cpu_details"] == details
        ids.add(described["machine_id"])
    assert len(ids) == 3


def test_of_other_systems_no_products_of_bf16_are_known(tmp_path: Path) -> None:
    assert machine.bf16_instructions(tmp_path / "none") == ""
