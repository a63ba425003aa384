"""Why an object cannot be held."""


class Refused(Exception):
    """These bytes are no DICOM object that can be held.

    Attributes:
        reason: A stable slug, such as `truncated`.
        message: What is wrong and what to do, without any value of the object.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
