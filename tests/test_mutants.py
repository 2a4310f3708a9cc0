"""The list of faults fits the code as it is: each can still be made, in exactly one place."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from mutants.fault import PACKAGE, ROOT, Fault, FaultError
from mutants.faults import FAULTS


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_every_fault_fits_the_code(fault: Fault) -> None:
    """Its text occurs exactly once, and what it makes of it compiles."""
    source = (PACKAGE / fault.file).read_text(encoding="utf-8")
    compile(fault.apply(source), fault.file, "exec")


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_every_fault_names_tests_that_exist(fault: Fault) -> None:
    """A test that was renamed is renamed in the list."""
    assert fault.tests
    for test in fault.tests:
        path, _, name = test.partition("::")
        text = Path(ROOT, "tests", path).read_text(encoding="utf-8")
        assert not name or re.search(rf"^(async )?def {name}\(", text, re.MULTILINE), test


def test_faults_have_different_names() -> None:
    """A name stands for one fault."""
    assert [
        name for name, count in Counter(each.name for each in FAULTS).items() if count > 1
    ] == []


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("x", "y", "fault 'f': its text is 2 times in file.py, not once; adapt the fault"),
        ("z", "y", "fault 'f': its text is 0 times in file.py, not once; adapt the fault"),
        ("1", "1", "fault 'f' changes nothing"),
    ],
)
def test_a_fault_that_does_not_fit_is_refused(old: str, new: str, message: str) -> None:
    """The error says which fault it is and what to do."""
    with pytest.raises(FaultError, match=f"^{re.escape(message)}"):
        Fault("f", "file.py", old, new, ("test_x.py",)).apply("x = 1\nx\n")
