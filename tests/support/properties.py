"""How many examples a property test tries, where the profile's own number does not do."""

from typing import Final

from hypothesis import settings

_USUAL: Final = 200


def tries(weight: int) -> int:
    """Returns how many examples to try: of a test that weighs 200, as many as of any other.

    Args:
        weight: less for a test whose examples are dear, more for one that needs many.
    """
    usual = settings.get_profile(settings.get_current_profile_name()).max_examples
    return max(3, round(weight * min(1.0, usual / _USUAL)))
