"""Workloads to run, read and copy from; not part of the installed package."""
