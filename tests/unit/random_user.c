#include <config.h>

#include "tests/unit/random_user.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BATCH 6
#define MAX_STEP 4096u     /* between two reads in sequence */

enum kind { OP_READ, OP_WRITE, OP_DISCARD, OP_FLUSH };

struct op {
	struct io io;
	enum kind kind;
	uint64_t offset;
	uint32_t len;
	unsigned char *data;
};

void random_seed(struct random_state *s, uint64_t seed)
{
	s->x = (seed + 1) * UINT64_C(0x9E3779B97F4A7C15);
	s->x ^= s->x >> 31;
	s->x |= 1;
}

uint64_t random_next(struct random_state *s)
{
	s->x ^= s->x << 13;
	s->x ^= s->x >> 7;
	s->x ^= s->x << 17;
	return s->x;
}

uint64_t random_below(struct random_state *s, uint64_t n)
{
	return n ? (random_next(s) >> 16) % n : 0;
}

void random_fail(const struct world *w, const char *fmt, ...)
{
	const char *cache = getenv("HPCPACK_RANDOM_CACHE");
	struct lease_info lease = { .reason = "" };
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (w->rig.k)
		lease_keeper_info(w->rig.k, &lease);
	if (lease.reason[0])
		printf("# the lease: %s\n", lease.reason);
	printf("Bail out! %s (again with HPCPACK_SEED=%" PRIu64 "%s%s)\n", text, w->seed,
	       cache ? " HPCPACK_RANDOM_CACHE=" : "", cache ? cache : "");
	fflush(stdout);
	abort();
}

/* --- what a byte may be ---------------------------------------------------------- */

static bool allowed(const struct user *u, uint64_t i, unsigned char got)
{
	switch (u->sure[i]) {
	case SURE:
		return got == u->cur[i];
	case EITHER:
		return got == u->cur[i] || got == u->alt[i];
	default:
		return true;
	}
}

static void touch_versions(struct user *u, uint64_t offset, uint32_t len)
{
	uint64_t b, last = (offset - u->start + len - 1) / VERSION_BLOCK;

	for (b = (offset - u->start) / VERSION_BLOCK; b <= last; b++)
		u->version[b]++;
}

/* A change sets out: from now on the bytes may be as before or as after it. */
static void change_begins(struct user *u, const struct op *o)
{
	uint64_t i, from = o->offset - u->start;

	touch_versions(u, o->offset, o->len);
	for (i = from; i < from + o->len; i++) {
		if (u->sure[i] == SURE) {
			u->alt[i] = u->cur[i];
			u->sure[i] = EITHER;
		} else {
			u->sure[i] = ANYTHING;
		}
		u->cur[i] = o->kind == OP_DISCARD ? 0 : o->data[i - from];
		u->changed[i] = u->batch;
	}
}

static void change_ends(struct user *u, const struct op *o)
{
	if (o->io.rc == 0)
		memset(u->sure + (o->offset - u->start), SURE, o->len);
	touch_versions(u, o->offset, o->len);
}

static void check_read(struct user *u, const struct op *o)
{
	uint64_t i, from = o->offset - u->start;

	for (i = 0; i < o->len; i++)
		if (!allowed(u, from + i, o->data[i]))
			random_fail(u->world, "read of %u bytes at %" PRIu64 ": byte %" PRIu64
				    " is 0x%02x, not 0x%02x (0x%02x, sure %d, changed in batch %u of %u)",
				    o->len, o->offset, o->offset + i, o->data[i], u->cur[from + i],
				    u->alt[from + i], u->sure[from + i], u->changed[from + i], u->batch);
}

/* Storage against the bytes whose last change came before batch `before`. */
static void check_stored(struct user *u, uint64_t offset, uint64_t len, uint32_t before, const char *when)
{
	uint64_t start = offset / BLOB_PAGE * BLOB_PAGE, i;
	uint64_t end = (offset + len + BLOB_PAGE - 1) / BLOB_PAGE * BLOB_PAGE;
	unsigned char *got = malloc(end - start);

	rig_peek(&u->world->rig, start, end - start, got);
	pthread_mutex_lock(&u->lock);
	for (i = offset - u->start; i < offset - u->start + len; i++)
		if (u->changed[i] < before && !allowed(u, i, got[u->start + i - start]))
			random_fail(u->world, "%s: byte %" PRIu64 " in storage is 0x%02x, not 0x%02x (0x%02x, sure %d, changed in "
				    "batch %u, flushed before %u)", when, u->start + i, got[u->start + i - start],
				    u->cur[i], u->alt[i], u->sure[i], u->changed[i], before);
	pthread_mutex_unlock(&u->lock);
	free(got);
}

