"""What may go wrong for the floor: anything at all, for it repeats nothing."""


class FloorError(Exception):
    """The exchange did not go as it has to.

    Attributes:
        step: Which call or part of it.
        answer: What came instead.
    """

    def __init__(self, step: str, answer: str) -> None:
        super().__init__(f"{step}: {answer}")
        self.step = step
        self.answer = answer
