"""NCRONTAB: the schedules of timer triggers."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from croniter import CroniterError, croniter

_PART: Final = (
    r"(?:[0-9*/,-]|jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec|sun|mon|tue|wed|thu|fri|sat)+"
)
_NCRONTAB: Final = re.compile(rf"{_PART}(?: {_PART}){{5}}", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Ncrontab:
    """A schedule of six fields, from seconds to days of the week, in UTC.

    Functions reads it with the NCrontab library, where a day has to match both the day of the month
    and the day of the week.

    Attributes:
        text: the schedule; ValueError is raised if it is none.
    """

    text: str

    def __post_init__(self) -> None:
        """Checks the text, and puts one space between its fields."""
        text = " ".join(self.text.split())
        if not _NCRONTAB.fullmatch(text):
            raise ValueError("six fields: second, minute, hour, day, month, day of the week")
        object.__setattr__(self, "text", text)
        try:
            self.next(datetime.now(UTC))
        except (CroniterError, ValueError) as error:
            raise ValueError(str(error)) from error

    def last(self, now: datetime) -> datetime:
        """Returns the last occurrence at `now` or before."""
        following = now + timedelta(microseconds=1)
        return _utc(self._at(following).get_prev(datetime))

    def next(self, now: datetime) -> datetime:
        """Returns the first occurrence after `now`."""
        return _utc(self._at(now).get_next(datetime))

    def _at(self, moment: datetime) -> croniter:
        return croniter(self.text, moment, second_at_beginning=True, day_or=False)


def _utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC)
