"""The project's commands, for a machine that has Python 3.11 or later and nothing else.

    python3 noxfile.py -s quickstart    train the quick grid and render its report
    python3 noxfile.py -s tests         run the quick tests; what follows `--` goes to pytest
    python3 noxfile.py -s tests-slow    run the tests that take longer than two seconds
    python3 noxfile.py -s tests-cluster run the tests on clusters of Ray and Slurm, here
    python3 noxfile.py -s lint types    check style, layout and types
    python3 noxfile.py -s mutants       change the code step by step: do the tests notice?
    python3 noxfile.py -s fuzz          odd words, files and folders, a thousand of each
    python3 noxfile.py -s sanitize      run the C++ with checks of memory and arithmetic
    python3 noxfile.py -s bench-cpu     time the suites in bench/ on the CPU
    python3 noxfile.py -s bench-cuda    the same on a CUDA device; skipped where there is none
    python3 noxfile.py -s bench-peers   time the loops of other projects beside ours
    python3 noxfile.py -s bench-compare set two saved runs of the suites side by side
    python3 noxfile.py -s kills         kill runs at random a hundred times, and look what is lost
    python3 noxfile.py -s reference     publish results/reference-*: reports, README's figures

Decides: which interpreter runs aebench, and that it has the dependencies. All sessions share one
environment, `.venv` in the checkout, for torch alone takes gigabytes. It is made on first use and
again when an install was cut short, and brought up to date when its stamp no longer matches
pyproject.toml, constraints.txt and the checkout's place. `uvx nox`, `uv run noxfile.py` and an
installed `nox` read this file too. Leaves to others: what a command does.

    AEBENCH_PYTHON=PATH      use this interpreter and install nothing
    AEBENCH_VENV=PATH        where the shared environment lies
    AEBENCH_CONSTRAINTS=1    install the versions in constraints.txt (0: the newest that fit);
                             without it, they are installed where CI is set
"""

# /// script
# requires-python = ">=3.11"
# dependencies = ["nox"]
# ///

import contextlib
import hashlib
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / Path(os.environ.get("AEBENCH_VENV") or ".venv").expanduser()
PYTHON = VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
STAMP = VENV / "aebench-stamp"
INSTALLING = "installing"
HEARTBEAT_S = 15
SANITIZED = "-O1 -g -fsanitize=address,undefined -fno-sanitize-recover=undefined"
ALL_TESTS = ("-m", "not cluster")  # the slow ones too, which pytest leaves out by default
CLUSTER_TESTS = ("tests/test_on_ray.py", "tests/test_on_slurm.py")
TEST_PROCESSES = 4  # at most: each loads torch, and many tests start workers of their own
# What an install was measured to take, on Linux, where torch brings CUDA; less elsewhere.
INSTALLED_GB, NEEDED_GB = (6.2, 7.0) if sys.platform == "linux" else (1.5, 2.5)


def say(text):
    print(f"aebench: {text}", file=sys.stderr, flush=True)


def stop(text, status=2):
    say(text)
    raise SystemExit(status)


def check_python(version=sys.version_info):
    if version < (3, 11):
        stop(f"needs Python 3.11 or later; this is {version[0]}.{version[1]} ({sys.executable}).")


check_python()


def interpreter():
    """Path of the interpreter that has the dependencies, set up now if it lacks them."""
    given = os.environ.get("AEBENCH_PYTHON")
    if given:
        found = shutil.which(given) or stop(f"AEBENCH_PYTHON={given} is not an interpreter.")
        os.environ["AEBENCH_PYTHON"] = str(Path(found).absolute())  # nox changes directory
        return os.environ["AEBENCH_PYTHON"]
    if not is_ready():
        try:
            with locked() as lock:
                if not is_ready():  # else another command did it while this one waited
                    set_up(lock)
        except KeyboardInterrupt:
            stop("set-up interrupted; the same command takes it up again.", 130)
    return str(PYTHON)


