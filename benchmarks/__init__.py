"""Speed of Flambeau side by side with torch: `python -m benchmarks` (or `make bench`)."""
