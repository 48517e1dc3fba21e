"""Dashboards for Grafana and rules for Prometheus, made of short descriptions. Pure: values in, text out."""
