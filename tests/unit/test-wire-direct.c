/* Bulk requests and their replies on direct connections: what libcurl did for us before. */
#include <config.h>

#include "tests/unit/client_rig.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "blob/wire_direct.h"

#define LEN 4096
#define PART "Content-Range: bytes 0-4095/65536\r\nETag: \"1\"\r\n"

/* How the reply to a read is sent; on_connection of each request is remembered. */
static void (*reply)(int fd);
static unsigned on_connection;

static enum httpd_then answer(int fd, const struct httpd_request *r, void *arg)
{
	on_connection = r->on_connection;
	reply(fd);
	return HTTPD_KEEP;
}

static enum httpd_then answer_and_close(int fd, const struct httpd_request *r, void *arg)
{
	answer(fd, r, arg);
	return HTTPD_CLOSE;
}

static void send_data(int fd, size_t from, size_t to)
{
	httpd_send(fd, f.data + from, to - from);
}

/* --- bodies of every kind --- */

static void plain(int fd)
{
	httpd_text(fd, "HTTP/1.1 206 x\r\n" PART "Content-Length: 4096\r\n\r\n");
	send_data(fd, 0, LEN);
}

static void in_chunks(int fd)
{
	httpd_text(fd, "HTTP/1.1 206 x\r\n" PART "Transfer-Encoding: chunked\r\n\r\n800\r\n");
	send_data(fd, 0, 0x800);
	httpd_text(fd, "\r\n7ff;x=y\r\n");
	send_data(fd, 0x800, 0xfff);
	httpd_text(fd, "\r\n1\r\n");
	send_data(fd, 0xfff, LEN);
	httpd_text(fd, "\r\n0\r\nTrailer: z\r\n\r\n");
}

static void until_the_end(int fd)
{
	httpd_text(fd, "HTTP/1.0 206 x\r\n" PART "\r\n");
	send_data(fd, 0, LEN);
}

static void after_others(int fd)
{
	httpd_text(fd, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nETag: \"0\"\r\n\r\n");
	plain(fd);
}

static void byte_by_byte(int fd)
{
	static const char head[] = "HTTP/1.1 206 x\r\n" PART "Content-Length: 4096\r\n\r\n";
	size_t i;

	for (i = 0; i < sizeof(head) - 1; i++)
		httpd_send(fd, head + i, 1);
	for (i = 0; i < LEN; i++)
		send_data(fd, i, i + 1);
}

static void bodies(void **state)
{
	static const struct { void (*reply)(int fd); httpd_handler *handler; } kinds[] = {
		{ plain, answer }, { in_chunks, answer }, { until_the_end, answer_and_close },
		{ after_others, answer }, { byte_by_byte, answer },
	};
	unsigned char data[LEN];
	size_t i, n;

	for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		reply = kinds[i].reply;
		fixture_start(&f, kinds[i].handler, NULL);
		for (n = 1; n <= 3; n++) {
			memset(data, 0, sizeof(data));
			if (get(0, data, LEN) < 0)
				fail_msg("%zu: %s", i, err.msg);
			assert_memory_equal(data, f.data, LEN);
			assert_int_equal(on_connection, kinds[i].handler == answer ? n : 1);
		}
		assert_int_equal(httpd_requests(&f.server), 3);
		fixture_stop(&f);
	}
}

/* --- connections that can't be used again --- */

static void asks_to_close(int fd)
{
	httpd_text(fd, "HTTP/1.1 206 x\r\nConnection: close\r\n" PART "Content-Length: 4096\r\n\r\n");
	send_data(fd, 0, LEN);
}

/* In one piece: later it would be the reply to the next request, for all that anybody knows. */
static void says_more(int fd)
{
	static const char head[] = "HTTP/1.1 206 x\r\n" PART "Content-Length: 4096\r\n\r\n";
	static const char more[] = "HTTP/1.1 200 and more\r\nContent-Length: 0\r\n\r\n";
	char all[sizeof(head) + LEN + sizeof(more)];

	memcpy(all, head, sizeof(head) - 1);
	memcpy(all + sizeof(head) - 1, f.data, LEN);
	memcpy(all + sizeof(head) - 1 + LEN, more, sizeof(more) - 1);
	httpd_send(fd, all, sizeof(head) - 1 + LEN + sizeof(more) - 1);
}

static void not_again(void **state)
{
	void (*const replies[])(int fd) = { asks_to_close, says_more };
	unsigned char data[LEN];
	size_t i, n;

	for (i = 0; i < sizeof(replies) / sizeof(replies[0]); i++) {
		reply = replies[i];
		fixture_start(&f, answer, NULL);
		for (n = 1; n <= 3; n++) {
			assert_int_equal(get(0, data, LEN), 0);
			assert_memory_equal(data, f.data, LEN);
			assert_int_equal(on_connection, 1);
		}
		fixture_stop(&f);
	}
}

/* --- what is wrong --- */

static void two_lengths(int fd)
{
	httpd_text(fd, "HTTP/1.1 206 x\r\n" PART "Content-Length: 4096\r\nContent-Length: 100\r\n\r\n");
	send_data(fd, 0, LEN);
}

static void length_and_chunks(int fd)
{
	httpd_text(fd, "HTTP/1.1 206 x\r\n" PART "Content-Length: 4096\r\nTransfer-Encoding: chunked\r\n\r\n800\r\n");
}

static void no_length(int fd)
{
	httpd_text(fd, "HTTP/1.1 206 x\r\n" PART "Content-Length: 0x1000\r\n\r\n");
}

