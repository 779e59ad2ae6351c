"""NCRONTAB: the schedules of timer triggers, read as the NCrontab library reads them.

The Functions host hands a schedule to NCrontab (3.4.0), whose grammar is not cron's:

- Six fields, seconds first; five of them, without seconds, where the text has five parts between
  single spaces. Spaces, and nothing else, stand between fields.
- A field is a list of `*`, `value` or `from-to`, each with `/step` if need be. A value with a step
  goes on to the field's end. A step below 1 is 1. A range whose ends are reversed swaps them.
- Months and days of the week may be named by the first letters of their English names; among
  names that begin alike the first counts. Days of the week are 0 to 6, Sunday is 0.
- A day has to be right in both of its fields.

It stands by itself, without anything but the standard library, because two programs that must not
import each other read schedules with it: the app, which checks SCAN_SCHEDULE, and the local host,
which fires by it.

Left out: what ICU's collation takes for a name beyond its letters (a soft hyphen within), and
TimeSpan schedules, which are not NCrontab's.
"""

import re
from calendar import monthrange
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from itertools import product
from typing import Final

_INT: Final = re.compile(r"[\t-\r ]*([+-]?[0-9]+)[\t-\r ]*\0*")
"""What .NET's int.Parse takes in the invariant culture."""
_INT_MAX: Final = 2**31 - 1
_LEAP_YEAR: Final = 2028
_SPAN: Final = timedelta(days=41 * 366)
"""What comes at all comes within it: 29 February falls on one weekday every 28 years, and every 40
where a century's year is no leap year."""


class NcrontabError(ValueError):
    """A text that is no schedule.

    Attributes:
        text: the text, or the part of it that is wrong.
        problem: what is wrong, as one phrase.
    """

    def __init__(self, text: str, problem: str) -> None:
        super().__init__(f"{text!r}: {problem}")
        self.text = text
        self.problem = problem


@dataclass(frozen=True, slots=True)
class _Kind:
    """One of the six fields: its name, its least and greatest value, and its values' names."""

    name: str
    least: int
    most: int
    names: tuple[str, ...] = ()

    def parse(self, text: str) -> frozenset[int]:
        """Returns the values that `text` stands for; raises NcrontabError if it is no field."""
        if text.find(",") > 0:
            return frozenset().union(*(self._item(each) for each in text.split(",")))
        return self._item(text)

    def _item(self, text: str) -> frozenset[int]:
        values, slash, step_text = text.partition("/")
        if not values:
            raise self._wrong(text)
        step = _int(step_text) if slash else None
        if values == "*":
            return self._stepped(text, self.least, self.most, step or 1)
        first, dash, last = values.partition("-")
        if dash and first:
            return self._stepped(text, self._value(first), self._value(last), step or 1)
        value = self._value(values)
        return self._stepped(text, value, value if step is None else self.most, step or 1)

    def _stepped(self, text: str, first: int, last: int, step: int) -> frozenset[int]:
        low, high, step = min(first, last), max(first, last), max(step, 1)
        if low < self.least or high > self.most:
            raise self._wrong(text)
        if low - self.least + step > _INT_MAX:
            raise NcrontabError(text, "the step is more than NCrontab can add")
        return frozenset(range(low, high + 1, step))

    def _value(self, text: str) -> int:
        if text[:1] in tuple("0123456789"):
            return _int(text)
        if text and text.isascii():
            for value, name in enumerate(self.names, self.least):
                if name.startswith(text.lower()):
                    return value
        raise self._wrong(text)

    def _wrong(self, text: str) -> NcrontabError:
        named = " or names" if self.names else ""
        return NcrontabError(text, f"the {self.name} takes {self.least} to {self.most}{named}")


_MONTHS: Final = (
    "january february march april may june july august september october november december"
)
_DAYS: Final = "sunday monday tuesday wednesday thursday friday saturday"
_KINDS: Final = (
    _Kind("second", 0, 59),
    _Kind("minute", 0, 59),
    _Kind("hour", 0, 23),
    _Kind("day", 1, 31),
    _Kind("month", 1, 12, tuple(_MONTHS.split())),
    _Kind("day of the week", 0, 6, tuple(_DAYS.split())),
)
_WITHOUT_SECONDS: Final = 5


@dataclass(frozen=True, slots=True)
class Ncrontab:
    """A schedule, in UTC.

    Attributes:
        text: the schedule as it was written; NcrontabError, a ValueError, is raised if it is none.
    """

    text: str
    _fields: tuple[frozenset[int], ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Parse the fields."""
        kinds = _KINDS[1:] if len(self.text.split(" ")) == _WITHOUT_SECONDS else _KINDS
        parts = [part for part in self.text.split(" ") if part]
        if len(parts) != len(kinds):
            raise NcrontabError(
                self.text,
                "six fields with spaces between them: second, minute, hour, day, month, day of the "
                "week; or the last five of them",
            )
        parsed = tuple(kind.parse(part) for kind, part in zip(kinds, parts, strict=True))
        seconds = () if len(parsed) == len(_KINDS) else (frozenset({0}),)
        object.__setattr__(self, "_fields", (*seconds, *parsed))

    @property
    def comes(self) -> bool:
        """Whether there is any occurrence; there is none of 30 February."""
        _, _, _, days, months, _ = self._fields
        return any(min(days) <= monthrange(_LEAP_YEAR, month)[1] for month in months)

    def next(self, now: datetime) -> datetime | None:
        """Returns the first occurrence after `now`; None if there is none."""
        return next((each for each in self._occurrences(now, 1) if each > now), None)

    def last(self, now: datetime) -> datetime | None:
        """Returns the last occurrence at `now` or before; None if there is none."""
        return next((each for each in self._occurrences(now, -1) if each <= now), None)

    def _occurrences(self, now: datetime, direction: int) -> Iterator[datetime]:
        """Yields what occurs from the hour of `now` on, forwards or backwards."""
        start = now.astimezone(UTC)
        seconds, minutes, hours = (sorted(each)[::direction] for each in self._fields[:3])
        for day in self._days(start.date(), direction):
            for hour in hours:
                if day == start.date() and (hour - start.hour) * direction < 0:
                    continue
                for minute, second in product(minutes, seconds):
                    yield datetime.combine(day, time(hour, minute, second), UTC)

    def _days(self, start: date, direction: int) -> Iterator[date]:
        """Yields the days that are right, from `start` on, forwards or backwards."""
        _, _, _, days, months, weekdays = self._fields
        if not self.comes:
            return
        end = date.max if direction > 0 else date.min
        for distance in range(min(_SPAN.days, abs((end - start).days) + 1)):
            day = start + timedelta(days=direction * distance)
            if day.month in months and day.day in days and day.isoweekday() % 7 in weekdays:
                yield day


def _int(text: str) -> int:
    match = _INT.fullmatch(text)
    # Ten digits are more than enough; zeros before them count for nothing.
    digits = match[1].lstrip("+-").lstrip("0") if match else ""
    if match is None or len(digits) > len(str(_INT_MAX)):
        raise NcrontabError(text, "no whole number")
    value = int(f"{'-' if match[1].startswith('-') else ''}{digits or '0'}")
    if not -_INT_MAX - 1 <= value <= _INT_MAX:
        raise NcrontabError(text, "no whole number")
    return value
