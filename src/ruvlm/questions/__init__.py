"""The question engine under everything that describes a picture: drafts, wordings, balance, rows."""
