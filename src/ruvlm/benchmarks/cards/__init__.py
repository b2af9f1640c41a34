"""A benchmark that is a card of TOML and a table: no code."""
