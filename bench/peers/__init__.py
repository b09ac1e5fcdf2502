"""The same job as others write it, each loop in one file, and a runner that times them in turn.

`python -m bench.peers` runs them; `bench/README.md` says what is in their clocks.
"""
