"""The error that a user can correct."""


class UserError(Exception):
    """A mistake in the user's input, settings or files.

    The command line prints only the message, without a traceback, and exits with status 2. The
    message therefore names the file, the line or the key, and what was expected.
    """
