"""A Slurm cluster on this machine, for tests: one controller, nodes of one core, no accounting.

Needs Slurm's daemons and munge, as Debian's packages slurmctld, slurmd, slurm-client and munge have
them; nothing of the system's own configuration is read or changed.
"""

from __future__ import annotations

import contextlib
import getpass
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

PACKAGES = "slurmctld slurmd slurm-client munge"
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "srun", "scancel", "scontrol")
_READY_S = 60.0
_CONF = """
ClusterName=aebench
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.sock,cred_expire=5
SlurmUser={user}
SlurmdUser={user}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SwitchType=switch/none
MpiDefault=none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
JobRequeue=1
ReturnToService=2
KillWait=5
MinJobAge=5
SchedulerParameters=sched_interval=1,batch_sched_delay=1
"""


def missing() -> list[str]:
    """Programs that the cluster needs and this machine lacks."""
    found = {name: shutil.which(name, path=_path()) for name in PROGRAMS}
    return [name for name, path in found.items() if path is None]


def _path() -> str:
    return os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])


@contextlib.contextmanager
def cluster(folder: Path, nodes: int) -> Iterator[dict[str, str]]:
    """Run a cluster in `folder`; gives the environment in which commands find it."""
    ports = _free_ports(nodes + 1)
    host = socket.gethostname().partition(".")[0]
    conf = _CONF.format(host=host, port=ports[0], folder=folder, user=getpass.getuser())
    for number, port in enumerate(ports[1:]):
        (folder / f"n{number}").mkdir()
        conf += (
            f"NodeName=n{number} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs=1"
            " State=UNKNOWN\n"
        )
    conf += f"PartitionName=main Nodes=n[0-{nodes - 1}] Default=YES State=UP\n"
    (folder / "state").mkdir()
    (folder / "slurm.conf").write_text(conf, "utf-8")
    (folder / "munge.key").touch(mode=0o600)
    (folder / "munge.key").write_bytes(os.urandom(64))
    env = {**os.environ, "PATH": _path(), "SLURM_CONF": str(folder / "slurm.conf")}
    munged = [
        "munged", "--foreground", "--force", f"--key-file={folder}/munge.key",
        f"--socket={folder}/munge.sock", f"--pid-file={folder}/munged.pid",
        f"--log-file={folder}/munged.log", f"--seed-file={folder}/munged.seed",
    ]  # fmt: skip
    daemons = [["slurmctld", "-D"], *(["slurmd", "-D", "-N", f"n{i}"] for i in range(nodes))]
    with contextlib.ExitStack() as running:
        running.enter_context(_daemon(munged, env))
        _until((folder / "munge.sock").exists, "munged made no socket")
        for command in daemons:
            running.enter_context(_daemon(command, env))
        _until(lambda: _idle(env) == nodes, f"{nodes} nodes did not come up")
        yield {"PATH": env["PATH"], "SLURM_CONF": env["SLURM_CONF"]}
        subprocess.run(["scancel", "--me"], env=env, capture_output=True)
        _until(lambda: not _said(["squeue", "--noheader"], env), "jobs did not end")


@contextlib.contextmanager
def _daemon(command: list[str], env: dict[str, str]) -> Iterator[None]:
    process = subprocess.Popen(
        command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield
    finally:
        process.terminate()
        process.wait(timeout=60)


def _idle(env: dict[str, str]) -> int:
    return _said(["sinfo", "--noheader", "--Node", "--format=%t"], env).split().count("idle")


def _said(command: list[str], env: dict[str, str]) -> str:
    return subprocess.run(command, env=env, capture_output=True, text=True).stdout


def _until(condition: Callable[[], object], otherwise: str) -> None:
    began = time.monotonic()
    while not condition():
        if time.monotonic() - began > _READY_S:
            raise TimeoutError(otherwise)
        time.sleep(0.1)


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
