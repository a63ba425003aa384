"""The /postdicom door."""
