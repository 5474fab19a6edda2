"""nginx as the storage service: blobs are files that it serves by ranges, everything
else that a drive asks for has one constant answer. What is written is thrown away.

Endpoints, each with the same blobs:  /near  at once, /far 20 ms and /close 2 ms a
request, and https for /near. /plain/ is the files themselves, /sink takes any PUT."""

import os
import socket
import subprocess
import time

SNAPSHOT = "2026-01-01T00:00:00.0000000Z"
MODULE = "/usr/lib/nginx/modules/ngx_http_echo_module.so"

CONF = """
load_module {module};
user root; daemon off; worker_processes 1; pid {dir}/pid; error_log {dir}/error.log;
events {{ worker_connections 1024; }}
http {{
	log_format short '$request_method $arg_comp $http_content_length';
	access_log off; sendfile on; keepalive_requests 100000000; keepalive_timeout 600s;
	client_max_body_size 0; client_body_buffer_size 64k; default_type application/octet-stream;
	client_body_temp_path {dir}/body; proxy_temp_path {dir}/proxy; fastcgi_temp_path {dir}/f;
	uwsgi_temp_path {dir}/u; scgi_temp_path {dir}/s;
	ssl_certificate {dir}/cert.pem; ssl_certificate_key {dir}/cert.key;
	open_log_file_cache max=8;
	map $request_uri $log_name {{ default "";{logs} }}
	map $arg_comp $lease_id {{ default $http_x_ms_lease_id; lease $http_x_ms_proposed_lease_id; }}
	server {{
		listen 127.0.0.1:{port} backlog=1024; listen 127.0.0.1:{tls} ssl;
		root {dir}/www; include {dir}/common.conf;
		{access_log}
{locations}
	}}
}}
"""

# `if` blocks hold nothing but return and rewrite, the only things that are safe there.
BLOB = """
		location ~ ^/near/drives/({pattern})$ {{
			if ($request_method ~ "PUT|DELETE") {{ rewrite ^ /written last; }}
			if ($arg_comp = pagelist) {{ rewrite ^ /ranges/{name}.xml last; }}
			add_header x-ms-blob-type PageBlob; add_header x-ms-lease-state available;
			add_header x-ms-lease-status unlocked; add_header x-ms-snapshot {snapshot};
			alias {file};
		}}
		location = /ranges/{name}.xml {{
			root {dir}/www; default_type application/xml;
			add_header x-ms-blob-content-length {size};
		}}
"""

COMMON = """
		location = /written {
			internal;
			add_header ETag '"0x1"' always; add_header x-ms-lease-id $lease_id always;
			add_header x-ms-request-id 0 always; add_header x-ms-copy-status success always;
			add_header x-ms-copy-id 1 always; return 201;
		}
		location /near/ {
			if ($request_method ~ "PUT|DELETE") { rewrite ^ /written last; }
			return 404;
		}
		location /sink { return 201; }
"""

DELAYED = """
		location ~ ^/{name}/(.*)$ {{
			echo_read_request_body; echo_sleep {seconds}; echo_exec /near/$1 $args;
		}}
		location ~ ^/{name}-plain/(.*)$ {{ echo_sleep {seconds}; echo_exec /plain/$1; }}
		location ~ ^/{name}-sink {{ echo_read_request_body; echo_sleep {seconds}; echo_exec /sink; }}
"""

ACCESS_LOG = "access_log {dir}/$log_name.log short if=$log_name;"

DELAYS = {"far": 0.020, "close": 0.002}


def ranges_xml(ranges):
    """A Get Page Ranges reply; ranges are (offset, length)."""
    return '<?xml version="1.0" encoding="utf-8"?><PageList>' + "".join(
        f"<PageRange><Start>{start}</Start><End>{start + length - 1}</End></PageRange>"
        for start, length in ranges) + "</PageList>"


def free_ports(count):
    held = [socket.socket() for _ in range(count)]
    for s in held:
        s.bind(("127.0.0.1", 0))
    ports = [s.getsockname()[1] for s in held]
    for s in held:
        s.close()
    return ports


class Service:
    def __init__(self, rig):
        self.rig, self.blobs, self.process = rig, {}, None
        self.plain, self.logged = None, ""
        self.port, self.tls = free_ports(2)
        self.dir = rig.path("nginx")
        os.makedirs(self.dir + "/www/ranges", exist_ok=True)

    def certificate(self):
        pem = self.dir + "/cert.pem"
        if not os.path.exists(pem):
            self.rig.run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
                         "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1",
                         "-keyout", self.dir + "/cert.key", "-out", pem)
        return pem

    def add(self, name, file, ranges=None, pattern=None, log=False):
        """Serve a file as the page blob drives/NAME; (re)starts nginx if it is new."""
        if name in self.blobs:
            return
        size = os.path.getsize(file)
        with open(f"{self.dir}/www/ranges/{name}.xml", "w", encoding="utf-8") as f:
            f.write(ranges_xml(ranges or [(0, size)]))
        pattern = pattern or name.replace(".", r"\.")
        self.blobs[name] = BLOB.format(name=name, file=file, size=size, dir=self.dir, snapshot=SNAPSHOT,
                                       pattern=pattern)
        if log:
            self.logged += f' "~/drives/{pattern}" {name};'
        self.restart()

    def serve_plain(self, folder):
        if self.plain != folder:
            self.plain = folder
            self.restart()

    def requests(self, name):
        """(method, comp, bytes of the body) of each request for a blob that is logged."""
        if not os.path.exists(f"{self.dir}/{name}.log"):
            return []
        with open(f"{self.dir}/{name}.log", encoding="utf-8") as f:
            fields = [line.split() for line in f]
        return [(method, comp, 0 if size == "-" else int(size)) for method, comp, size in fields]

    def restart(self):
        if self.process:
            self.rig.end(self.process)
        self.certificate()
        locations = "".join(self.blobs.values())
        locations += "".join(DELAYED.format(name=n, seconds=s) for n, s in DELAYS.items())
        if self.plain:
            locations += f"\t\tlocation /plain/ {{ alias {self.plain}/; autoindex on; }}\n"
        with open(f"{self.dir}/common.conf", "w", encoding="utf-8") as f:
            f.write(COMMON)
        with open(f"{self.dir}/nginx.conf", "w", encoding="utf-8") as f:
            f.write(CONF.format(module=MODULE, dir=self.dir, port=self.port, tls=self.tls,
                                locations=locations, logs=self.logged,
                                access_log=ACCESS_LOG.format(dir=self.dir) if self.logged else ""))
        self.process = self.rig.spawn("nginx.log", "nginx", "-p", self.dir, "-c",
                                      f"{self.dir}/nginx.conf", "-e", f"{self.dir}/error.log")
        end = time.monotonic() + 10
        while self.process.poll() is None and time.monotonic() < end:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                time.sleep(0.02)
        with open(f"{self.rig.dir}/nginx.log", encoding="utf-8") as f:
            raise subprocess.SubprocessError("nginx does not answer: " + f.read()[-300:])

    def url(self, path, tls=False):
        return f"https://127.0.0.1:{self.tls}/{path}" if tls else f"http://127.0.0.1:{self.port}/{path}"

    def account(self, endpoint=None):
        """A connection string; `endpoint` is near, far, close or tls."""
        base = self.url("near", True) if endpoint == "tls" else self.url(endpoint or "near")
        return f"BlobEndpoint={base};AccountName=bench;AccountKey=YmVuY2htYXJr"
