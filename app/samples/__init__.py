"""The sample archive of `make demo`: made here from a seed, and found in pydicom's wheel."""
