"""The errors of a store that are the user's to mend."""


class StoreError(ValueError):
    """A store that cannot be read or written."""
