"""SQL filters: the service's subset of SQL-92 over a message's properties.

The grammar is that of the service's reference
(https://learn.microsoft.com/azure/service-bus-messaging/service-bus-messaging-sql-filter); texts
compare case-sensitively. A message on which the filter can't be evaluated, such as one whose
property has the wrong kind, is not the subscription's; the service can be told to dead-letter it
there instead, which this bus can't. Left out, and refused when the filter is read: parameters,
`newid()`, and system properties other than those that a correlation filter can name.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from localcloud.servicebus import sql_terms as terms
from localcloud.servicebus.filters import SYSTEM_PROPERTIES
from localcloud.servicebus.message import Message
from localcloud.servicebus.sql_terms import Expression, Predicate

_TOKEN: Final = re.compile(
    r"""\s*(?:
    (?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)
    |(?P<text>'(?:[^']|'')*')
    |(?P<quoted>\[(?:[^\]]|\]\])+\]|"(?:[^"]|"")+")
    |(?P<word>[^\W\d_]\w*)
    |(?P<sign><>|!=|<=|>=|[-+*/%=<>().,])
    )""",
    re.VERBOSE,
)
_KEYWORDS: Final = frozenset(
    ["AND", "OR", "NOT", "IS", "NULL", "IN", "LIKE", "ESCAPE", "EXISTS", "TRUE", "FALSE"]
)
_COMPARISONS: Final = frozenset(["=", "<>", "!=", "<", "<=", ">", ">="])
_SYSTEM: Final = {name.lower(): amqp for name, amqp in SYSTEM_PROPERTIES.items()}
_MAX_CHARACTERS: Final = 1024
"""The service's limit (https://learn.microsoft.com/azure/service-bus-messaging/service-bus-quotas)."""


class SqlFilterError(ValueError):
    """The text is no SQL filter that this bus understands.

    Attributes:
        position: where, in characters from the start.
        problem: what is wrong there.
    """

    def __init__(self, position: int, problem: str) -> None:
        super().__init__(f"at character {position}: {problem}")
        self.position = position
        self.problem = problem


@dataclass(frozen=True, slots=True)
class SqlFilter:
    """Lets in the messages for which the predicate is true; unknown is not enough.

    Attributes:
        expression: as written.
        predicate: as read.
    """

    expression: str
    predicate: Predicate

    @classmethod
    def parse(cls, expression: str) -> "SqlFilter":
        """Read a filter.

        Raises:
            SqlFilterError: it is not one.
        """
        if len(expression) > _MAX_CHARACTERS:
            raise SqlFilterError(_MAX_CHARACTERS, f"longer than {_MAX_CHARACTERS} characters")
        return cls(expression, _Parser(expression).whole())

    def matches(self, message: Message) -> bool:
        """Whether the predicate is true of the message."""
        try:
            return self.predicate.truth(message) is True
        except terms.FilterEvaluationError:
            return False  # what the service does unless told to dead-letter


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    position: int

    @property
    def word(self) -> str:
        """The keyword or sign that this is; empty for names, numbers and texts."""
        upper = self.text.upper()
        if self.kind == "word":
            return upper if upper in _KEYWORDS else ""
        return self.text if self.kind == "sign" else ""


def _tokens(text: str) -> list[_Token]:
    found, at = [], 0
    while text[at:].strip():
        match = _TOKEN.match(text, at)
        if match is None or match.lastgroup is None:
            start = len(text) - len(text[at:].lstrip())
            raise SqlFilterError(start, "not part of the filter language")
        found.append(_Token(match.lastgroup, match[match.lastgroup], match.start(match.lastgroup)))
        at = match.end()
    return [*found, _Token("end", "", len(text))]


