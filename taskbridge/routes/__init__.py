"""Change the route table that ``taskbridge.routing`` decides by: what would be wrong with it, versions, who did it."""
