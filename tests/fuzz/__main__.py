"""`make fuzz`: a coverage-guided fuzzer draws the inputs of the tests beside this.

    python -m tests.fuzz                      a million inputs, shared out by what one of them costs
    python -m tests.fuzz --runs 20000 WORD    of the tests whose names have WORD

Each runs in a process of its own, for libFuzzer ends the process; what is instrumented is imported
once, before. What was found is printed as libFuzzer does, and by Hypothesis as a call that repeats
it: make that a case of its own. Inputs that led to new code are kept in `.hypothesis/fuzz`, and are
where the next run begins.
"""

import argparse
import importlib
import logging
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, NoReturn

import atheris

_SHARES: Final = {
    "edge token": 0.2,
    "edge in-progress": 0.17,
    "edge row": 0.15,
    "edge settings": 0.15,
    "edge amqp-body": 0.1,
    "edge event": 0.1,
    "edge arm-answer": 0.06,
    "edge request": 0.04,
    "edge identity-answer": 0.006,
    "test_a_row_of_any_age_is_read_or_set_aside": 0.005,
    "test_the_rows_of_a_scan_are_read_whatever_is_in_them": 0.005,
    "test_settings_are_read_or_refused_by_name": 0.005,
    "test_a_request_of_any_form_is_answered": 0.003,
    "test_a_cloud_event_of_any_form_is_answered": 0.003,
    "test_an_event_of_any_form_is_taken": 0.003,
    "test_an_assessment_ends_whatever_arm_answers": 0.002,
    "test_a_scan_ends_whatever_arm_answers": 0.002,
    "test_what_is_in_progress_is_refused_or_ends": 0.001,
}
"""Which share of all inputs each gets: the whole app takes a hundred times longer for one."""
_INSTRUMENTED: Final = [
    "assessor",
    "dotnet_datacontract",
    "dotnet_text",
    "ncrontab",
    "plain_text",
]


def main() -> int:
    """Runs what was asked for; returns how many of them found something."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("word", nargs="?", default="", help="a part of their names")
    parser.add_argument("--runs", type=int, default=1_000_000, help="inputs in all")
    options = parser.parse_args()
    chosen = {name: share for name, share in _SHARES.items() if options.word in name}
    whole = sum(chosen.values())
    # To write what is logged about each input would take longer than to read it.
    logging.getLogger().addHandler(logging.NullHandler())
    with atheris.instrument_imports(include=_INSTRUMENTED):
        importlib.import_module("tests.fuzz.edges")
        importlib.import_module("tests.fuzz.test_fuzz")
    found = 0
    for name, share in chosen.items():
        runs = round(options.runs * share / whole)
        began = time.monotonic()
        process = os.fork()
        if not process:
            _fuzz(name, runs)
        _, status, used = os.wait4(process, 0)
        print(
            f"{name}: {runs} inputs in {time.monotonic() - began:.0f} s,"
            f" {used.ru_utime + used.ru_stime:.0f} s of a processor, {used.ru_maxrss // 1024} MB,"
            f" exit {os.waitstatus_to_exitcode(status)}",
            flush=True,
        )
        found += status != 0
    return found


def _fuzz(name: str, runs: int) -> NoReturn:
    """Has libFuzzer draw the inputs of one; it ends the process."""
    corpus = Path(".hypothesis", "fuzz", name.replace(" ", "-"))
    corpus.mkdir(parents=True, exist_ok=True)
    test, more = _read_by(name, corpus)
    arguments = [
        f"-runs={runs}",
        "-len_control=0",
        "-rss_limit_mb=2048",
        "-timeout=300",  # what Hypothesis makes once takes a while on a machine that is busy
        f"-artifact_prefix={corpus}{os.sep}",
        *more,
    ]
    atheris.Setup([name, *arguments, str(corpus)], test)
    atheris.Fuzz()
    sys.exit(1)  # it has not come here yet


def _read_by(name: str, corpus: Path) -> tuple[Callable[[bytes], object], list[str]]:
    """Returns what reads the inputs, and what more libFuzzer is told."""
    if not name.startswith("edge "):
        tests = sys.modules["tests.fuzz.test_fuzz"]
        return getattr(tests, name).hypothesis.fuzz_one_input, ["-max_len=8192"]
    edges = sys.modules["tests.fuzz.edges"]
    edge = edges.EDGES[name.removeprefix("edge ")]
    for number, seed in enumerate(edges.seeds_of(name.removeprefix("edge "))):
        (corpus / f"seed-{number}").write_bytes(seed)
    words = corpus.with_suffix(".words")
    words.write_text("".join(f'"{_escaped(word)}"\n' for word in edge.words))
    return edge.read, ["-max_len=16384", f"-dict={words}"]


def _escaped(word: bytes) -> str:
    return "".join(f"\\x{byte:02X}" for byte in word)


if __name__ == "__main__":
    sys.exit(main())
