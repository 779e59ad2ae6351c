"""How many examples a property test tries, where the profile's own number does not do."""

from hypothesis import settings


def tries(deep: int) -> int:
    """Returns how many examples to try: so many in `make test-deep`, a few of them in `make test`.

    The number is set in proportion to what the profiles of tests/conftest.py try of any property.

    Args:
        deep: examples in `make test-deep`.
    """
    profile = settings.get_profile("deep").max_examples
    share = settings.get_profile(settings.get_current_profile_name()).max_examples / profile
    return max(3, round(deep * min(1.0, share)))
