"""conveyor.testing: virtual time, repeatable schedules, and runs that would never end."""

from __future__ import annotations

import os
import random
import re
import subprocess
import sys
import threading
import time
from typing import Any

import anyio
import anyio.to_thread
import pytest
import trio
from anyio.lowlevel import checkpoint
from anyio.to_thread import run_sync

from conveyor import Pipeline, single_task, testing
from conveyor.testing import trio_internals
from test_docs import ROOT

BACKENDS = pytest.mark.parametrize("backend", ["asyncio", "trio"])
SEEDS = pytest.mark.parametrize("seed", [None, 0, 1])


async def steps(tasks: int = 5) -> str:
    """Return the order in which some tasks took their steps, woken in four ways."""
    order: list[int] = []

    async def worker(number: int) -> None:
        for _ in range(3):
            await checkpoint()
            order.append(number)
        await anyio.sleep(1)
        order.append(number)
        with anyio.move_on_after(2):
            await anyio.sleep_forever()
        order.append(number)

    async with anyio.create_task_group() as group:
        for number in range(tasks):
            group.start_soon(worker, number)
    return "".join(map(str, order))


@BACKENDS
@SEEDS
def test_a_run_is_in_virtual_time(backend: str, seed: int | None) -> None:
    """The clock begins at 0.0, and hours take no time."""

    async def main(hours: int) -> float:
        assert anyio.current_time() == 0.0
        await anyio.sleep(3600 * hours)
        return anyio.current_time()

    began = time.monotonic()
    assert testing.run(main, 5, backend=backend, seed=seed) == 18000.0
    assert time.monotonic() - began < 5


@BACKENDS
def test_a_seed_fixes_the_schedule(backend: str) -> None:
    """The same seed gives the same order of steps, different seeds different ones."""
    orders = [testing.run(steps, backend=backend, seed=seed) for seed in range(8)]
    assert orders == [testing.run(steps, backend=backend, seed=seed) for seed in range(8)]
    assert len(set(orders)) == 8


@BACKENDS
def test_a_seed_fixes_the_schedule_in_every_process(backend: str) -> None:
    """Neither hash seeds nor addresses have a part in the order of steps."""
    program = (
        "from test_testing_run import steps; from conveyor import testing; "
        f"print(*[testing.run(steps, backend={backend!r}, seed=seed) for seed in range(3)])"
    )
    outputs: set[str] = set()
    for hash_seed in ("1", "2", "3"):
        path = os.pathsep.join([str(ROOT / "tests"), *sys.path])
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": path}
        command = [sys.executable, "-c", program]
        outputs.add(subprocess.check_output(command, env=environment, text=True))
    assert outputs == {
        " ".join(testing.run(steps, backend=backend, seed=seed) for seed in range(3)) + "\n"
    }


def test_without_a_seed_asyncio_goes_first_come_first_served() -> None:
    """The loop's own order is left as it is."""
    assert testing.run(steps, 3).startswith("012012012012")


def test_callbacks_keep_their_order() -> None:
    """What asyncio promises, and what its users count on, holds on every schedule."""
    import asyncio

    async def main() -> None:
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        called: list[int] = []
        for number in range(5):
            future.add_done_callback(lambda _, number=number: called.append(number))
        for number in range(5, 10):
            loop.call_soon(called.append, number)
        loop.call_soon(future.set_result, None)
        await future
        assert called == [5, 6, 7, 8, 9, 0, 1, 2, 3, 4]

    testing.shake(main, backends=["asyncio"])


@BACKENDS
@SEEDS
@pytest.mark.parametrize("shield", [False, True])
def test_a_deadlock_ends(backend: str, seed: int | None, shield: bool) -> None:
    """When nothing can run any more, the run ends and says where the tasks wait, shields or not."""

    async def waits_in_vain() -> None:
        with anyio.CancelScope(shield=shield):
            await anyio.Event().wait()

    async def main() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(waits_in_vain)

    with pytest.raises(testing.DeadlockError) as caught:
        testing.run(main, backend=backend, seed=seed)
    message = str(caught.value)
    assert message.startswith("deadlock: no task can run and no timer is set; the tasks are at\n")
    assert "waits_in_vain:" in message
    assert "__aexit__:" in message


@BACKENDS
@SEEDS
@pytest.mark.parametrize("shield", [False, True])
def test_a_livelock_ends(backend: str, seed: int | None, shield: bool) -> None:
    """After so many turns the run ends and says where the tasks are, shields or not."""

    async def spins() -> None:
        with anyio.CancelScope(shield=shield):
            while True:
                await checkpoint()

    async def main() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(spins)

    with pytest.raises(testing.TickLimitError, match=r"no end after 300 turns(.|\n)* spins:"):
        testing.run(main, backend=backend, seed=seed, max_ticks=300)


@BACKENDS
@SEEDS
@pytest.mark.parametrize("function", [run_sync, lambda *args: anyio.to_thread.run_sync(*args)])
def test_threads_hold_the_clock(backend: str, seed: int | None, function: Any) -> None:
    """No timer fires while a worker thread works, however its function was imported."""

    async def main() -> None:
        released = threading.Event()
        with anyio.fail_after(60):
            threading.Timer(0.05, released.set).start()
            assert await function(released.wait, 5)
        assert anyio.current_time() == 0.0

    testing.run(main, backend=backend, seed=seed)


