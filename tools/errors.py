"""The one error that users see."""


class FleetError(Exception):
    """
    Something that a person can mend.

    The message says what is wrong; ``remedy`` says what to do about it.
    """

    def __init__(self, message, remedy=""):
        super().__init__(message)
        self.remedy = remedy
