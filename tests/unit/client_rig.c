#include <config.h>

#include "tests/unit/client_rig.h"

#include <stdlib.h>

struct fixture f;
struct err err;

uint64_t first_byte(const struct httpd_request *r)
{
	char range[64];

	return httpd_header(r, "Range", range, sizeof(range)) ? strtoull(range + 6, NULL, 10) : 0;
}

uint64_t last_byte(const struct httpd_request *r)
{
	char range[64];

	return httpd_header(r, "Range", range, sizeof(range)) ?
	       strtoull(strchr(range, '-') + 1, NULL, 10) : 0;
}

void send_part(int fd, const struct httpd_request *r, size_t really)
{
	uint64_t first = first_byte(r), len = last_byte(r) - first + 1;
	char head[256];

	snprintf(head, sizeof(head), "HTTP/1.1 206 x\r\nETag: \"1\"\r\nContent-Length: %llu\r\n"
		 "Content-Range: bytes %llu-%llu/%zu\r\n\r\n", (unsigned long long)len,
		 (unsigned long long)first, (unsigned long long)(first + len - 1), sizeof(f.data));
	httpd_text(fd, head);
	httpd_send(fd, f.data + first, really < len ? really : len);
}

int get(uint64_t offset, void *data, size_t len)
{
	return blob_get_range(f.client, &the_blob, offset, data, len, NULL, &err);
}

void put(struct waited *w, size_t len)
{
	blob_put_pages_start(f.client, &the_blob, 0, &(struct iovec){ f.data, len }, 1, NULL, "lease",
			     fixture_remember, w);
}

enum httpd_then serve_part(int fd, const struct httpd_request *r, void *arg)
{
	send_part(fd, r, SIZE_MAX);
	return HTTPD_KEEP;
}

enum httpd_then always_busy(int fd, const struct httpd_request *r, void *arg)
{
	httpd_reply(fd, 503, "Retry-After: 1\r\nx-ms-error-code: ServerBusy\r\nx-ms-request-id: id-1\r\n", "", 0);
	return HTTPD_KEEP;
}

enum httpd_then hang(int fd, const struct httpd_request *r, void *arg)
{
	httpd_hang(&f.server);
	return HTTPD_CLOSE;
}
