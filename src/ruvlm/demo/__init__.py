"""The web page where a model is asked about pictures."""
