"""What changes, in order: put into the sequence, followed, and told to others."""
