"""The one kind of error that a user is meant to read."""


class FoodkdError(Exception):
    """Something a user can mend: one clear sentence naming the bad value, what is allowed and what to do next."""