def is_ready():
    version = venv_version()
    return bool(version) and read_stamp() == stamp(version)


def venv_version():
    """The Python version of the environment; empty where there is none or it does not start."""
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    try:
        return subprocess.check_output([PYTHON, "-c", code], text=True).strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def stamp(version):
    """What the environment is made from: Python's version, then a hash of the rest."""
    digest = hashlib.sha256(f"{ROOT} {constrained()}".encode())
    for name in ("pyproject.toml", "constraints.txt"):
        digest.update((ROOT / name).read_bytes())
    return f"{version} {digest.hexdigest()}"


def read_stamp():
    return STAMP.read_text(encoding="utf-8") if STAMP.is_file() else ""


def constrained():
    chosen = os.environ.get("AEBENCH_CONSTRAINTS") or os.environ.get("CI") or "0"
    return chosen.lower() not in ("0", "false", "no")


@contextlib.contextmanager
def locked():
    """One set-up at a time. Installers inherit the lock: it holds on if only we are killed."""
    VENV.parent.mkdir(parents=True, exist_ok=True)
    with VENV.with_name(f"{VENV.name}.lock").open("a+b") as lock:
        began, heard = time.monotonic(), -HEARTBEAT_S
        while not try_lock(lock):
            waited = time.monotonic() - began
            if waited - heard >= HEARTBEAT_S:
                heard = waited
                say(f"another command is setting up {VENV}: waiting, {waited:.0f} s so far ...")
            time.sleep(0.5)
        yield lock


