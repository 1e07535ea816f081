"""refcodec: integer-only golden reference for quantised neural codecs."""

__version__ = "0.1.0"
