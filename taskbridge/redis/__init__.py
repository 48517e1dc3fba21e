"""Redis as store and broker stand on it. The only place that imports the redis client."""
