"""``python -m aebench``: the command line from a checkout, with nothing installed."""

from aebench.cli import main

if __name__ == "__main__":
    main()