void users_check_stored(struct world *w, bool all)
{
	int i;

	for (i = 0; i < USERS; i++) {
		struct user *u = &w->users[i];

		check_stored(u, u->start, u->len, all ? UINT32_MAX : u->flushed, "in the end");
	}
}

/* --- one batch --------------------------------------------------------------------- */

static uint32_t random_len(struct user *u, uint64_t most)
{
	uint64_t len;

	switch (random_below(&u->random, 6)) {
	case 0:
		len = 1 + random_below(&u->random, 100);
		break;
	case 1:
		len = 512 * (1 + random_below(&u->random, 8));
		break;
	case 2:
		len = 1 + random_below(&u->random, 20000);
		break;
	case 3:
		len = 4096 * (1 + random_below(&u->random, 16));
		break;
	case 4:
		len = 65536;
		break;
	default:
		len = 1 + random_below(&u->random, disk_max_io(u->world->rig.d));
		break;
	}
	if (len > disk_max_io(u->world->rig.d))
		len = disk_max_io(u->world->rig.d);
	return (uint32_t)(len < most ? len : most);
}

static void random_place(struct user *u, struct op *o)
{
	o->len = random_len(u, u->len);
	o->offset = u->start + random_below(&u->random, u->len - o->len + 1);
	/* Half of them aligned, where the range allows it. */
	if (random_below(&u->random, 2)) {
		uint64_t aligned = o->offset / 4096 * 4096;

		if (aligned >= u->start)
			o->offset = aligned;
	}
}

/* Most reads go on where the last one ended, slightly out of order as the kernel's
 * do: read-ahead, and what it throws away, are under test too. */
static void read_place(struct user *u, struct op *o)
{
	random_place(u, o);
	if (u->next + MAX_STEP < u->start + u->len && random_below(&u->random, 8)) {
		o->offset = u->next + random_below(&u->random, 2) * random_below(&u->random, MAX_STEP);
		if (o->len > u->start + u->len - o->offset)
			o->len = (uint32_t)(u->start + u->len - o->offset);
	}
	u->next = o->offset + o->len;
}

static bool overlaps_change(const struct op *ops, int n, const struct op *o)
{
	int i;

	for (i = 0; i < n; i++)
		if ((ops[i].kind == OP_WRITE || ops[i].kind == OP_DISCARD) &&
		    ops[i].offset < o->offset + o->len && o->offset < ops[i].offset + ops[i].len)
			return true;
	return false;
}

static void fill_data(struct user *u, struct op *o)
{
	uint64_t i, word;

	if (random_below(&u->random, 7) == 0) {
		memset(o->data, 0, o->len);
		return;
	}
	for (i = 0; i < o->len; i += 8) {
		word = random_next(&u->random);
		memcpy(o->data + i, &word, o->len - i < 8 ? o->len - i : 8);
	}
}

static enum kind random_kind(struct user *u)
{
	uint64_t x = random_below(&u->random, 100);

	if (x < 45)
		return OP_WRITE;
	if (x < 87)
		return OP_READ;
	if (x < 92 && u->world->discards)
		return OP_DISCARD;
	return OP_FLUSH;
}

/* Changes of one batch don't overlap each other; its reads may overlap anything. */
static int make_batch(struct user *u, struct op *ops)
{
	int n = 1 + (int)random_below(&u->random, BATCH), i;

	for (i = 0; i < n; i++) {
		struct op *o = &ops[i];

		o->kind = random_kind(u);
		random_place(u, o);
		if ((o->kind == OP_WRITE || o->kind == OP_DISCARD) && overlaps_change(ops, i, o))
			o->kind = OP_READ;
		if (o->kind == OP_READ)
			read_place(u, o);
		if (o->kind == OP_WRITE)
			fill_data(u, o);
	}
	return n;
}

static void start_op(struct user *u, struct op *o)
{
	struct rig *r = &u->world->rig;

	switch (o->kind) {
	case OP_READ:
		io_read(r, &o->io, o->offset, o->len, o->data);
		break;
	case OP_WRITE:
		io_write(r, &o->io, o->offset, o->len, o->data);
		break;
	case OP_DISCARD:
		io_discard(r, &o->io, o->offset, o->len);
		break;
	case OP_FLUSH:
		io_flush(r, &o->io);
		break;
	}
}

