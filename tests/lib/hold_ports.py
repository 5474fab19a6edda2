"""Keep COUNT free TCP ports of 127.0.0.1 bound, without listening, until killed."""
import signal
import socket
import sys

held = []
for _ in range(int(sys.argv[1])):
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind(("127.0.0.1", 0))
    held.append(s)
print(*(s.getsockname()[1] for s in held), flush=True)
signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C: end without a word
signal.pause()