static void nul_in_head(int fd)
{
	httpd_send(fd, "HTTP/1.1 206 x\r\nA: b\0c\r\n", 24);
	httpd_text(fd, PART "Content-Length: 4096\r\n\r\n");
	send_data(fd, 0, LEN);
}

static void wrong_chunk(int fd)
{
	httpd_text(fd, "HTTP/1.1 206 x\r\n" PART "Transfer-Encoding: chunked\r\n\r\nx\r\n");
}

static void another_protocol(int fd)
{
	httpd_text(fd, "HTTP/1.1 101 x\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n");
	plain(fd);
}

static void nonsense(void **state)
{
	void (*const replies[])(int fd) = { two_lengths, length_and_chunks, no_length, nul_in_head, wrong_chunk,
					    another_protocol };
	unsigned char data[LEN];
	size_t i;

	for (i = 0; i < sizeof(replies) / sizeof(replies[0]); i++) {
		reply = replies[i];
		fixture_start(&f, answer, NULL);
		if (get(0, data, LEN) == 0)
			fail_msg("%zu is taken for good", i);
		assert_code(&err, ERR_PROTOCOL);
		assert_int_equal(httpd_requests(&f.server), 1);
		fixture_stop(&f);
	}
}

/* --- a reply before all of a write has left --- */

struct early {
	int fd;
	struct httpd_request request;
};

/* httpd reads a request to its end, so this one listens for itself. */
static void *refuse_early(void *arg)
{
	struct early *e = arg;
	int fd = accept(e->fd, NULL, NULL);
	char head[8192];

	assert_true(recv(fd, head, sizeof(head), 0) > 0);
	httpd_text(fd, "HTTP/1.1 412 x\r\nx-ms-error-code: LeaseLost\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
	shutdown(fd, SHUT_WR);
	usleep(200000);
	close(fd);
	return NULL;
}

static void early_reply(void **state)
{
	static unsigned char much[4 << 20];
	struct waited w = WAITED_INIT;
	struct early e;
	struct sockaddr_storage address;
	socklen_t len = sizeof(address);
	pthread_t thread;

	fixture_start(&f, serve_part, NULL);
	/* its port, but it is ours */
	assert_int_equal(getsockname(f.server.fd, (struct sockaddr *)&address, &len), 0);
	httpd_stop(&f.server);
	e.fd = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	setsockopt(e.fd, SOL_SOCKET, SO_REUSEADDR, &(int){ 1 }, sizeof(int));
	assert_int_equal(bind(e.fd, (struct sockaddr *)&address, len), 0);
	assert_int_equal(listen(e.fd, 1), 0);
	pthread_create(&thread, NULL, refuse_early, &e);
	blob_put_pages_start(f.client, &the_blob, 0, &(struct iovec){ much, sizeof(much) }, 1, NULL, "lease",
			     fixture_remember, &w);
	waited_wait(&w);
	pthread_join(thread, NULL);
	assert_code(&w.err, ERR_LEASE_LOST);
	assert_false(w.unknown);
	close(e.fd);
	blob_client_free(f.client);
}

/* --- what goes this way --- */

static void fits(void **state)
{
	struct iovec iov = { f.data, 1 };
	struct exchange x = { .method = "GET", .url = "http://storage.example:80/acc/c/b", .sink = &iov, .sink_count = 1 };

	unsetenv("http_proxy");
	assert_true(wire_direct_fits(&x));
	setenv("http_proxy", "http://proxy.example:3128", 1);
	assert_false(wire_direct_fits(&x));
	x.url = "http://127.0.0.1:10000/acc/c/b"; /* never by a proxy */
	assert_true(wire_direct_fits(&x));
	unsetenv("http_proxy");
	x.sink = NULL;
	assert_false(wire_direct_fits(&x));
	x.method = "PUT";
	assert_false(wire_direct_fits(&x));
	x.body = &iov;
	x.body_len = 1;
	assert_true(wire_direct_fits(&x));
	x.url = "http://user@127.0.0.1:10000/acc/c/b";
	assert_false(wire_direct_fits(&x));
}

/* The server as a proxy: then it is libcurl that moves the bytes. */
static enum httpd_then be_a_proxy(int fd, const struct httpd_request *r, void *arg)
{
	f.seen += !strncmp(r->target, "http://storage.example/acc/c/dir/b.vhd", 38);
	if (!strcmp(r->method, "GET"))
		send_part(fd, r, SIZE_MAX);
	else
		httpd_reply(fd, r->body_len == LEN && !memcmp(r->body, f.data, LEN) ? 201 : 400, "", "", 0);
	return HTTPD_KEEP;
}

static void by_a_proxy(void **state)
{
	unsigned char data[LEN] = { 0 };
	struct waited w = WAITED_INIT;
	char proxy[64];

	fixture_start(&f, be_a_proxy, NULL);
	blob_client_free(f.client);
	snprintf(proxy, sizeof(proxy), "http://127.0.0.1:%d", f.server.port);
	setenv("http_proxy", proxy, 1);
	fixture_client(&f, "http://storage.example/acc", NULL);
	if (get(0, data, LEN) < 0)
		fail_msg("%s", err.msg);
	assert_memory_equal(data, f.data, LEN);
	put(&w, LEN);
	waited_wait(&w);
	assert_code(&w.err, ERR_NONE);
	assert_int_equal(f.seen, 2);
	unsetenv("http_proxy");
	fixture_stop(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bodies),
		cmocka_unit_test(not_again),
		cmocka_unit_test(nonsense),
		cmocka_unit_test(early_reply),
		cmocka_unit_test(fits),
		cmocka_unit_test(by_a_proxy),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
