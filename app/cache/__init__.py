"""What was read or made before, kept within bounds; everybody's rights are looked at first."""
