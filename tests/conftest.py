"""Settings that hold for every test."""

import os

from hypothesis import settings

# The machine's speed decides no test; on CI the same examples run each time.
settings.register_profile("here", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "here")
