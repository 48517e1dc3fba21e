"""What follows what: calls that are written down and made when their time has come."""
