"""A pytest plugin that runs the tests once for each mutant: `-p tests.mutants.plugin`.

The tests are collected and run once, which shows which of them call which function and what each
takes. Then every mutant gets a process, forked from this one, that runs the tests that call its
function until one fails: those first that found another mutant of the same function, then the
quickest. So a mutant costs no start of Python, and most cost one test.
"""

import importlib
import json
import os
import pkgutil
import resource
import sys
import threading
import time
import warnings
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Final, NoReturn, TextIO

import pytest
from hypothesis import Phase, settings
from mutmut.mutation.trampoline import set_mutant_under_test
from mutmut.state import state

from tests.mutants.mutation import Mutant, Mutating

_SURVIVED, _KILLED, _STUCK = 0, 1, 2
_LOOK_SECONDS: Final = 3.0
_IDLE_SECONDS: Final = 0.005
_IDLE_LOOKS: Final = 8
"""A mutant that has computed for less than that in each of so many looks waits for nothing."""
_NONE: Final = Mutant(name="", module="", function="", was="", now="")
"""The code as it is: each test has to pass in such a process too."""
_MUTATING: Final = pytest.StashKey[Mutating]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds what the command beside this one passes on."""
    group = parser.getgroup("mutants")
    group.addoption("--mutate", action="append", default=[], help="a package or module")
    group.addoption("--mutant-jobs", type=int, default=2, help="mutants at a time")
    group.addoption("--mutant-seconds", type=float, default=3.0, help="tests for a mutant, CPU")
    group.addoption("--mutant-results", help="the file that results are written to")


def pytest_configure(config: pytest.Config) -> None:
    """Mutates what is imported from now on, and has Hypothesis draw the same examples each time."""
    repeatable = settings(
        settings.get_profile("ci"),
        max_examples=10,
        phases=[Phase.explicit, Phase.generate],
        print_blob=False,
    )
    settings.register_profile("mutants", repeatable)
    settings.load_profile("mutants")
    config.stash[_MUTATING] = mutating = Mutating(config.getoption("mutate"))
    mutating.install()


def pytest_runtestloop(session: pytest.Session) -> bool:
    """Runs the tests as they are, then for each mutant."""
    if session.testsfailed:
        raise session.Failed("the tests can't be read")
    for name in session.config.getoption("mutate"):
        _import_all(name)
    mutants = session.config.stash[_MUTATING].mutants
    with os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8") as out:
        quiet = os.open(os.devnull, os.O_WRONLY)
        os.dup2(quiet, sys.stdout.fileno())
        runs = _Runs(session, out)
        session.config.pluginmanager.register(runs)
        runs.run_unchanged()
        print(f"{len(session.items)} tests pass, {len(mutants)} mutants", file=out, flush=True)
        with Path(session.config.getoption("mutant_results")).open("w", encoding="utf-8") as into:
            for mutant, fate in runs.run(mutants):
                print(json.dumps(asdict(mutant) | {"fate": fate}), file=into, flush=True)
                if fate in {"survived", "not called"}:
                    print(_shown(mutant, fate), file=out, flush=True)
    return True


def _import_all(name: str) -> None:
    module = importlib.import_module(name)
    for each in pkgutil.iter_modules(getattr(module, "__path__", []), f"{name}."):
        importlib.import_module(each.name)


def _shown(mutant: Mutant, fate: str) -> str:
    return f"{mutant.module} {mutant.function}: {fate}\n    - {mutant.was}\n    + {mutant.now}"


class _Runs:
    """Runs the collected tests, as they are and for mutants."""

    def __init__(self, session: pytest.Session, out: TextIO) -> None:
        self._session = session
        self._out = out
        self._callers: dict[str, list[pytest.Item]] = defaultdict(list)
        self._cost: dict[pytest.Item, float] = {}
        self._killers: dict[str, list[pytest.Item]] = defaultdict(list)
        self._tell: int | None = None

    def run_unchanged(self) -> None:
        """Notes which test calls what, and what it takes; ends the run if one fails."""
        set_mutant_under_test("stats")
        items = self._session.items
        for item, following in zip(items, [*items[1:], None], strict=True):
            state()._stats.clear()
            began = time.process_time()
            _protocol(item, following)
            self._cost[item] = time.process_time() - began
            if self._session.testsfailed:
                print(f"{item.nodeid} fails without any mutant", file=self._out, flush=True)
                raise self._session.Failed("a test fails without any mutant")
            for function in state()._stats:
                self._callers[function].append(item)

    def run(self, mutants: list[Mutant]) -> Iterator[tuple[Mutant, str]]:
        """Yields each mutant with what became of it: killed, timeout, survived, not called."""
        # The threads are those of telemetry's exporters; a mutant's process does without.
        warnings.filterwarnings("ignore", message=".*multi-threaded.*", category=DeprecationWarning)
        running: dict[int, tuple[Mutant, list[pytest.Item], int]] = {}
        pid, told = self._fork(_NONE, self._session.items)
        running[pid] = (_NONE, self._session.items, told)
        if self._ended(running)[1] != "survived":
            raise self._session.Failed("a test fails in a process of its own, without any mutant")
        for mutant in mutants:
            tests = self._tests(mutant)
            if not tests:
                yield mutant, "not called"
                continue
            while len(running) >= self._session.config.getoption("mutant_jobs"):
                yield self._ended(running)
            pid, told = self._fork(mutant, tests)
            running[pid] = (mutant, tests, told)
        while running:
            yield self._ended(running)

    def _tests(self, mutant: Mutant) -> list[pytest.Item]:
        """Returns the tests for a mutant, as many as its time allows."""
        function = mutant.trampoline
        first = self._killers[function]
        others = [each for each in self._callers[function] if each not in first]
        left = self._session.config.getoption("mutant_seconds")
        chosen: list[pytest.Item] = []
        for each in [*first, *sorted(others, key=self._cost.__getitem__)]:
            if chosen and left < self._cost[each]:
                break
            chosen.append(each)
            left -= self._cost[each]
        return chosen

    def _fork(self, mutant: Mutant, tests: list[pytest.Item]) -> tuple[int, int]:
        told, tell = os.pipe()
        pid = os.fork()
        if pid:
            os.close(tell)
            return pid, told
        self._tell = tell
        fate = _SURVIVED
        try:
            os.dup2(sys.stdout.fileno(), sys.stderr.fileno())
            self._limit(tests)
            set_mutant_under_test(mutant.name)
            for test, following in zip(tests, [*tests[1:], None], strict=True):
                _protocol(test, following)
                if self._session.testsfailed:
                    self._end_as_killed(test)
        except BaseException:  # noqa: BLE001 - whatever a mutant throws through pytest is seen
            fate = _KILLED
        os._exit(fate)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo[None]) -> None:
        """Ends a mutant's process at the first failure: to write its report takes most time."""
        failed = call.excinfo is not None and not call.excinfo.errisinstance(
            (pytest.skip.Exception, pytest.xfail.Exception)
        )
        if self._tell is not None and failed and item.get_closest_marker("xfail") is None:
            self._end_as_killed(item)

    def _end_as_killed(self, test: pytest.Item) -> NoReturn:
        if self._tell is not None:
            os.write(self._tell, test.nodeid.encode())
        os._exit(_KILLED)

    def _limit(self, tests: list[pytest.Item]) -> None:
        """Ends this process once it computes far longer than is due, or waits for nothing."""
        seconds = int(10 + 10 * sum(self._cost[each] for each in tests))
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
        threading.Thread(target=_end_when_idle, daemon=True).start()

    def _ended(
        self, running: dict[int, tuple[Mutant, list[pytest.Item], int]]
    ) -> tuple[Mutant, str]:
        pid, status = os.wait()
        mutant, tests, told = running.pop(pid)
        with os.fdopen(told, "rb") as pipe:
            node = pipe.read().decode()
        found = [each for each in tests if each.nodeid == node]
        known = self._killers[mutant.trampoline]
        known[:0] = [each for each in found if each not in known]
        if os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == _STUCK:
            return mutant, "timeout"
        return mutant, "killed" if os.WEXITSTATUS(status) == _KILLED else "survived"


def _end_when_idle() -> None:
    """Ends this process after it has not computed for a while, however busy the machine is."""
    idle, used = 0, time.process_time()
    while idle < _IDLE_LOOKS:
        time.sleep(_LOOK_SECONDS)
        now = time.process_time()
        idle, used = (idle + 1 if now - used < _IDLE_SECONDS else 0), now
    os._exit(_STUCK)


def _protocol(item: pytest.Item, following: pytest.Item | None) -> None:
    item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
