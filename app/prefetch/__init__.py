"""Reading ahead what somebody is likely to ask for next, as them and when nobody waits."""