/* False when the user must stop: the lease is lost, and rightly. */
static bool check_error(struct user *u, const struct op *o)
{
	struct world *w = u->world;
	const struct err *e = &o->io.err;

	atomic_fetch_add(&w->failed_ops, 1);
	if (e->code == ERR_LEASE_LOST) {
		if (!atomic_load(&w->taken))
			random_fail(w, "a %s says that the lease is lost, and nobody took it: %s", o->io.what, e->msg);
		return false;
	}
	if (!w->errors_allowed)
		random_fail(w, "a %s failed though nothing was wrong: %s", o->io.what, e->msg);
	if (e->code != ERR_TIMEOUT && e->code != ERR_SERVER && e->code != ERR_NETWORK)
		random_fail(w, "a %s failed with a strange error: %s", o->io.what, e->msg);
	return true;
}

static bool run_batch(struct user *u, struct op *ops, int n)
{
	struct world *w = u->world;
	bool go_on = true, flushed = false;
	int i;

	pthread_mutex_lock(&u->lock);
	u->batch++;
	for (i = 0; i < n; i++)
		if (ops[i].kind == OP_WRITE || ops[i].kind == OP_DISCARD)
			change_begins(u, &ops[i]);
	pthread_mutex_unlock(&u->lock);

	for (i = 0; i < n; i++)
		start_op(u, &ops[i]);
	for (i = 0; i < n; i++) {
		if (io_wait(&ops[i].io) < 0)
			go_on &= check_error(u, &ops[i]);
		else if (ops[i].kind == OP_FLUSH)
			flushed = true;
	}
	atomic_fetch_add(&w->ops, (unsigned)n);

	/* Once the lease is gone, what was not flushed may be as it was before. */
	go_on = go_on && !atomic_load(&w->taken);
	pthread_mutex_lock(&u->lock);
	for (i = 0; go_on && i < n; i++)
		if (ops[i].kind == OP_READ && ops[i].io.rc == 0)
			check_read(u, &ops[i]);
	for (i = 0; i < n; i++)
		if (ops[i].kind == OP_WRITE || ops[i].kind == OP_DISCARD)
			change_ends(u, &ops[i]);
	if (flushed)
		u->flushed = u->batch;
	pthread_mutex_unlock(&u->lock);

	if (flushed && !w->overlay)
		check_stored(u, u->start, u->len, u->batch, "after a flush");
	for (i = 0; w->sync_writes && i < n; i++)
		if (ops[i].kind == OP_WRITE && ops[i].io.rc == 0)
			check_stored(u, ops[i].offset, ops[i].len, UINT32_MAX, "after a synchronous write");
	return go_on;
}

static bool time_is_up(struct world *w)
{
	if (atomic_load(&w->stop))
		return true;
	return w->max_ops ? atomic_load(&w->ops) >= w->max_ops : model_now() >= w->until;
}

static void *user_main(void *arg)
{
	struct user *u = arg;
	struct op ops[BATCH];
	int i;

	for (i = 0; i < BATCH; i++) {
		io_init(&ops[i].io);
		ops[i].data = malloc(disk_max_io(u->world->rig.d));
	}
	while (!time_is_up(u->world))
		if (!run_batch(u, ops, make_batch(u, ops)))
			break;
	for (i = 0; i < BATCH; i++) {
		io_destroy(&ops[i].io);
		free(ops[i].data);
	}
	return NULL;
}

/* --- the one who only looks --------------------------------------------------------- */

/* The versions of the user's blocks that the read touches; false if none. */
static bool versions_of(struct user *u, const struct op *o, uint32_t *versions)
{
	uint64_t from = o->offset > u->start ? o->offset - u->start : 0, b;
	uint64_t end = o->offset + o->len - u->start;

	if (o->offset >= u->start + u->len || o->offset + o->len <= u->start)
		return false;
	if (end > u->len)
		end = u->len;
	pthread_mutex_lock(&u->lock);
	for (b = from / VERSION_BLOCK; b <= (end - 1) / VERSION_BLOCK; b++)
		versions[b] = u->version[b];
	pthread_mutex_unlock(&u->lock);
	return true;
}

