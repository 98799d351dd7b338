"""Parts of benchmarks/bench.py: processes in turns, data, operations, statistics, tables."""
