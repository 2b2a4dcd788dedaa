"""Compares Mosaic with its peers on this machine and reports what it costs: see bench/README.md."""
