"""Settings that hold for every test of the local cloud, also where these are run alone."""

from hypothesis import settings

# The machine's speed decides no test. Where the app's tests run too, their profile stands.
settings.register_profile("localcloud", deadline=None)
if settings.get_current_profile_name() == "default":
    settings.load_profile("localcloud")
