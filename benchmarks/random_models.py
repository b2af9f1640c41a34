"""The fixtures of `bench` under the name that checks written by others import them by."""

from tests.support.random_models import *  # noqa: F403
