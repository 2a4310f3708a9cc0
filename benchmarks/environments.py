"""A virtual environment for each library, made once and kept."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from .contenders import Contender


class InstallationError(Exception):
    """A library cannot be installed; the message is the installer's last line."""


def python_for(contender: Contender, directory: Path) -> Path:
    """
    Return the interpreter that has *contender*, after making its environment if need be.

    :param contender: who
    :param directory: where environments are kept
    :raises InstallationError: if that fails
    """
    if not contender.is_peer:
        return Path(sys.executable)
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    home = directory / f"{contender.module}-{version}"
    python = home / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    # Written last: an environment without it, or with another content, is made anew.
    marker = home / "installed.json"
    wanted = json.dumps([sys.version, *contender.requirements])
    if marker.exists() and marker.read_text() == wanted:
        return python
    print(f"installing {contender.name} …", file=sys.stderr, flush=True)
    shutil.rmtree(home, ignore_errors=True)
    run([sys.executable, "-m", "venv", str(home)])
    run([str(python), "-m", "pip", "install", "--quiet", *contender.requirements])
    marker.write_text(wanted)
    return python


def run(command: list[str]) -> None:
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode:
        lines = (result.stderr or result.stdout).strip().splitlines() or ["no message"]
        raise InstallationError(lines[-1])
