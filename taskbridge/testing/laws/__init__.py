"""The laws of a store, by protocol; ``taskbridge.testing.store_suite`` puts them together."""
