"""What a fault is, and how it gets into a copy of the package."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
PACKAGE = ROOT / "src" / "conveyor"


class FaultError(Exception):
    """A fault does not fit the code any more."""


@dataclass(frozen=True)
class Fault:
    """
    One mistake that somebody could make in the code.

    :ivar name: says what goes wrong
    :ivar file: inside the package
    :ivar old: text that stands there exactly once
    :ivar new: what the mistake makes of it
    :ivar tests: at least one of these must fail: ``file`` or ``file::test``, below ``tests``
    :ivar simulated: whether the random runs of ``tests/test_simulation.py`` must find it too
    """

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]
    simulated: bool = False

    def apply(self, source: str) -> str:
        """
        Return *source* with the mistake made.

        :param source: of the file
        :raises FaultError: if the text is not there exactly once, or nothing would change
        """
        count = source.count(self.old)
        if count != 1:
            raise FaultError(
                f"fault {self.name!r}: its text is {count} times in {self.file}, not once; adapt "
                f"the fault to the code as it is now:\n{self.old}"
            )
        if self.old == self.new:
            raise FaultError(f"fault {self.name!r} changes nothing")
        return source.replace(self.old, self.new)

    def inject(self, package: Path) -> None:
        """
        Make the mistake in a copy of the package.

        :param package: the copy
        :raises FaultError: if it does not fit the code
        """
        path = package / self.file
        path.write_text(self.apply(path.read_text(encoding="utf-8")), encoding="utf-8")
