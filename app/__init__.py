"""The running service: wiring, doors, identity, audit, stores and pixels."""

__version__ = "0.1.0"