@BACKENDS
def test_a_run_leaves_the_backends_as_they_were(backend: str) -> None:
    """Neither AnyIO nor Trio is changed once the run has ended, even by an error."""
    from anyio._backends import _asyncio, _trio

    methods = [
        module.backend_class.__dict__["run_sync_in_worker_thread"] for module in (_asyncio, _trio)
    ]
    state = [getattr(trio._core._run, name) for name in trio_internals._VARIABLES]

    async def main() -> None:
        raise KeyError

    with pytest.raises(KeyError):
        testing.run(main, backend=backend, seed=1)
    assert state == [getattr(trio._core._run, name) for name in trio_internals._VARIABLES]
    assert methods == [
        module.backend_class.__dict__["run_sync_in_worker_thread"] for module in (_asyncio, _trio)
    ]
    assert isinstance(state[0], random.Random)


def test_a_trio_without_the_names_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Should Trio choose the order in another way one day, a seed is refused."""
    monkeypatch.setattr(trio_internals, "_VARIABLES", ("_r", "_s", "_t"))
    with pytest.raises(RuntimeError) as caught:
        testing.run(steps, backend="trio", seed=1)
    assert str(caught.value) == (
        f"seed= does not work on Trio {trio.__version__}: trio._core._run has no _s and no _t; "
        "run without a seed, or on asyncio"
    )


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"backend": "curio"}, ValueError("backend must be 'asyncio' or 'trio', got 'curio'")),
        ({"max_ticks": 0}, ValueError("max_ticks must be at least 1, got 0")),
        (
            {"seed": "one"},
            TypeError("seed must be an integer, as in seed=1, or None; got a str"),
        ),
    ],
)
def test_wrong_arguments_are_errors(arguments: dict[str, Any], error: Exception) -> None:
    """What was wrong is said before anything runs."""
    with pytest.raises(type(error)) as caught:
        testing.run(steps, **arguments)
    assert str(caught.value) == str(error)


async def racy() -> None:
    """Two tasks that read, let go and write."""
    count = 0

    async def increment() -> None:
        nonlocal count
        before = count
        if before == 0:
            await checkpoint()
        count = before + 1

    async with anyio.create_task_group() as group:
        group.start_soon(increment)
        await checkpoint()
        await checkpoint()
        group.start_soon(increment)
    assert count == 2


@BACKENDS
def test_shaking_finds_a_race(backend: str) -> None:
    """What goes well first come, first served fails on some schedule, and the note says which."""
    testing.run(racy)
    with pytest.raises(AssertionError) as caught:
        testing.shake(racy, backends=[backend])
    (note,) = caught.value.__notes__
    assert note.startswith(f"on the schedule of backend={backend!r}, seed=")
    replay = note.partition("; to see it again, ")[2]
    assert replay.startswith(f"conveyor.testing.run(racy, backend={backend!r}, seed=")
    with pytest.raises(AssertionError):
        eval(replay.removeprefix("conveyor."), {"testing": testing, "racy": racy})


def test_shaking_runs_every_seed_on_every_backend() -> None:
    """A function that holds is run once for each, with its arguments."""
    runs: list[tuple[str, str]] = []

    async def record(word: str) -> None:
        try:
            trio.lowlevel.current_task()
        except RuntimeError:
            runs.append((word, "asyncio"))
        else:
            runs.append((word, "trio"))

    testing.shake(record, "x", seeds=iter(range(3)))
    assert runs == [("x", "asyncio")] * 3 + [("x", "trio")] * 3


@pytest.mark.parametrize("nothing", [{"seeds": []}, {"backends": []}])
def test_shaking_nothing_is_an_error(nothing: dict[str, Any]) -> None:
    """A test that runs nothing would pass for ever."""
    with pytest.raises(ValueError, match="needs at least one seed and one backend"):
        testing.shake(steps, **nothing)


def test_a_pipeline_holds_on_every_schedule() -> None:
    """Results come in order and the source is closed, whatever the order of steps."""

    @single_task(concurrency_limit=3)
    async def later(item: int) -> int:
        await anyio.sleep(item % 3)
        return item

    async def main() -> None:
        assert await (later | Pipeline() | later)(range(20)).collect() == list(range(20))

    testing.shake(main, seeds=range(50))


def test_importing_the_kit_imports_no_backend_and_no_pytest() -> None:
    """The kit needs Trio only to run something there, and ``conveyor`` never needs the kit."""
    program = (
        "import sys, conveyor; assert 'conveyor.testing' not in sys.modules; "
        "import conveyor.testing; print({'trio', 'pytest', '_pytest'} & set(sys.modules))"
    )
    command = [sys.executable, "-c", program]
    assert subprocess.check_output(command, text=True).strip() == "set()"


def test_everything_in_the_kit_is_documented() -> None:
    """Each public name is in the reference, and has a docstring."""
    page = (ROOT / "docs" / "api.rst").read_text(encoding="utf-8")
    documented = re.findall(r"^\.\. auto\w+:: conveyor\.testing\.(\w+)$", page, re.MULTILINE)
    assert sorted(documented) == testing.__all__
    assert all(getattr(testing, name).__doc__ for name in testing.__all__)
