"""Annotated photographs: boxes or scene graphs of real pictures → Russian questions by the world's own engine."""
