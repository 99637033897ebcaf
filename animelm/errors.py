"""The error that a user can put right."""


class UserError(Exception):
    """Something in the user's input, settings or files that the user can put right.

    The command line prints the message alone, without a traceback, and exits with status 2. The
    message therefore says everything: the file, the line or the key, and what was expected.
    """
