"""What a SQL filter consists of, and what each part says of a message.

Truth has three values, as the service documents it: True, False, and None for unknown, which a
property that isn't there makes of every comparison and calculation
(https://learn.microsoft.com/azure/service-bus-messaging/service-bus-messaging-sql-filter).
Numbers calculate as C#'s do: whole numbers divide to whole numbers. Left out: C#'s overflow.
"""

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import fmod
from typing import Final

from localcloud.servicebus.message import Message

Value = str | int | float | bool | None
Truth = bool | None


class FilterEvaluationError(Exception):
    """The filter can't be evaluated on this message: the service's FilterException.

    Attributes:
        problem: what was asked of which kinds of values.
    """

    def __init__(self, problem: str) -> None:
        super().__init__(problem)
        self.problem = problem


@dataclass(frozen=True, slots=True)
class Constant:
    """A literal."""

    constant: Value

    def value(self, message: Message) -> Value:  # noqa: ARG002 - the same for every message
        """The literal."""
        return self.constant


@dataclass(frozen=True, slots=True)
class UserProperty:
    """An application property; its name ignores case."""

    name: str

    def value(self, message: Message) -> Value:
        """What the sender wrote."""
        folded = self.name.lower()
        for name, value in message.application.items():
            if name.lower() == folded:
                return value if isinstance(value, str | int | float | bool | None) else str(value)
        return None


@dataclass(frozen=True, slots=True)
class SystemProperty:
    """One of the message's standard properties, under AMQP's name."""

    name: str

    def value(self, message: Message) -> Value:
        """What the sender wrote."""
        return message.system_property(self.name)


@dataclass(frozen=True, slots=True)
class NamedProperty:
    """`property(name)`: the application property that an expression names."""

    name: "Expression"

    def value(self, message: Message) -> Value:
        """That property's value."""
        name = self.name.value(message)
        if not isinstance(name, str):
            raise FilterEvaluationError("property() takes a text")
        return UserProperty(name).value(message)


def _quotient(left: float, right: float) -> float:
    if right == 0:
        raise FilterEvaluationError("division by zero")
    if isinstance(left, int) and isinstance(right, int):
        quotient = abs(left) // abs(right)
        return quotient if (left < 0) == (right < 0) else -quotient
    return left / right


def _remainder(left: float, right: float) -> float:
    if isinstance(left, int) and isinstance(right, int):
        return left - right * int(_quotient(left, right))
    if right == 0:
        raise FilterEvaluationError("division by zero")
    return fmod(left, right)


_ARITHMETIC: Final[Mapping[str, Callable[[float, float], float]]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": _quotient,
    "%": _remainder,
}


