"""The Azure SDK for Python at work for the tests: what Debian packages as
python3-azure-storage. The account is $AZURE_STORAGE_CONNECTION_STRING. A blob is
CONTAINER/NAME. Run without arguments for the commands.

To load the SDK takes a third of a second, so a test has it loaded once:

    az.py --serve

prints a port of 127.0.0.1 and a token, and runs commands for whoever knows the token. A
request is NUL-terminated fields: how many follow, token, connection string, CA file,
working folder, command, arguments. The reply is lines: 1TEXT for the standard output, 2TEXT for the
standard error, and =STATUS at the end. Each command has a process of its own, forked
when the SDK is there, and connections of its own to the service."""
import base64
import contextlib
import datetime
import hashlib
import io
import json
import os
import secrets
import signal
import socket
import sys
import traceback

CHUNK = 4 << 20
sdk = cs = service = None


def load_sdk():
    """Import it, but not before it is needed."""
    global sdk
    if not sdk:
        import azure.storage.blob
        sdk = azure.storage.blob


def connect(connection_string, ca):
    """Say which account the commands are for."""
    global cs, service
    load_sdk()
    cs = connection_string
    kwargs = {"connection_verify": ca} if cs.startswith("DefaultEndpointsProtocol=https") else {}
    service = sdk.BlobServiceClient.from_connection_string(cs, **kwargs)


def blob(ref, snapshot=None):
    container, name = ref.split("/", 1)
    return service.get_blob_client(container, name, snapshot=snapshot)


def container(name):
    """Make a container; it may be there already."""
    client = service.get_container_client(name)
    if not client.exists():
        client.create_container()


def data_ranges(fd, size):
    """Where a sparse file has data, as (offset, end)."""
    at = 0
    while at < size:
        try:
            at = os.lseek(fd, at, os.SEEK_DATA)
        except OSError:
            return
        end = min(os.lseek(fd, at, os.SEEK_HOLE), size)
        yield at // 512 * 512, (end + 511) // 512 * 512
        at = end


def page(path, ref):
    """Upload FILE as a page blob, pages that are all zero left out."""
    size = os.stat(path).st_size
    client = blob(ref)
    client.create_page_blob(size)
    with open(path, "rb") as f:
        for start, end in data_ranges(f.fileno(), size):
            while start < end:
                f.seek(start)
                data = f.read(min(CHUNK, end - start))
                if data.strip(b"\0"):
                    client.upload_page(data, start, len(data))
                start += len(data)


def block(path, ref):
    """Upload FILE as a block blob."""
    with open(path, "rb") as f:
        blob(ref).upload_blob(f, overwrite=True)


def blocks(folder, cont):
    """Upload all files of a folder, by their names, as block blobs."""
    client = service.get_container_client(cont)
    for name in sorted(os.listdir(folder)):
        with open(os.path.join(folder, name), "rb") as f:
            client.upload_blob(name, f, overwrite=True)


def empty(ref, size):
    """Make a page blob of SIZE bytes of zeros."""
    blob(ref).create_page_blob(int(size))


def write(ref, offset, path, lease=None):
    """Put the pages of FILE at OFFSET."""
    with open(path, "rb") as f:
        data = f.read()
    extra = {"lease": lease} if lease else {}
    blob(ref).upload_page(data, int(offset), len(data), **extra)


def get(ref, path, snapshot=None):
    """Download to FILE, sparse."""
    client = blob(ref, snapshot)
    size = client.get_blob_properties().size
    with open(path, "wb") as f:
        f.truncate(size)
        for r in client.get_page_ranges()[0]:
            at = r["start"]
            while at <= r["end"]:
                n = min(CHUNK, r["end"] + 1 - at)
                f.seek(at)
                f.write(client.download_blob(at, n).readall())
                at += n


def get_block(ref, path):
    """Download a block blob to FILE."""
    with open(path, "wb") as f:
        blob(ref).download_blob().readinto(f)


def sha256(ref, snapshot=None):
    """Print the SHA-256 of the contents."""
    h = hashlib.sha256()
    for piece in blob(ref, snapshot).download_blob().chunks():
        h.update(piece)
    print(h.hexdigest())


def allocated(ref, snapshot=None):
    """Print how many bytes of a page blob are allocated."""
    ranges = blob(ref, snapshot).get_page_ranges()[0]
    print(sum(r["end"] + 1 - r["start"] for r in ranges))


def props(ref, snapshot=None):
    """Print the properties as JSON."""
    p = blob(ref, snapshot).get_blob_properties()
    print(json.dumps({"size": p.size, "etag": p.etag, "type": str(p.blob_type.value),
                      "lease_state": p.lease.state, "lease_status": p.lease.status,
                      "metadata": p.metadata,
                      "md5": base64.b64encode(p.content_settings.content_md5 or b"").decode()}))


