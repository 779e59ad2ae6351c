"""`make fuzz`: a coverage-guided fuzzer draws the inputs of the tests beside this.

    python -m tests.fuzz                      a million inputs, shared out by what one of them costs
    python -m tests.fuzz --runs 20000 WORD    of the tests whose names have WORD

Each test runs in a process of its own, for libFuzzer ends the process. What was found is printed as
libFuzzer does, and by Hypothesis as a call that repeats it: make that a case of its own.
"""

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

_SHARES: Final = {
    "test_a_token_is_refused_or_leads_to_arm": 0.4,
    "test_settings_are_read_or_refused_by_name": 0.2,
    "test_a_row_of_any_age_is_read_or_set_aside": 0.2,
    "test_a_request_of_any_form_is_answered": 0.05,
    "test_a_cloud_event_of_any_form_is_answered": 0.05,
    "test_an_event_of_any_form_is_taken": 0.05,
    "test_an_assessment_ends_whatever_arm_answers": 0.02,
    "test_a_scan_ends_whatever_arm_answers": 0.02,
    "test_what_is_in_progress_is_refused_or_ends": 0.01,
}
"""Which share of all inputs each test gets: the whole app takes a hundred times longer for one."""
_INSTRUMENTED: Final = ["assessor", "dotnet_datacontract", "dotnet_text", "ncrontab", "plain_text"]


def main() -> int:
    """Runs the tests asked for; returns how many of them found something."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("word", nargs="?", default="", help="a part of the tests' names")
    parser.add_argument("--runs", type=int, default=1_000_000, help="inputs in all")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        _fuzz(options.one, options.runs)
    chosen = {name: share for name, share in _SHARES.items() if options.word in name}
    whole = sum(chosen.values())
    found = 0
    for name, share in chosen.items():
        runs = round(options.runs * share / whole)
        began = time.monotonic()
        done = subprocess.run(  # noqa: S603 - this module again
            [sys.executable, "-m", "tests.fuzz", "--runs", str(runs), "--one", name], check=False
        )
        took = time.monotonic() - began
        print(f"{name}: {runs} inputs in {took:.0f} s, exit {done.returncode}", flush=True)
        found += done.returncode != 0
    return found


def _fuzz(name: str, runs: int) -> None:
    """Has libFuzzer run one test; never returns."""
    import atheris  # noqa: PLC0415 - an instrument of this process alone

    with atheris.instrument_imports(include=_INSTRUMENTED):
        from tests.fuzz import test_fuzz  # noqa: PLC0415 - is to be instrumented
    test = getattr(test_fuzz, name)
    corpus = Path(".hypothesis", "fuzz", name)
    corpus.mkdir(parents=True, exist_ok=True)
    arguments = [
        f"-runs={runs}",
        "-max_len=8192",
        "-len_control=0",
        "-rss_limit_mb=2048",
        "-timeout=60",
    ]
    atheris.Setup(
        [name, *arguments, f"-artifact_prefix={corpus}{os.sep}", str(corpus)],
        test.hypothesis.fuzz_one_input,
    )
    atheris.Fuzz()


if __name__ == "__main__":
    sys.exit(main())