class _Parser:
    """Reads by recursive descent, the loosest binding first: OR, AND, NOT, comparisons, sums."""

    def __init__(self, text: str) -> None:
        self._tokens = _tokens(text)
        self._at = 0

    def whole(self) -> Predicate:
        predicate = self._predicate(self._either)
        if self._next.kind != "end":
            raise self._error("nothing may follow here")
        return predicate

    @property
    def _next(self) -> _Token:
        return self._tokens[self._at]

    def _error(self, problem: str) -> SqlFilterError:
        return SqlFilterError(self._next.position, problem)

    def _take(self, *words: str) -> str | None:
        word = self._next.word
        if word not in words or not word:
            return None
        self._at += 1
        return word

    def _expect(self, word: str) -> None:
        if not self._take(word):
            raise self._error(f"{word} is missing")

    def _predicate(self, read: Callable[[], Predicate | Expression]) -> Predicate:
        position = self._next.position
        return _condition(read(), position)

    def _expression(self, read: Callable[[], Predicate | Expression]) -> Expression:
        position = self._next.position
        return _value(read(), position)

    def _either(self) -> Predicate | Expression:
        position, left = self._next.position, self._both()
        while self._take("OR"):
            left = terms.Or(_condition(left, position), self._predicate(self._both))
        return left

    def _both(self) -> Predicate | Expression:
        position, left = self._next.position, self._opposite()
        while self._take("AND"):
            left = terms.And(_condition(left, position), self._predicate(self._opposite))
        return left

    def _opposite(self) -> Predicate | Expression:
        return terms.Not(self._predicate(self._opposite)) if self._take("NOT") else self._compared()

    def _compared(self) -> Predicate | Expression:
        position, left = self._next.position, self._sum()
        sign = self._take(*_COMPARISONS)
        if sign:
            return terms.Comparison(sign, _value(left, position), self._expression(self._sum))
        if self._take("IS"):
            negative = self._take("NOT")
            self._expect("NULL")
            return _negated(terms.IsNull(_value(left, position)), negative)
        negative = self._take("NOT")
        if self._take("IN"):
            return _negated(terms.In(_value(left, position), self._list()), negative)
        if self._take("LIKE"):
            pattern = self._expression(self._sum)
            escape = self._expression(self._sum) if self._take("ESCAPE") else None
            return _negated(terms.Like(_value(left, position), pattern, escape), negative)
        if negative:
            raise self._error("IN or LIKE is missing after NOT")
        return left

    def _list(self) -> tuple[Expression, ...]:
        self._expect("(")
        choices = [self._expression(self._sum)]
        while self._take(","):
            choices.append(self._expression(self._sum))
        self._expect(")")
        return tuple(choices)

    def _sum(self) -> Predicate | Expression:
        position, left = self._next.position, self._product()
        while sign := self._take("+", "-"):
            right = self._expression(self._product)
            left = terms.Arithmetic(sign, _value(left, position), right)
        return left

    def _product(self) -> Predicate | Expression:
        position, left = self._next.position, self._signed()
        while sign := self._take("*", "/", "%"):
            right = self._expression(self._signed)
            left = terms.Arithmetic(sign, _value(left, position), right)
        return left

    def _signed(self) -> Predicate | Expression:
        if self._take("-"):
            return terms.Negative(self._expression(self._signed))
        return self._expression(self._signed) if self._take("+") else self._single()

    def _single(self) -> Predicate | Expression:
        if self._take("("):
            inner = self._either()
            self._expect(")")
            return inner
        if self._take("EXISTS"):
            self._expect("(")
            operand = self._property()
            self._expect(")")
            return terms.Exists(operand)
        constant = self._take("TRUE", "FALSE", "NULL")
        if constant:
            return terms.Constant({"TRUE": True, "FALSE": False, "NULL": None}[constant])
        token = self._next
        if token.kind == "number":
            self._at += 1
            return terms.Constant(int(token.text) if token.text.isdigit() else float(token.text))
        if token.kind == "text":
            self._at += 1
            return terms.Constant(token.text[1:-1].replace("''", "'"))
        return self._function() or self._property()

    def _function(self) -> Expression | None:
        token, after = self._next, self._tokens[min(self._at + 1, len(self._tokens) - 1)]
        if token.kind != "word" or after.word != "(":
            return None
        if token.text.lower() not in ("property", "p"):
            raise self._error(f"the local bus has no function {token.text}")
        self._at += 2
        name = self._expression(self._sum)
        self._expect(")")
        return terms.NamedProperty(name)

    def _property(self) -> terms.UserProperty | terms.SystemProperty:
        position, first = self._next.position, self._name()
        if not self._take("."):
            return terms.UserProperty(first)
        name = self._name()
        match first.lower():
            case "user":
                return terms.UserProperty(name)
            case "sys" if name.lower() in _SYSTEM:
                return terms.SystemProperty(_SYSTEM[name.lower()])
            case "sys":
                raise SqlFilterError(position, f"the local bus has no system property {name}")
            case _:
                raise SqlFilterError(position, f"the scope must be sys or user, not {first}")

    def _name(self) -> str:
        token = self._next
        if token.kind == "quoted":
            self._at += 1
            end = token.text[-1]
            return token.text[1:-1].replace(end * 2, end)
        if token.kind != "word" or token.word:
            raise self._error("a value is missing")
        self._at += 1
        return token.text


def _condition(term: Predicate | Expression, position: int) -> Predicate:
    if not isinstance(term, Predicate):
        raise SqlFilterError(position, "a condition is needed here, not a value")
    return term


def _value(term: Predicate | Expression, position: int) -> Expression:
    if isinstance(term, Predicate):
        raise SqlFilterError(position, "a value is needed here, not a condition")
    return term


def _negated(predicate: Predicate, negative: str | None) -> Predicate:
    return terms.Not(predicate) if negative else predicate
