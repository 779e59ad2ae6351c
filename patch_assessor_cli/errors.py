"""What goes wrong in a command, and what its exit code says."""

from enum import IntEnum


class ExitCode(IntEnum):
    """The exit codes; 2 is a wrong command line."""

    DONE = 0
    FAILED = 1
    WRONG_USAGE = 2
    INTERRUPTED = 130
    TERMINATED = 143


class CommandError(Exception):
    """A command can't do what it was asked to.

    Attributes:
        sentence: What is wrong and, where there is one, the way out; complete sentences.
        exit_code: What the command ends with.
    """

    def __init__(self, sentence: str, exit_code: ExitCode = ExitCode.FAILED) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.exit_code = exit_code
