"""The errors of a store: damage, and what is the user's to mend."""


class StoreError(ValueError):
    """A store that cannot be read or written."""


class LaterSchemaError(StoreError):
    """A result that a later version wrote: no damage, and not to be written over."""


class ResultError(ValueError):
    """A stored result that cannot be read."""
