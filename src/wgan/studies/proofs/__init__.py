"""Claims about a critic's number, each proved by runs that anyone can repeat."""
