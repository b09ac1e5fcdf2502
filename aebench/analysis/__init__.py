"""What stored records say: frames, statistics, findings, comparison, fitness to be compared.

Reads tables only, and imports neither torch nor anything that draws. `aebench findings`, `check`
and `compare` print what is found here; the page shows it.
"""
