"""Who is calling: tokens, issuers, roles."""
