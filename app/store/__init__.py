"""Adapters to MongoDB and object storage."""
