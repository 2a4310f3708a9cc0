"""The states of a circuit breaker, event by event."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from conveyor._engine.circuit import Circuit

BEFORE = 9.75


def opened() -> Circuit:
    """A circuit that has opened at 0, for 10 seconds, after two failures."""
    circuit = Circuit(failures=2, reset_after=10)
    for _ in range(2):
        circuit.fail(circuit.begin(), 0)
    return circuit


def states(circuit: Circuit, now: float) -> tuple[str, bool]:
    return circuit.state(now), circuit.may_begin(now)


def test_failures_in_a_row_open_it() -> None:
    """As many as it says; a success in between begins the count anew."""
    circuit = Circuit(failures=2, reset_after=10)
    for events in ("fsfsf", "sf"):
        for event in events:
            number = circuit.begin()
            circuit.succeed(number) if event == "s" else circuit.fail(number, 5)
            assert states(circuit, 5) == ("closed", True)
    assert circuit.fail(circuit.begin(), 5)
    assert states(circuit, 5) == ("open", False)
    assert circuit.changes_at == 15


def test_it_half_opens_by_the_time_alone() -> None:
    """To the instant, and for one call."""
    circuit = opened()
    assert states(circuit, BEFORE) == ("open", False)
    assert states(circuit, 10) == ("half_open", True)
    assert not circuit.on_trial
    circuit.begin()
    assert states(circuit, 10) == ("half_open", False)
    assert states(circuit, 99) == ("half_open", False)
    assert (circuit.on_trial, circuit.changes_at) == (True, float("inf"))


def test_a_trial_that_succeeds_closes_it() -> None:
    """And it takes as many failures as before to open it again."""
    circuit = opened()
    assert circuit.succeed(circuit.begin())
    assert states(circuit, 12) == ("closed", True)
    assert not circuit.fail(circuit.begin(), 12)
    assert states(circuit, 12) == ("closed", True)
    assert circuit.fail(circuit.begin(), 12)
    assert states(circuit, 12) == ("open", False)


def test_a_trial_that_fails_opens_it_again() -> None:
    """At once, and for the whole time from now on."""
    circuit = opened()
    assert circuit.fail(circuit.begin(), 12)
    assert states(circuit, 12 + BEFORE) == ("open", False)
    assert states(circuit, 22) == ("half_open", True)


def test_a_trial_that_tells_nothing_gives_its_place_to_the_next() -> None:
    """What comes of it afterwards is ignored."""
    circuit = opened()
    first = circuit.begin()
    assert circuit.leave(first)
    assert states(circuit, 10) == ("half_open", True)
    second = circuit.begin()
    assert not circuit.leave(first)
    assert not circuit.fail(first, 10)
    assert not circuit.succeed(first)
    assert states(circuit, 10) == ("half_open", False)
    assert circuit.succeed(second)
    assert states(circuit, 10) == ("closed", True)


def test_stragglers_tell_nothing() -> None:
    """Calls that began before it opened neither close it, nor open it again later."""
    circuit = Circuit(failures=2, reset_after=10)
    numbers = [circuit.begin() for _ in range(6)]
    for number in numbers[:2]:
        circuit.fail(number, 0)
    assert not circuit.succeed(numbers[2])
    assert not circuit.fail(numbers[3], 5)
    assert states(circuit, 5) == ("open", False)
    assert circuit.changes_at == 10
    trial = circuit.begin()
    assert not circuit.succeed(numbers[4])
    assert states(circuit, 10) == ("half_open", False)
    circuit.succeed(trial)
    circuit.fail(circuit.begin(), 10)
    assert not circuit.fail(numbers[5], 10)
    assert states(circuit, 10) == ("closed", True)


def test_who_has_told_may_leave() -> None:
    """Nothing changes by it, nor by a call that leaves a closed circuit."""
    circuit = opened()
    trial = circuit.begin()
    circuit.succeed(trial)
    assert not circuit.leave(trial)
    number = circuit.begin()
    assert not circuit.leave(number)
    circuit.fail(number, 0)
    assert circuit.fail(number, 0)
    assert states(circuit, 0) == ("open", False)


def test_it_goes_on_by_another_clock() -> None:
    """As if no time had passed between the two."""
    circuit = opened()
    circuit.change_clock(4, 1000)
    assert states(circuit, 1000 + 5.75) == ("open", False)
    assert states(circuit, 1000 + 6) == ("half_open", True)


@given(
    st.integers(1, 3),
    st.lists(st.tuples(st.sampled_from("bsfl"), st.integers(0, 5)), max_size=60),
)
def test_it_does_what_is_said_of_it(failures: int, events: list[tuple[str, int]]) -> None:
    """Calls begin, and end in any order and manner, while the time goes on; by a plain model."""
    circuit = Circuit(failures, reset_after=3)
    running: list[tuple[int, int]] = []  # numbers, and the state's age when they began
    state, count, until, trial, age = "closed", 0, 0, False, 0
    for now, (event, which) in enumerate(events):
        if state == "open" and now >= until:
            state = "half_open"
        assert states(circuit, now) == (
            state,
            state == "closed" or (state == "half_open" and not trial),
        )
        if event == "b":
            if not circuit.may_begin(now):
                continue
            if state == "half_open":
                trial = True
                age += 1
            running.append((circuit.begin(), age))
        elif running:
            number, begun = running.pop(which % len(running))
            counts = begun == age
            if event == "s":
                circuit.succeed(number)
                if counts:
                    age += state != "closed"
                    state, count, trial = "closed", 0, False
            elif event == "f":
                circuit.fail(number, now)
                count += counts and state == "closed"
                if counts and (state == "half_open" or count == failures):
                    state, count, until, trial, age = "open", 0, now + 3, False, age + 1
            else:
                circuit.leave(number)
                if counts and state == "half_open":
                    trial, age = False, age + 1