def meta(ref, *pairs):
    """Replace the metadata by NAME=VALUE..."""
    blob(ref).set_blob_metadata(dict(p.split("=", 1) for p in pairs))


def snapshot(ref):
    """Take a snapshot and print its time."""
    print(blob(ref).create_snapshot()["snapshot"])


def snapshots(ref):
    """Print the times of a blob's snapshots, oldest first."""
    cont, name = ref.split("/", 1)
    found = service.get_container_client(cont).list_blobs(name, include=["snapshots"])
    for time in sorted(b.snapshot for b in found if b.snapshot and b.name == name):
        print(time)


def delete(ref, snapshot=None):
    """Delete a snapshot, or a blob with all of them."""
    if snapshot:
        blob(ref, snapshot).delete_blob()
    else:
        blob(ref).delete_blob(delete_snapshots="include")


def names(cont):
    """Print the names of a container's blobs."""
    for b in service.get_container_client(cont).list_blobs():
        print(b.name)


def lease(ref, seconds="-1"):
    """Take a lease and print its id."""
    print(blob(ref).acquire_lease(int(seconds)).id)


def break_lease(ref):
    """Break the lease at once."""
    sdk.BlobLeaseClient(blob(ref)).break_lease(0)


def sas(kind, permissions, cont="hpcpackages"):
    """Print a SAS, KIND account or container, with PERMISSIONS such as rwdlc."""
    key = dict(p.split("=", 1) for p in cs.strip(";").split(";"))
    end = datetime.datetime.utcnow() + datetime.timedelta(hours=2)
    if kind == "account":
        everything = sdk.ResourceTypes(service=True, container=True, object=True)
        print(sdk.generate_account_sas(key["AccountName"], key["AccountKey"], everything,
                                       sdk.AccountSasPermissions.from_string(permissions), end,
                                       protocol="https,http"))
    else:
        permission = sdk.ContainerSasPermissions.from_string(permissions)
        print(sdk.generate_container_sas(key["AccountName"], cont, key["AccountKey"],
                                         permission=permission, expiry=end, protocol="https,http"))


COMMANDS = {f.__name__.replace("_", "-"): f for f in (
    container, page, block, empty, write, get, get_block, sha256, allocated, props, meta, snapshot,
    snapshots, delete, names, lease, break_lease, sas, blocks)}


def serve():
    """Run commands for whoever connects and knows the token, until killed."""
    token = secrets.token_hex(16)
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)
    print(listener.getsockname()[1], token, flush=True)
    signal.signal(signal.SIGINT, signal.SIG_DFL)   # Ctrl-C: end without a word
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for them
    while True:
        connection = listener.accept()[0]
        load_sdk()
        if os.fork() == 0:
            listener.close()
            answer(connection, token)
            os._exit(0)
        connection.close()


def answer(connection, token):
    """Read a request, run its command, send what it said."""
    out, err = io.StringIO(), io.StringIO()
    with connection.makefile("rwb") as stream:
        fields = read_fields(stream)
        if not fields or fields[0] != token:
            return
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = run(*fields[1:])
        for tag, text in ("1", out), ("2", err):
            for line in text.getvalue().removesuffix("\n").split("\n") if text.tell() else ():
                stream.write(f"{tag}{line}\n".encode("utf-8", "surrogateescape"))
        stream.write(f"={status}\n".encode())


def read_fields(stream):
    """The fields of a request; none if it ends early."""
    def field():
        data = bytearray()
        while (byte := stream.read(1)) != b"\0":
            if not byte:
                raise EOFError
            data += byte
        return os.fsdecode(bytes(data))

    try:
        return [field() for _ in range(int(field()))]
    except (EOFError, ValueError):
        return []


def run(connection_string, ca, folder, command, *arguments):
    """Run a command; its exit status."""
    try:
        os.chdir(folder)
        connect(connection_string, ca)
        COMMANDS[command](*arguments)
        return 0
    except Exception:
        traceback.print_exc()
        return 1


if __name__ == "__main__":
    if sys.argv[1:] == ["--serve"]:
        serve()
    if len(sys.argv) < 2 or sys.argv[1] not in COMMANDS:
        for name, function in COMMANDS.items():
            print(f"{name:12} {function.__doc__}")
        sys.exit(2)
    connect(os.environ["AZURE_STORAGE_CONNECTION_STRING"], os.environ.get("HPCPACK_TEST_CA"))
    COMMANDS[sys.argv[1]](*sys.argv[2:])
