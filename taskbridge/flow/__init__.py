"""What leads from one message to the next: chunks of a range, links of a chain, members of a batch."""
