"""How a machine is set: read from the kernel's files as they are, and null where there are none."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from aebench import host, load_grid, machine, schema
from aebench.executors import RunOptions, local
from aebench.store import Store, read


def told(tmp_path: Path, files: dict[str, str]) -> dict[str, object]:
    for name, text in files.items():
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text + "\n")
    return host.settings(tmp_path / "sys", tmp_path / "proc")


CPU = "sys/devices/system/cpu"


@pytest.mark.parametrize(
    ("files", "column", "expected"),
    [
        ({f"{CPU}/cpu{n}/cpufreq/scaling_governor": "powersave" for n in (0, 1, 2, 3)},
         "governor", "powersave"),
        ({f"{CPU}/cpu{n}/cpufreq/scaling_governor": name
          for n, name in ((0, "schedutil"), (1, "performance"), (2, "ondemand"))},
         "governor", "performance, schedutil"),  # that of CPU 2 is no matter of ours
        ({f"{CPU}/intel_pstate/no_turbo": "0"}, "turbo", True),
        ({f"{CPU}/intel_pstate/no_turbo": "1", f"{CPU}/cpufreq/boost": "1"}, "turbo", False),
        ({f"{CPU}/cpufreq/boost": "1"}, "turbo", True),
        ({f"{CPU}/cpufreq/boost": "odd"}, "turbo", None),
        ({f"{CPU}/smt/active": "1"}, "smt", True),
        ({f"{CPU}/smt/active": "0"}, "smt", False),
        ({f"{CPU}/cpu{n}/topology/thread_siblings_list": "0-1" for n in (0, 1)},
         "physical_cores", 1),
        ({f"{CPU}/cpu{n}/topology/thread_siblings_list": f"{n},{n + 8}" for n in (0, 1)},
         "physical_cores", 2),
        ({f"{CPU}/cpu0/topology/thread_siblings_list": "0"}, "physical_cores", None),
        ({"sys/devices/system/node/node0/cpulist": "0,2-9",
          "sys/devices/system/node/node1/cpulist": "1,10",
          "sys/devices/system/node/node2/cpulist": "11-20"}, "numa_nodes", 2),
        ({"proc/cpuinfo": "model\t: 1\nmicrocode\t: 0xb000040\nflags\t: fpu"},
         "microcode", "0xb000040"),
        ({"proc/self/maps": "7f r-xp 0 0:1 9 /opt/x/libgomp-a34b.so.1.0.0\n7f r /x/libgompf.so"},
         "openmp", "libgomp-a34b.so.1.0.0, OMP_PROC_BIND=close"),
    ],
)  # fmt: skip
def test_what_the_kernel_says(
    files: dict[str, str],
    column: str,
    expected: object,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in host._OPENMP_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OMP_PROC_BIND", "close")
    monkeypatch.setattr(host, "_cpus", lambda: [0, 1])
    settings = told(tmp_path, files)
    assert settings[column] == expected
    kernels = ("governor", "turbo", "smt", "physical_cores", "numa_nodes", "microcode", "openmp")
    assert {name: settings[name] for name in kernels if name != column} == {
        name: None for name in kernels if name != column
    }


def test_a_description_fills_columns_of_their_kind_and_changes_no_identity() -> None:
    device = torch.device("cpu")
    described = host.describe(device)
    columns = {column.name: column.kind for column in schema.JOBS}
    kinds = {str: "string", int: "int64", bool: "bool"}
    for name, value in described.items():
        assert value is None or kinds[type(value)] == columns[name]
    assert described["machine_id"] == machine.describe(device)["machine_id"]
    assert set(described) - set(machine.describe(device)) == set(host.settings())
    assert "GCC" in described["torch_build"] or "clang" in described["torch_build"].lower()
    assert "BLAS" in described["torch_build"]


@pytest.mark.compiler
def test_the_compiler_is_the_one_that_engine_native_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    assert host.settings()["compiler"]
    monkeypatch.setenv("CXX", "no-such-compiler")
    assert host.settings()["compiler"] is None


@pytest.mark.slow
def test_each_repeat_has_a_process_of_its_own_and_all_else_one(tmp_path: Path) -> None:
    axes = {"architecture": "mlp", "dataset": "digits", "epochs": 1, "engine": "eager"}
    repeated = load_grid(None, axes | {"latent": 4, "repeats": 2})
    single = load_grid(None, axes | {"latent": [5, 6]})
    store = Store(tmp_path)
    assert not single.repeated
    assert repeated.repeated == frozenset(repeated.jobs)
    jobs = [single.jobs[0], *repeated.jobs, single.jobs[1]]
    assert local.run(jobs, store, RunOptions(threads=1, repeated=repeated.repeated))
    rows = read(store.path).jobs
    assert list(rows["status"]) == ["ok"] * 4
    assert rows.groupby("latent")["process_id"].nunique().to_dict() == {4: 2, 5: 1, 6: 1}
    assert rows["process_id"].nunique() == 3
    assert (rows["torch_build"].nunique(), rows["physical_cores"].notna().all()) == (1, True)
