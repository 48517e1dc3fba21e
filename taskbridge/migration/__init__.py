"""Migration: a share of the traffic moved from one backend to another, step by step, and taken back."""
