"""``python -m animelm``: the command line."""

import sys

from animelm.cli import main

if __name__ == "__main__":
    sys.exit(main())
