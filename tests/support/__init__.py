"""What the steps of the ladder share."""
