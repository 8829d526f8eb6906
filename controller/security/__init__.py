"""Certificates, keys and the stored ways to the backend; the only place that imports cryptography."""
