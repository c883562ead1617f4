"""What stops a person's command: one line that says what, why and what to do."""


class UserError(Exception):
    """Printed as it is, without a traceback; the command exits with 1."""