def try_lock(lock):
    try:
        if os.name == "nt":
            import msvcrt

            msvcrt.locking(lock.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def set_up(lock):
    began = time.monotonic()
    fresh = clear_unusable()
    free_gb = shutil.disk_usage(VENV.parent).free / 1e9
    check_disk(free_gb, NEEDED_GB if fresh else 0.5)
    VENV.mkdir(exist_ok=True)
    STAMP.write_text(INSTALLING, encoding="utf-8")
    if fresh:
        say(f"making {VENV}, once: torch and what aebench needs beside it.")
        say(f"Up to 3 GB to download, {INSTALLED_GB} GB on disk, of {free_gb:.0f} GB free.")
        say("Elsewhere it took half a minute with uv, two minutes with pip.")
        make_venv()
    else:
        say(f"bringing {VENV} up to date.")
    install(lock)
    STAMP.write_text(stamp(venv_version()), encoding="utf-8")  # last, so a cut install is seen
    say(f"{VENV} is ready after {time.monotonic() - began:.0f} s.")


def clear_unusable():
    """True if the environment must be made; a half-made or broken one of ours is emptied first."""
    made_from, version = read_stamp(), venv_version()
    if made_from and made_from.split()[0] == version:
        return False
    found = sorted(VENV.iterdir()) if VENV.exists() else []
    if found and not made_from:
        stop(
            f"{VENV} is there and was not made by this file. Remove it, name another place in "
            f"AEBENCH_VENV, or use it as it is: AEBENCH_PYTHON={PYTHON}"
        )
    for path in found:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path != STAMP:  # the stamp stays, so that a cut here is seen too
            path.unlink()
    return True


def check_disk(free_gb, needed_gb):
    if free_gb < needed_gb:
        stop(
            f"needs {needed_gb:.1f} GB of free disk for {VENV}, and {free_gb:.1f} GB are free: "
            "make room, or name a place on another disk in AEBENCH_VENV."
        )


def make_venv():
    uv = shutil.which("uv")
    made = subprocess.run([sys.executable, "-m", "venv", VENV], capture_output=True)
    if made.returncode and uv:  # Debian's Python without python3-venv
        command = [uv, "venv", "--quiet", "--seed", "--allow-existing", "-p", sys.executable, VENV]
        made = subprocess.run(command)
    if made.returncode:
        package = f"python3.{sys.version_info[1]}-venv"
        stop(f"this Python cannot make an environment; on Debian: apt install {package}")


def install(lock):
    """Install the project, editable, with its extra `test`: by uv, and by pip where uv fails."""
    what = ["-e", ".[test]"] + (["-c", "constraints.txt"] if constrained() else [])
    pip = [PYTHON, "-m", "pip", "install"] + ([] if sys.stderr.isatty() else ["--quiet"])
    uv = [shutil.which("uv")]
    if not uv[0]:
        uv = [PYTHON, "-m", "uv"]
        watch([*pip, "uv"], lock)
    if watch([*uv, "pip", "install", "--python", PYTHON, *what], lock) == 0:
        return
    say("uv could not install here (it does not read all of pip's configuration): pip goes on,")
    say("slower, and with 4 GB more of passing downloads.")
    if watch([*pip, *what], lock) != 0:
        stop("the dependencies could not be installed; pip says above why.", 1)


def watch(command, lock):
    """Run an installer; give its exit status. Off a terminal, say now and then that it lives."""
    env = {**os.environ, "PIP_USER": "0", "PIP_DISABLE_PIP_VERSION_CHECK": "1", **pip_for_uv()}
    inherit = {} if os.name == "nt" else {"pass_fds": [lock.fileno()]}
    began, free = time.monotonic(), shutil.disk_usage(VENV).free
    child = subprocess.Popen(
        command, cwd=ROOT, env=env, stdin=subprocess.DEVNULL, stdout=sys.stderr, **inherit
    )
    try:
        while True:
            try:
                return child.wait(HEARTBEAT_S)
            except subprocess.TimeoutExpired:
                if not sys.stderr.isatty():
                    grown = max(0, free - shutil.disk_usage(VENV).free) / 1e9
                    took = time.monotonic() - began
                    say(f"still installing: {took:.0f} s, {grown:.1f} GB written so far ...")
    except KeyboardInterrupt:
        child.terminate()
        child.wait()
        raise


def pip_for_uv():
    """Pip's own index and certificate, under uv's names where uv has none yet."""
    config = [PYTHON, "-m", "pip", "config", "list"]
    listed = subprocess.run(config, capture_output=True, text=True).stdout
    pip = dict(re.findall(r"^(?:global|install|:env:)\.([a-z-]+)='(.*)'$", listed, re.MULTILINE))
    pairs = {"UV_DEFAULT_INDEX": pip.get("index-url"), "SSL_CERT_FILE": pip.get("cert")}
    return {name: value for name, value in pairs.items() if value and name not in os.environ}


def main():
    if len(sys.argv) == 1:
        sys.exit(print(__doc__))
    python = interpreter()
    if subprocess.run([python, "-c", "import nox"], stderr=subprocess.DEVNULL).returncode:
        stop(f"{python} has no nox. Without it: {python} -m pytest, or {python} -m aebench --help")
    command = [python, "-m", "nox", "-f", str(ROOT / "noxfile.py"), *sys.argv[1:]]
    if os.name == "nt":  # where execv returns to the shell before the command has ended
        sys.exit(subprocess.call(command))
    os.execv(python, command)


if __name__ == "__main__":
    main()

# ---- The sessions: read by nox, which main() started from the environment or the user called.

import nox  # noqa: E402

nox.options.sessions = []  # with none named, nox lists them
nox.options.default_venv_backend = "none"


def on_cores(session):
    """pytest's words for tests on several cores, where it can."""
    if not has(session, "xdist"):
        return []
    # Threads that wait actively take the core from the test beside.
    session.env.setdefault("OMP_WAIT_POLICY", "passive")
    return ["-n", str(min(os.cpu_count() or 1, TEST_PROCESSES)), "--dist", "worksteal"]


def module(session, *words):
    """Run `python -m WORDS`. On Ctrl-C nox waits for it: aebench finishes its running jobs."""
    session.run(interpreter(), "-m", *words, external=True, interrupt_timeout=None)


def time_suites(session, device, marker):
    session.env["AEBENCH_DEVICE"] = device
    words = ["bench", "--benchmark-only", "--benchmark-autosave", "-m", marker]
    module(session, "pytest", *words, *session.posargs)


def saved_runs():
    """Files that pytest-benchmark has saved in this checkout, oldest first."""
    return sorted((ROOT / ".benchmarks").glob("*/*.json"), key=lambda path: path.stat().st_mtime)


def has(session, name):
    """Whether the interpreter, which may be one that the user named, has the package."""
    code = f"import importlib.util; print(importlib.util.find_spec({name!r}) is not None)"
    return "True" in session.run(interpreter(), "-c", code, external=True, silent=True)


def add(session, extra, name):
    """Install an extra where its package `name` is missing; skip where nothing is installed."""
    if not has(session, name):
        if os.environ.get("AEBENCH_PYTHON"):
            session.skip(f"the extra `{extra}` is not there, and AEBENCH_PYTHON installs nothing")
        given = ["-c", "constraints.txt"] if constrained() else []
        module(session, "pip", "install", "--quiet", "-e", f".[{extra}]", *given)


def cxx():
    """The command of the C++ compiler whose sanitizers are used."""
    return shlex.split(os.environ.get("CXX", "")) or ["g++"]


def runtime(name):
    """Where the C++ compiler keeps one of its libraries; the bare name where it has none."""
    asked = [*cxx(), f"-print-file-name={name}"]
    return subprocess.run(asked, capture_output=True, text=True).stdout.strip()


def sanitizers():
    """The environment in which aebench compiles and runs its C++ with checks."""
    return {
        "CXX": shlex.join(cxx()),
        "AEBENCH_CXXFLAGS": SANITIZED,
        # Before Python itself, or they do not see its memory; with what they need to see a throw.
        "LD_PRELOAD": " ".join(map(runtime, ("libasan.so", "libstdc++.so"))),
        # Python and torch leave to the system what they hold at their end.
        "ASAN_OPTIONS": "detect_leaks=0",
        "UBSAN_OPTIONS": "print_stacktrace=1",
    }


def without_sanitizers():
    """Why the C++ cannot be checked while it runs; empty if it can."""
    command = cxx()
    if not shutil.which(command[0]):
        return f"there is no {command[0]}: install g++, or name it in the variable CXX"
    told = subprocess.run([*command, "--version"], capture_output=True, text=True).stdout
    if "clang" in told:
        return "CXX is clang, whose sanitizers are loaded otherwise: name g++ in the variable CXX"
    if not Path(runtime("libasan.so")).is_absolute():
        return f"{command[0]} comes without the sanitizer of memory, libasan.so"
    return ""


def skip_without_cuda(session):
    code = "import torch; print(torch.cuda.is_available())"
    if "True" not in session.run(interpreter(), "-c", code, external=True, silent=True):
        session.skip("torch finds no CUDA device on this machine")


@contextlib.contextmanager
def bytecode_kept(session):
    """Keep what Python compiles while tests run, though the user wants none beside the sources.

    Hundreds of processes load torch, and each would compile it anew, for seconds: uv, unlike pip,
    leaves that to whoever loads a package first.
    """
    if not os.environ.get("PYTHONDONTWRITEBYTECODE"):
        yield
        return
    with tempfile.TemporaryDirectory(prefix="aebench-bytecode-") as folder:
        session.env.update(PYTHONDONTWRITEBYTECODE="", PYTHONPYCACHEPREFIX=folder)
        yield


@nox.session
def quickstart(session):
    """Train the quick grid and render its report."""
    module(session, "aebench", "run", "--grid", "quick", "--report", *session.posargs)


@nox.session
def tests(session):
    """Run the quick tests on several cores; or, on one, what pytest makes of words behind `--`."""
    words = [*ALL_TESTS, *session.posargs] if session.posargs else on_cores(session)
    with bytecode_kept(session):
        module(session, "pytest", *words)


@nox.session(name="tests-slow")
def tests_slow(session):
    """Run the tests that take more than two seconds, on several cores; `--` as for tests."""
    words = session.posargs or on_cores(session)
    with bytecode_kept(session):
        module(session, "pytest", "-m", "slow and not cluster", *words)


@nox.session(name="tests-cluster")
def tests_cluster(session):
    """Run the tests that start clusters of Ray and of Slurm here; what follows `--` is pytest's."""
    add(session, "ray", "ray")
    add(session, "slurm", "submitit")
    with bytecode_kept(session):
        module(session, "pytest", "-m", "cluster", *CLUSTER_TESTS, *session.posargs)


@nox.session
def mutants(session):
    """Change the code step by step and count what the tests notice; `-- --help` says how."""
    add(session, "mutants", "cosmic_ray")
    session.env["OMP_WAIT_POLICY"] = "passive"
    session.run(interpreter(), "tests/mutants.py", *session.posargs, external=True)


@nox.session
def fuzz(session):
    """Fuzz what people give us; AEBENCH_FUZZ is the number of examples of each kind."""
    session.env["AEBENCH_FUZZ"] = os.environ.get("AEBENCH_FUZZ", "1000")
    names = sorted(path.name for path in (ROOT / "tests").glob("test_fuzz_*.py"))
    files = [f"tests/{name}" for name in names]
    module(session, "pytest", *ALL_TESTS, "--timeout", "0", *files, *session.posargs)


@nox.session
def sanitize(session):
    """Test the C++ with g++'s checks of memory and of undefined behaviour; skipped without them."""
    if reason := without_sanitizers():
        session.skip(reason)
    session.env.update(sanitizers())
    files = ("tests/test_engine_native.py", "tests/test_engine_native_chains.py")
    module(session, "pytest", *ALL_TESTS, "--timeout", "0", *files, *session.posargs)


@nox.session
def lint(session):
    """Check style and layout."""
    module(session, "ruff", "check", ".")
    module(session, "ruff", "format", "--check", ".")


@nox.session
def types(session):
    """Check the types of the package."""
    module(session, "mypy", *session.posargs)


@nox.session
def kills(session):
    """Kill runs at random moments and go on with them; `-- --rounds 10 --seed 2`."""
    session.run(
        interpreter(),
        str(ROOT / "tests" / "kills.py"),
        *session.posargs,
        external=True,
        env={"PYTHONPATH": str(ROOT)},
    )


@nox.session(name="bench-cpu")
def bench_cpu(session):
    """Time the suites in bench/ on the CPU."""
    time_suites(session, "cpu", "not cuda")


@nox.session(name="bench-cuda")
def bench_cuda(session):
    """Time the suites in bench/ on a CUDA device; skipped where there is none."""
    skip_without_cuda(session)
    time_suites(session, "cuda", "cuda")


@nox.session(name="bench-peers")
def bench_peers(session):
    """Time the loops of other projects beside ours; `-- --epochs 15 --repeats 6` to publish."""
    if os.environ.get("AEBENCH_DEVICE") == "cuda" or "cuda" in session.posargs:
        skip_without_cuda(session)
    module(session, "bench.peers", *session.posargs)


@nox.session(name="bench-compare")
def bench_compare(session):
    """Set the two last saved runs of the suites side by side, or those named after `--`."""
    runs = session.posargs or [str(path) for path in saved_runs()[-2:]]
    if len(runs) < 2:
        session.skip("fewer than two saved runs; bench-cpu and bench-cuda save one each")
    shown = ["--group-by=fullname", "--columns=median,iqr,rounds", "--sort=name"]
    module(session, "pytest_benchmark", "compare", *shown, *runs)


@nox.session
def reference(session):
    """Render the reference reports, and write README's figures, from the committed records."""
    module(session, "bench.reference")