/* Bytes of blocks that nobody touched from before the read until now. */
static void check_still(struct user *u, const struct op *o, const uint32_t *versions)
{
	uint64_t pos, end = o->offset + o->len;

	pthread_mutex_lock(&u->lock);
	for (pos = o->offset < u->start ? u->start : o->offset; pos < end && pos < u->start + u->len; pos++) {
		uint64_t i = pos - u->start, b = i / VERSION_BLOCK;

		if (versions[b] % 2 || versions[b] != u->version[b] || allowed(u, i, o->data[pos - o->offset]))
			continue;
		if (atomic_load(&u->world->taken))
			break;
		random_fail(u->world, "somebody else's read: byte %" PRIu64 " is 0x%02x, not 0x%02x (sure %d)", pos,
			    o->data[pos - o->offset], u->cur[i], u->sure[i]);
	}
	pthread_mutex_unlock(&u->lock);
}

static void *reader_main(void *arg)
{
	struct user *me = arg;
	struct world *w = me->world;
	uint32_t *versions[USERS];
	bool touched[USERS];
	struct op o = { .kind = OP_READ };
	int i;

	io_init(&o.io);
	o.data = malloc(disk_max_io(w->rig.d));
	for (i = 0; i < USERS; i++)
		versions[i] = calloc(w->users[i].len / VERSION_BLOCK + 1, sizeof(uint32_t));
	while (!time_is_up(w)) {
		read_place(me, &o);
		for (i = 0; i < USERS; i++)
			touched[i] = versions_of(&w->users[i], &o, versions[i]);
		start_op(me, &o);
		if (io_wait(&o.io) < 0)
			check_error(me, &o);
		else
			for (i = 0; i < USERS; i++)
				if (touched[i])
					check_still(&w->users[i], &o, versions[i]);
		atomic_fetch_add(&w->ops, 1);
	}
	io_destroy(&o.io);
	free(o.data);
	for (i = 0; i < USERS; i++)
		free(versions[i]);
	return NULL;
}

/* --- all of them ----------------------------------------------------------------------- */

static void user_init(struct world *w, struct user *u, uint64_t start, uint64_t len, uint64_t seed)
{
	uint64_t first = start / BLOB_PAGE * BLOB_PAGE;
	uint64_t end = (start + len + BLOB_PAGE - 1) / BLOB_PAGE * BLOB_PAGE;
	unsigned char *pages = malloc(end - first);

	u->world = w;
	u->start = start;
	u->len = len;
	u->next = start;
	random_seed(&u->random, seed);
	pthread_mutex_init(&u->lock, NULL);
	u->cur = malloc(len);
	u->alt = calloc(1, len);
	u->sure = calloc(1, len);
	u->changed = calloc(len, sizeof(*u->changed));
	u->version = calloc(len / VERSION_BLOCK + 1, sizeof(*u->version));
	rig_peek(&w->rig, first, end - first, pages);
	memcpy(u->cur, pages + (start - first), len);
	free(pages);
}

void users_start(struct world *w)
{
	uint64_t share = w->rig.size / USERS, start = 0, end;
	int i;

	for (i = 0; i < USERS; i++) {
		end = i == USERS - 1 ? w->rig.size : (uint64_t)(i + 1) * share + (uint64_t)i * 77 + 13;
		user_init(w, &w->users[i], start, end - start, w->seed * 100 + (uint64_t)i);
		start = end;
	}
	w->reader.world = w;
	w->reader.start = 0;
	w->reader.len = w->rig.size;
	random_seed(&w->reader.random, w->seed * 100 + USERS);
	for (i = 0; i < USERS; i++)
		pthread_create(&w->users[i].thread, NULL, user_main, &w->users[i]);
	pthread_create(&w->reader.thread, NULL, reader_main, &w->reader);
}

void users_join(struct world *w)
{
	int i;

	for (i = 0; i < USERS; i++)
		pthread_join(w->users[i].thread, NULL);
	atomic_store(&w->stop, true);
	pthread_join(w->reader.thread, NULL);
}

void users_free(struct world *w)
{
	int i;

	for (i = 0; i < USERS; i++) {
		struct user *u = &w->users[i];

		free(u->cur);
		free(u->alt);
		free(u->sure);
		free(u->changed);
		free(u->version);
		pthread_mutex_destroy(&u->lock);
	}
}
