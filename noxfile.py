"""Everything there is to run: ``nox -l`` lists it, ``nox -s NAME -- ARGUMENTS`` runs one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import nox

nox.needs_version = ">=2025.2.9"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.sessions = ["lint", "typing", "tests", "docs"]

PYPROJECT = nox.project.load_toml("pyproject.toml")
RUNNING = f"{sys.version_info.major}.{sys.version_info.minor}"
# On all processors; with -X dev for what asyncio and the interpreter check only then.
PYTEST = ["python", "-X", "dev", "-m", "pytest", "--numprocesses=auto"]


def dependencies(group: str) -> list[str]:
    """Return the requirements of a dependency group in ``pyproject.toml``."""
    return list(nox.project.dependency_groups(PYPROJECT, group))


def oldest_versions() -> list[str]:
    """Pin what the package requires, its extras included, to the lower bounds."""
    project = PYPROJECT["project"]
    lists = [project["dependencies"], *project["optional-dependencies"].values()]
    return [requirement.replace(">=", "==", 1) for each in lists for requirement in each]


def find_python(version: str) -> Path | None:
    """Find an interpreter that really is *version*: on PATH, or one of pyenv's that is not."""
    name = f"python{version}"
    found = [Path(sys.base_prefix, "bin", name)] if version == RUNNING else []
    if on_path := shutil.which(name):
        found.append(Path(on_path))
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    found += sorted(pyenv.glob(f"versions/{version}.*/bin/{name}"), reverse=True)
    return next((path for path in found if runs(path, version)), None)


def runs(path: Path, version: str) -> bool:
    # A pyenv shim is there for every version and fails for those that are not selected.
    program = "import sys; print('%d.%d' % sys.version_info[:2])"
    try:
        result = subprocess.run([path, "-c", program], capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return result.returncode == 0 and result.stdout.strip() == version


def offered_pythons() -> list[str]:
    """
    List the versions to test: those of the classifiers that this machine has, and the running one.

    Puts where they were found in front of PATH, where nox looks for them.
    """
    pythons = {version: find_python(version) for version in nox.project.python_versions(PYPROJECT)}
    pythons.setdefault(RUNNING, find_python(RUNNING))
    directories = [str(path.parent) for path in pythons.values() if path]
    os.environ["PATH"] = os.pathsep.join([*directories, os.environ.get("PATH", os.defpath)])
    return [version for version, path in pythons.items() if path or version == RUNNING]


@nox.session
def demo(session: nox.Session) -> None:
    """Index the standard library and search it; arguments go to the example."""
    session.install(".[rich,trio]")
    example = ["python", "examples/index_stdlib.py"]
    if session.posargs:
        session.run(*example, *session.posargs)
        return
    session.run(*example)
    # The same once more on Trio, over one package and into a database of its own.
    package = os.path.join(sysconfig.get_path("stdlib"), "asyncio")
    database = os.path.join(session.create_tmp(), "asyncio.sqlite")
    session.run(*example, "--backend", "trio", "--path", package, "--database", database)


PYTHONS = offered_pythons()
EAGER_PYTHONS = [version for version in PYTHONS if tuple(map(int, version.split("."))) >= (3, 12)]
# What eager tasks could upset; everything else runs the same code.
EAGER_TESTS = [
    "tests/test_cancellation.py",
    "tests/test_context.py",
    "tests/test_data.py",
    "tests/test_errors.py",
    "tests/test_generators.py",
    "tests/test_isolation.py",
    "tests/test_shutdown.py",
    "tests/test_side_inputs.py",
    "tests/test_streams.py",
]


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """Run the test suite on both backends and all processors; arguments go to pytest."""
    session.install(".", *dependencies("test"))
    session.run(*PYTEST, *session.posargs)


@nox.session(python=PYTHONS[:1])
def oldest(session: nox.Session) -> None:
    """Run the test suite with the oldest supported AnyIO and Trio; arguments go to pytest."""
    session.install(".", *oldest_versions(), *dependencies("test"))
    session.run(*PYTEST, *session.posargs)


@nox.session(python=EAGER_PYTHONS or None)
def eager(session: nox.Session) -> None:
    """Run tests with tasks that begin inside the call that makes them; arguments go to pytest."""
    if not EAGER_PYTHONS:
        session.skip("asyncio.eager_task_factory came with Python 3.12")
    session.install(".", *dependencies("test"))
    options = ["--eager", "-k", "not trio"]
    session.run(*PYTEST, *options, *(session.posargs or EAGER_TESTS))


@nox.session
def mutants(session: nox.Session) -> None:
    """Prove that the tests find every fault of a list; arguments go to ``tests/mutants``."""
    session.install(".", *dependencies("test"))
    session.env["PYTHONPATH"] = "tests"
    session.run("python", "-m", "mutants", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style, formatting and that every public name is documented."""
    session.install(*dependencies("lint"))
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("interrogate", "src")


@nox.session
def typing(session: nox.Session) -> None:
    """Let both type checkers accept what is right and reject what is wrong."""
    session.install(".", *dependencies("typing"))
    # Use the pyright that was installed; do not ask the network whether there is a newer one.
    session.env["PYRIGHT_PYTHON_IGNORE_WARNINGS"] = "1"
    session.run("mypy")
    session.run("pyright")
    session.run("pyright", "--verifytypes", "conveyor", "--ignoreexternal")
    session.run("python", "tests/typing/check_rejected.py")


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documentation into ``docs/_build``; every warning is an error."""
    session.install(".", *dependencies("docs"))
    session.run("sphinx-build", "-W", "-n", "--keep-going", "-b", "html", "docs", "docs/_build")


@nox.session
def bench(session: nox.Session) -> None:
    """Compare Conveyor with its peers; arguments go to the suite: ``nox -s bench -- --quick``."""
    session.install(".", *dependencies("bench"))
    # The peers' environments outlive the session's own.
    environments = session.cache_dir / "bench"
    session.run("python", "-m", "benchmarks", f"--environments={environments}", *session.posargs)


@nox.session
def soak(session: nox.Session) -> None:
    """Run what takes long; arguments (--seeds, --start, --backend, --seed) go to the simulation."""
    session.install(".", *dependencies("test"))
    if not session.posargs:
        session.run("python", "-m", "pytest", "-m", "soak")
    with session.chdir("tests"):
        session.run("python", "-m", "simulation", *session.posargs)
