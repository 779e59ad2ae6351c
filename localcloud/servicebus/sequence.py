"""Sequence numbers: one rising series for each queue, topic and subscription."""


class SequenceNumbers:
    """Gives out 1, 2, 3 and so on."""

    def __init__(self) -> None:
        self.next = 1
        """The number that `take` will give next."""

    def take(self) -> int:
        """The next number, once."""
        number = self.next
        self.next += 1
        return number

    def skip_to(self, number: int) -> None:
        """Never give out a number below this one."""
        self.next = max(self.next, number)
