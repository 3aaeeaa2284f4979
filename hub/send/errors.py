"""Why sending stops altogether."""


class SendError(Exception):
    """Not one row's fault: no such topic, no access, no answer in the time given. The message says what to do."""
