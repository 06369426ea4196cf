"""`python -m skae`: find anomalies in a file without writing Python."""

import sys

from skae._command_line import main

if __name__ == "__main__":
    sys.exit(main())
