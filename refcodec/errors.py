"""Typed errors with stable codes (SPEC ERR-1)."""

from __future__ import annotations

# code -> what it means; SPEC.md carries the same table and a test compares the two
CODES: dict[str, str] = {
    "RC-SHAPE": "an array has the wrong rank or shape",
    "RC-RANGE": "a number is outside its declared range",
    "RC-FORMAT": "an integer format is not one of those defined",
    "RC-MODEL-FILE": "not a readable model file",
    "RC-MODEL-SCHEMA": "the model description is malformed",
    "RC-MODEL-FAMILY": "the model's family or architecture is unknown",
    "RC-MODEL-TENSOR": "a tensor is missing, surplus, or has the wrong shape or dtype",
    "RC-MODEL-RANGE": "a constant is outside its declared range",
    "RC-MODEL-OVERFLOW": "an accumulator can leave its declared format",
    "RC-MODEL-HASH": "the content does not match its recorded SHA-256",
    "RC-MODEL-TABLE": "a cumulative frequency table is malformed",
    "RC-MODEL-ENCODER": "the model file holds no analysis transform, so it cannot encode",
    "RC-CHECKPOINT-FILE": "not a readable checkpoint",
    "RC-CHECKPOINT-PICKLE": "the checkpoint asks for something other than tensors",
    "RC-CHECKPOINT-PARAMETER": "a parameter is missing, surplus, misshapen or not finite",
    "RC-STREAM-MAGIC": "not a refcodec stream",
    "RC-STREAM-VERSION": "the stream version is unknown",
    "RC-STREAM-TRUNCATED": "the stream ends too early",
    "RC-STREAM-TRAILING": "bytes follow the end of the stream",
    "RC-STREAM-CRC": "a checksum does not match",
    "RC-STREAM-LIMIT": "a header field is outside its limits",
    "RC-STREAM-MODEL": "the stream was made for another model",
    "RC-STREAM-SECTION": "a section is missing, repeated or out of order",
    "RC-STREAM-RANS": "the entropy coder did not end in its initial state with all words consumed",
    "RC-STREAM-SYMBOL": "a decoded symbol is outside its range",
    "RC-STREAM-WEIGHTS": "a payload of integer weights is malformed or not as the encoder makes it",
    "RC-IMAGE-READ": "not a readable picture",
    "RC-IMAGE-FORMAT": "the picture is neither 8-bit RGB nor 8-bit grey",
    "RC-VIDEO-READ": "not a readable clip, or one without frames",
    "RC-VIDEO-FORMAT": "the frames of a clip are not 8-bit RGB or grey of one size",
    "RC-FILE-READ": "a file or folder is missing or cannot be read",
    "RC-FILE-WRITE": "a file or folder cannot be written",
    "RC-VECTOR-SUITE": "the vector suite is malformed",
    "RC-VECTOR-HASH": "a vector file does not match its recorded SHA-256",
    "RC-EXPORT": "the program cannot be expressed in the target format",
    "RC-EXTRA": "an optional package that this needs is not installed",
    "RC-HW-CONFIG": "the datapath cannot be built for this configuration",
    "RC-USAGE": "the command line is wrong",
}


class RefcodecError(Exception):
    """An error with a stable code and a one-line message (SPEC ERR-1)."""

    def __init__(self, code: str, message: str) -> None:
        if code not in CODES:
            raise KeyError(f"{code} is not a refcodec error code")
        super().__init__(message)
        self.code = code
        self.message = message

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"

    def __reduce__(self) -> tuple[type[RefcodecError], tuple[str, str]]:
        return RefcodecError, (self.code, self.message)  # so that a worker process can hand it on


class ShapeError(RefcodecError):
    """The caller passed an array of the wrong shape."""

    def __init__(self, message: str) -> None:
        super().__init__("RC-SHAPE", message)


class RangeError(RefcodecError):
    """The caller passed a number outside its domain."""

    def __init__(self, message: str, code: str = "RC-RANGE") -> None:
        super().__init__(code, message)


class ModelError(RefcodecError):
    """A model file or checkpoint is unusable."""


class StreamError(RefcodecError):
    """A stream is unusable; `offset` is the byte where that was found."""

    def __init__(self, code: str, message: str, offset: int) -> None:
        super().__init__(code, f"{message} (byte {offset})")
        self.offset = offset


class ImageError(RefcodecError):
    """A picture is unreadable or of the wrong kind."""


class VideoError(RefcodecError):
    """A clip is unreadable or of the wrong kind."""


class FileError(RefcodecError):
    """A file or folder cannot be read or written."""


class VectorError(RefcodecError):
    """A vector suite is unusable."""


class ExportError(RefcodecError):
    """A program cannot be exported, or a package that this needs is missing (SPEC EXP-1)."""


class HardwareError(RefcodecError):
    """A datapath configuration is impossible (SPEC HW-1)."""