def _is_number(value: Value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """Two numbers and `+ - * / %`; `+` joins texts too."""

    sign: str
    left: "Expression"
    right: "Expression"

    def value(self, message: Message) -> Value:
        """The result; unknown if either side is."""
        left, right = self.left.value(message), self.right.value(message)
        if left is None or right is None:
            return None
        if self.sign == "+" and isinstance(left, str) and isinstance(right, str):
            return left + right
        if isinstance(left, str) or isinstance(right, str) or not _are_numbers(left, right):
            raise FilterEvaluationError(f"{self.sign} takes numbers")
        return _ARITHMETIC[self.sign](left, right)


@dataclass(frozen=True, slots=True)
class Negative:
    """A number with its sign changed."""

    operand: "Expression"

    def value(self, message: Message) -> Value:
        """The result; unknown if the operand is."""
        value = self.operand.value(message)
        if value is None:
            return None
        if isinstance(value, str | bool):
            raise FilterEvaluationError("- takes a number")
        return -value


_COMPARISONS: Final[Mapping[str, Callable[[str | float, str | float], bool]]] = {
    "=": operator.eq,
    "<>": operator.ne,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def _are_numbers(left: Value, right: Value) -> bool:
    return _is_number(left) and _is_number(right)


def _compare(sign: str, left: Value, right: Value) -> Truth:
    if left is None or right is None:
        return None
    both_text = isinstance(left, str) and isinstance(right, str)
    both_flags = isinstance(left, bool) and isinstance(right, bool)
    if both_flags and sign not in ("=", "<>", "!="):
        raise FilterEvaluationError(f"{sign} does not compare booleans")
    if not (both_text or both_flags or _are_numbers(left, right)):
        raise FilterEvaluationError(f"{sign} compares values of one kind")
    return _COMPARISONS[sign](left, right)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two values and `= <> != < <= > >=`; texts compare by their characters' codes."""

    sign: str
    left: "Expression"
    right: "Expression"

    def truth(self, message: Message) -> Truth:
        """Unknown if either side is."""
        return _compare(self.sign, self.left.value(message), self.right.value(message))


@dataclass(frozen=True, slots=True)
class IsNull:
    """`IS NULL`: the property isn't there, or has no value."""

    operand: "Expression"

    def truth(self, message: Message) -> Truth:
        """Never unknown."""
        return self.operand.value(message) is None


@dataclass(frozen=True, slots=True)
class Exists:
    """`EXISTS (property)`: the sender wrote it, even without a value."""

    operand: UserProperty | SystemProperty

    def truth(self, message: Message) -> Truth:
        """Never unknown."""
        if isinstance(self.operand, SystemProperty):
            return self.operand.value(message) is not None
        folded = self.operand.name.lower()
        return any(name.lower() == folded for name in message.application)


@dataclass(frozen=True, slots=True)
class In:
    """`IN (…)`: the value is one of a list."""

    left: "Expression"
    choices: Sequence["Expression"]

    def truth(self, message: Message) -> Truth:
        """Unknown if the left side is, or if only an unknown choice could have been it."""
        left = self.left.value(message)
        if left is None:
            return None
        found = [_compare("=", left, choice.value(message)) for choice in self.choices]
        return True if True in found else None if None in found else False


@dataclass(frozen=True, slots=True)
class Like:
    """`LIKE`: `%` stands for any text, `_` for one character."""

    left: "Expression"
    pattern: "Expression"
    escape: "Expression | None" = None

    def truth(self, message: Message) -> Truth:
        """Unknown if any side is."""
        text, pattern = self.left.value(message), self.pattern.value(message)
        escape = self.escape.value(message) if self.escape else ""
        if text is None or pattern is None or escape is None:
            return None
        if not (isinstance(text, str) and isinstance(pattern, str) and isinstance(escape, str)):
            raise FilterEvaluationError("LIKE takes texts")
        if self.escape and len(escape) != 1:
            raise FilterEvaluationError("ESCAPE takes one character")
        return re.fullmatch(_expression_of(pattern, escape), text, re.DOTALL) is not None


def _expression_of(pattern: str, escape: str) -> str:
    parts, characters = [], iter(pattern)
    for character in characters:
        if character == escape:
            parts.append(re.escape(next(characters, escape)))
        else:
            parts.append({"%": ".*", "_": "."}.get(character) or re.escape(character))
    return "".join(parts)


@dataclass(frozen=True, slots=True)
class Not:
    """The opposite; of the unknown, the unknown."""

    operand: "Predicate"

    def truth(self, message: Message) -> Truth:
        """The operand's opposite."""
        truth = self.operand.truth(message)
        return None if truth is None else not truth


@dataclass(frozen=True, slots=True)
class And:
    """Both. A false left side settles it, and the right one is not looked at."""

    left: "Predicate"
    right: "Predicate"

    def truth(self, message: Message) -> Truth:
        """False if either is, else unknown if either is."""
        left = self.left.truth(message)
        if left is False:
            return False
        right = self.right.truth(message)
        return False if right is False else None if None in (left, right) else True


@dataclass(frozen=True, slots=True)
class Or:
    """Either. A true left side settles it, and the right one is not looked at."""

    left: "Predicate"
    right: "Predicate"

    def truth(self, message: Message) -> Truth:
        """True if either is, else unknown if either is."""
        left = self.left.truth(message)
        if left is True:
            return True
        right = self.right.truth(message)
        return True if right is True else None if None in (left, right) else False


Expression = Constant | UserProperty | SystemProperty | NamedProperty | Arithmetic | Negative
"""What has a value."""

Predicate = Comparison | IsNull | Exists | In | Like | Not | And | Or
"""What is true, false or unknown."""
