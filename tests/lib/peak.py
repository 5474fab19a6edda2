"""peak.py FILE CMD...: run a command, write its peak memory in KiB to the file, end
with its exit status."""
import resource
import subprocess
import sys

status = subprocess.call(sys.argv[2:])
with open(sys.argv[1], "w") as f:
    print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=f)
sys.exit(status if status >= 0 else 128 - status)
