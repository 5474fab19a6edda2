/* The input is what a service sends on a direct connection: a seed for how it is cut into
 * pieces, and the bytes. Bodies that go straight into the memory they are for must come
 * out the same as those that pass through a buffer. */
#include <config.h>

#include "fuzz.h"

#include <string.h>

#include "blob/wire_reply.h"

#define SINK 100

struct run {
	struct exchange x;
	struct wire_reply r;
	struct iovec iov[2];
	uint8_t sink[SINK];
	size_t used;
	enum wire_result result;
	bool wrong;
};

static void begin(struct run *run)
{
	memset(run, 0, sizeof(*run));
	run->x.head = (struct buf)BUF_INIT(300);
	run->x.error_body = (struct buf)BUF_INIT(50);
	run->iov[0] = (struct iovec){ run->sink, 37 };
	run->iov[1] = (struct iovec){ run->sink + 37, SINK - 37 };
	run->x.sink = run->iov;
	run->x.sink_count = 2;
	run->x.sink_len = SINK;
	wire_reply_init(&run->r, &run->x);
}

static bool over(const struct run *run)
{
	return run->wrong || run->r.complete;
}

static void end(struct run *run)
{
	if (!over(run))
		wire_reply_end(&run->r);
	run->wrong = wire_reply_wrong(&run->r, &run->result);
	must(run->x.received <= SINK && run->x.head.len <= 300 && run->x.error_body.len <= 50);
	must(!run->r.complete || !run->wrong);
	must(!run->r.complete || (run->x.status >= 200 && run->x.status <= 999));
	must(!run->x.head.data || !memchr(run->x.head.data, 0, run->x.head.len));
}

static void feed(struct run *run, const uint8_t *data, size_t len, bool direct)
{
	struct iovec room[3];
	int count = direct ? wire_reply_room(&run->r, room, 3) : 0;
	size_t n = 0, done = 0;
	int i;

	for (i = 0; i < count && n < len; i++) {
		size_t part = room[i].iov_len < len - n ? room[i].iov_len : len - n;

		memcpy(room[i].iov_base, data + n, part);
		n += part;
	}
	if (n) {
		done = wire_reply_feed_room(&run->r, n);
		must(done == n);
	}
	run->wrong = wire_reply_wrong(&run->r, &run->result);
	if (done < len && !over(run)) {
		if (n) {
			feed(run, data + n, len - n, direct);
			return;
		}
		done = wire_reply_feed(&run->r, (const char *)data, len);
		run->wrong = wire_reply_wrong(&run->r, &run->result);
		must(done == len || over(run));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct run direct, buffered;
	size_t at, n, step;

	if (!len)
		return 0;
	step = 1 + data[0];
	begin(&direct);
	begin(&buffered);
	for (at = 1; at < len && !over(&direct); at += n) {
		n = step < len - at ? step : len - at;
		feed(&direct, data + at, n, true);
		feed(&buffered, data + at, n, false);
		must(over(&direct) == over(&buffered));
	}
	end(&direct);
	end(&buffered);
	must(direct.r.complete == buffered.r.complete && direct.r.keep == buffered.r.keep);
	must(direct.result == buffered.result && direct.x.status == buffered.x.status);
	must(direct.x.received == buffered.x.received || direct.wrong);
	must(direct.wrong || !memcmp(direct.sink, buffered.sink, (size_t)direct.x.received));
	must(!strcmp(buf_str(&direct.x.head), buf_str(&buffered.x.head)));
	buf_free(&direct.x.head);
	buf_free(&direct.x.error_body);
	buf_free(&buffered.x.head);
	buf_free(&buffered.x.error_body);
	return 0;
}
