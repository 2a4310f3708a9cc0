"""Workers, seen from outside."""

from __future__ import annotations

import json
import re
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from .contenders import Contender
from .workload import Pair, Times, Workload

ROOT = Path(__file__).parent.parent


class ContenderError(Exception):
    """A contender cannot start, or has failed in a turn; the message says how."""


class WorkerProcess:
    """
    A process in which a contender takes turns; ended when its ``with`` block is left.

    :param contender: who
    :param python: of its environment
    :param backend: the event loop
    :raises ContenderError: if it does not start
    """

    def __init__(self, contender: Contender, python: Path, backend: str) -> None:
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115, closed by close()
        command = [str(python), "-m", f"{__package__}.worker"]
        command += [contender.adapter(backend), backend, contender.distribution or "-"]
        self._process = subprocess.Popen(
            command,
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )
        try:
            hello = self._read()
        except ContenderError:
            self.close()
            raise
        self.version: str | None = hello["version"]
        self.cannot: dict[str, str] = hello["cannot"]

    def take_turn(self, workload: str, items: int) -> tuple[Times, float | None]:
        """
        Do *workload* over *items* items.

        :return: the times in seconds, and the peak of the process's memory in MiB if known
        :raises ContenderError: if it failed; the process may be gone then, see :attr:`alive`
        """
        stdin = self._process.stdin
        assert stdin is not None
        try:
            print(json.dumps({"workload": workload, "items": items}), file=stdin, flush=True)
        except BrokenPipeError:
            raise ContenderError("has ended") from None
        answer = self._read()
        return Times(answer["cpu"], answer["wall"]), answer["peak"]

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._errors):
            if stream is not None:
                stream.close()

    def __enter__(self) -> WorkerProcess:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._process.wait()
            self._errors.seek(0)
            lines = self._errors.read().strip().splitlines() or ["no message"]
            timeouts = [line for line in lines if line.startswith("Timeout")]
            raise ContenderError("took too long" if timeouts else f"died: {public(lines[-1])}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise ContenderError(public(answer["error"]))
        return answer


def public(message: str) -> str:
    """Leave out the paths of this machine: messages are published."""
    return re.sub(r"\s*\(?/\S+", "", message)


class Workers:
    """
    A worker for each contender that has this event loop; ended when the ``with`` block is left.

    :param contenders: who takes part, and the Python of each environment
    :param backend: the event loop
    """

    def __init__(self, contenders: dict[str, tuple[Contender, Path]], backend: str) -> None:
        self._contenders = contenders
        self._backend = backend
        self._workers: dict[str, WorkerProcess] = {}
        self.missing: dict[str, str] = {}
        """Who could not be started, and why."""
        for name, (contender, _) in contenders.items():
            if backend in contender.backends:
                try:
                    self._workers[name] = self.fresh(name)
                except ContenderError as error:
                    self.missing[name] = str(error)
        self.versions = {name: worker.version for name, worker in self._workers.items()}
        self.cannot = {name: worker.cannot for name, worker in self._workers.items()}

    def fresh(self, contender: str) -> WorkerProcess:
        """
        Start one more process for *contender*.

        :raises ContenderError: if it does not start
        """
        return WorkerProcess(*self._contenders[contender], self._backend)

    def pairs(self, workload: Workload) -> list[Pair]:
        """List who takes turns when *workload* is measured."""
        can = [name for name in self._workers if workload.needs not in self.cannot[name]]
        pairs = [Pair(name, workload.name) for name in can]
        others = [workload.baseline, *workload.beside]
        pairs += [pair for pair in others if pair and pair.contender in self._workers]
        return list(dict.fromkeys(pairs))

    def take_turn(self, pair: Pair, items: int) -> tuple[Times, float | None]:
        """
        Let a contender take its turn.

        :raises ContenderError: if it failed
        """
        if not self._workers[pair.contender].alive:
            self.end(pair.contender)
            self._workers[pair.contender] = self.fresh(pair.contender)
        return self._workers[pair.contender].take_turn(pair.workload, items)

    def end(self, contender: str) -> None:
        """End a contender's process; its next turn is in a fresh one."""
        self._workers[contender].close()

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *exc_info: object) -> None:
        for worker in self._workers.values():
            worker.close()
