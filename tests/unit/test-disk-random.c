/*
 * The virtual disk under random users and a random network, compared with what
 * they know (random_user.h). Rounds of about a second, each with its own seed,
 * cache, faults and end.
 *
 *   HPCPACK_SEED=N             begin with the round of this seed
 *   HPCPACK_RANDOM_OPS=N       so many operations, rather than 8 seconds (with
 *                              HPCPACK_TEST_QUICK 4)
 *   HPCPACK_RANDOM_CACHE=N     a cache of so many bytes, rather than 1 or 2 MiB
 */
#include <config.h>

#include "tests/unit/unit.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "blob/base/log.h"
#include "tests/unit/random_user.h"
#include "tests/unit/scratch.h"
#include "vhd/pcache.h"

#define DEFAULT_MS 8000
#define QUICK_MS 4000
#define ROUND_MS 1000
#define ROUND_OPS 4000
#define LATE_MS 60

enum round_kind {
	ROUND_CALM,       /* nothing fails */
	ROUND_FAULTS,     /* errors, lost replies, late arrivals */
	ROUND_OUTAGES,    /* and no network for longer than the lease lasts */
	ROUND_TAKEN,      /* and in the end somebody takes the lease by force */
	ROUND_OVERLAY,    /* a snapshot with its overlay */
	ROUND_KINDS
};
static const char *const kind_names[] = { "calm", "faults", "outages", "taken", "overlay" };

struct round {
	struct world w;
	enum round_kind kind;
	struct random_state random;
	pthread_t chaos;
	atomic_bool chaos_ends;
	unsigned char *taken_image;   /* storage when the lease was taken */
	struct pcache *pcache;        /* in half of the rounds */
	unsigned char *first_image;   /* storage at the start, if there is one */
};

static void nap_ms(unsigned ms)
{
	nanosleep(&(struct timespec){ .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L }, NULL);
}

static uint64_t fill_seed;

/* About half of it, in pieces. */
static void fill_some(struct rig *r)
{
	struct random_state s;
	unsigned char page[8192];
	uint64_t pos, i;

	random_seed(&s, fill_seed);
	for (pos = 0; pos + sizeof(page) <= r->size; pos += sizeof(page)) {
		if (pos >> 18 & 1 && random_below(&s, 4))
			continue;
		for (i = 0; i < sizeof(page); i += 8) {
			uint64_t word = random_next(&s);

			memcpy(page + i, &word, 8);
		}
		model_blob_put(model_blob(r->m), pos, sizeof(page), page, NULL, NULL, NULL);
	}
}

/* --- the network ------------------------------------------------------------------ */

static void take_lease(struct round *r)
{
	struct rig *rig = &r->w.rig;

	atomic_store(&r->w.taken, true);
	model_blob_break(model_blob(rig->m), 0, NULL);
	model_blob_acquire(model_blob(rig->m), "11111111-2222-3333-4444-555555555555", 60, NULL);
	r->taken_image = malloc(rig->size);
	rig_peek(rig, 0, rig->size, r->taken_image);
}

static void some_chances(struct round *r)
{
	struct model_chances c = {
		.read_error = (unsigned)random_below(&r->random, 30),
		.write_error = (unsigned)random_below(&r->random, 60),
		.swallowed = (unsigned)random_below(&r->random, 40),
		.reset = (unsigned)random_below(&r->random, 40),
		.late = (unsigned)random_below(&r->random, 40),
		.slow = (unsigned)random_below(&r->random, 50),
		.late_ms = LATE_MS,
		.slow_ms = 30,
		.lease = (unsigned)random_below(&r->random, 100),
	};

	model_set_chances(r->w.rig.m, &c);
}

static void *chaos_main(void *arg)
{
	struct round *r = arg;
	struct model *m = r->w.rig.m;

	while (!atomic_load(&r->chaos_ends)) {
		switch (random_below(&r->random, 6)) {
		case 0:
			model_set_latency(m, 0, (unsigned)random_below(&r->random, 8));
			break;
		case 1:
			model_hold(m, CALL_WRITE, true);
			nap_ms((unsigned)random_below(&r->random, 40));
			model_hold(m, CALL_WRITE, false);
			break;
		case 2:
			model_hold(m, CALL_READ, true);
			nap_ms((unsigned)random_below(&r->random, 20));
			model_hold(m, CALL_READ, false);
			break;
		case 3:
			if (r->w.errors_allowed)
				some_chances(r);
			break;
		case 4:
			if (r->kind == ROUND_OUTAGES && random_below(&r->random, 2))
				model_outage(m, 20 + (unsigned)random_below(&r->random, 600));
			break;
		default:
			break;
		}
		nap_ms(10 + (unsigned)random_below(&r->random, 40));
	}
	return NULL;
}

/* --- the persistent cache --------------------------------------------------------- */

static struct pcache *open_pcache(const struct round *r, const char *version, const char *former)
{
	struct pcache_options o = { .dir = scratch_dir(), .max_bytes = 64 << 20, .queue_bytes = 1 << 20,
				    .size = r->w.rig.size, .drive = "d", .version = version, .former = former,
				    .owned = !r->w.overlay };
	struct pcache *pc;
	struct err err;

	pc = pcache_open(&o, &err);
	if (!pc)
		random_fail(&r->w, "%s", err.msg);
	return pc;
}

static void version_of(const struct round *r, const char *what, char out[64])
{
	snprintf(out, 64, "%s %" PRIu64, what, r->w.seed);
}

struct found {
	pthread_mutex_t lock;
	pthread_cond_t cond;
	bool done;
	uint64_t from, end;
};

static void on_found(void *arg, uint64_t from, uint64_t end)
{
	struct found *f = arg;

	pthread_mutex_lock(&f->lock);
	f->from = from;
	f->end = end;
	f->done = true;
	pthread_cond_signal(&f->cond);
	pthread_mutex_unlock(&f->lock);
}

/* Granule by granule: what is kept under this name is in the image. */
static void check_kept(struct round *r, const char *version, const char *former, const unsigned char *image)
{
	struct pcache *pc = open_pcache(r, version, former);
	unsigned char *page = aligned_alloc(4096, 4096);
	uint64_t pos, size = r->w.rig.size, kept = 0;

	for (pos = 0; pos < size; pos += 4096) {
		struct found f = { .lock = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER };
		struct iovec iov = { page, size - pos < 4096 ? size - pos : 4096 };

		pcache_read(pc, pos, &iov, 1, on_found, &f);
		pthread_mutex_lock(&f.lock);
		while (!f.done)
			pthread_cond_wait(&f.cond, &f.lock);
		pthread_mutex_unlock(&f.lock);
		if (f.from != f.end)
			continue;
		kept++;
		if (memcmp(page, image + pos, iov.iov_len))
			random_fail(&r->w, "the page at %" PRIu64 " is kept with wrong bytes", pos);
	}
	printf("# seed %" PRIu64 " %s: %" PRIu64 " pages are kept, all right\n", r->w.seed, former ? former : version,
	       kept);
	free(page);
	pcache_close(pc, NULL);
}

/* After the disk: `image` is what storage holds now; NULL: nobody knows. */
static void end_pcache(struct round *r, const unsigned char *image)
{
	char start[64], end[64], check[64];
	bool in_order = image && !r->w.overlay && random_below(&r->random, 2);

	if (!r->pcache)
		return;
	version_of(r, "start", start);
	version_of(r, "end", end);
	version_of(r, "check", check);
	pcache_close(r->pcache, in_order ? end : NULL);
	if (in_order)
		check_kept(r, check, end, image);
	else if (image)
		check_kept(r, start, NULL, r->first_image);
	free(r->first_image);
}

static void keep_image(struct rig *rig)
{
	struct round *r = (struct round *)rig; /* the rig is the first of the first */

	fill_some(rig);
	r->first_image = malloc(rig->size);
	rig_peek(rig, 0, rig->size, r->first_image);
}

/* --- a round ------------------------------------------------------------------------ */

static void round_open(struct round *r, uint64_t seed)
{
	static const unsigned requests[] = { 1, 2, 4, 16 }, fetches[] = { 0, 4096, 16384, 65536 };
	struct rig_options o = { .fill = fill_some, .seed = seed };
	const char *cache_text = getenv("HPCPACK_RANDOM_CACHE");

	memset(r, 0, sizeof(*r));
	random_seed(&r->random, seed);
	r->w.seed = fill_seed = seed;
	r->kind = (enum round_kind)(seed % ROUND_KINDS);
	r->w.overlay = r->kind == ROUND_OVERLAY;
	r->w.sync_writes = !r->w.overlay && random_below(&r->random, 6) == 0;
	r->w.discards = !r->w.overlay;
	r->w.errors_allowed = r->kind != ROUND_CALM && !r->w.overlay;
	o.disk.size = (6u << 20) + 512 * random_below(&r->random, 300);
	o.disk.cache_bytes = 1u << (20 + (random_below(&r->random, 3) == 0));
	if (cache_text)
		o.disk.cache_bytes = strtoull(cache_text, NULL, 10);
	o.disk.max_requests = requests[random_below(&r->random, 4)];
	o.disk.fetch_bytes = fetches[random_below(&r->random, 4)];
	o.disk.sync_writes = r->w.sync_writes;
	o.disk.overlay = o.no_lease = r->w.overlay;
	o.disk.overlay_bytes = 16u << 20;
	o.disk.io_deadline_ms = r->w.errors_allowed && random_below(&r->random, 3) == 0 ? 400 : 30000;
	o.lease_s = r->w.errors_allowed ? 15 : 60;
	o.unit_ms = r->w.errors_allowed ? 20 : 500;
	if (random_below(&r->random, 2)) {
		char version[64];

		version_of(r, "start", version);
		r->w.rig.size = o.disk.size;
		o.disk.pcache = open_pcache(r, version, NULL);
		o.fill = keep_image;
	}
	rig_open(&r->w.rig, &o);
	r->pcache = o.disk.pcache;
	model_set_give_up(r->w.rig.m, 300);
}

static bool held(void *arg)
{
	struct rig *r = arg;

	return !r->k || lease_state(r->k) != LEASE_DOUBTFUL;
}

static bool lost(void *arg)
{
	struct rig *r = arg;

	return lease_state(r->k) == LEASE_LOST && r->last == LEASE_LOST;
}

/* The network is well again: what users know must be in storage after a flush. */
static void end_well(struct round *r)
{
	struct rig *rig = &r->w.rig;
	struct lease_info info;
	unsigned char *image;
	struct err err;
	int tries = 0;

	if (!rig_until(held, rig))
		random_fail(&r->w, "the lease is not regained");
	while (rig_flush(rig, &err) < 0)
		if (++tries == 20 || !r->w.errors_allowed)
			random_fail(&r->w, "no flush succeeds any more: %s", err.msg);
	if (!r->w.overlay)
		users_check_stored(&r->w, true);
	if (r->w.errors_allowed && !r->w.overlay) {
		/* What is late has its chance now. */
		nap_ms(LATE_MS + 20);
		users_check_stored(&r->w, true);
	}
	if (rig->k) {
		lease_keeper_info(rig->k, &info);
		if (info.state == LEASE_LOST)
			random_fail(&r->w, "the lease is lost, and nobody took it: %s", info.reason);
	}
	image = malloc(rig->size);
	rig_peek(rig, 0, rig->size, image);
	if (rig_close(rig, &err) < 0)
		random_fail(&r->w, "close: %s", err.msg);
	end_pcache(r, image);
	free(image);
}

/* Nothing but what was there then is in storage, and all that was flushed is. */
static void end_taken(struct round *r)
{
	struct rig *rig = &r->w.rig;
	unsigned char *now = malloc(rig->size);
	char page[512] = { 0 };
	struct err err;

	if (!rig_until(lost, rig))
		random_fail(&r->w, "the loss of the lease is not noticed");
	if (rig_write(rig, 0, sizeof(page), page, &err) == 0 || err.code != ERR_LEASE_LOST)
		random_fail(&r->w, "a write is accepted without the lease");
	nap_ms(LATE_MS + 20);
	rig_peek(rig, 0, rig->size, now);
	if (memcmp(now, r->taken_image, rig->size))
		random_fail(&r->w, "storage was changed after the lease was taken");
	users_check_stored(&r->w, false);
	free(now);
	free(r->taken_image);
	rig_close(rig, NULL);
	end_pcache(r, NULL);
}

static unsigned run_round(uint64_t seed, int64_t until, unsigned max_ops)
{
	struct round *r = malloc(sizeof(*r));
	struct model_chances none = { 0 };
	struct model_seen seen;
	unsigned ops, taken_after;

	round_open(r, seed);
	taken_after = 100 + (unsigned)random_below(&r->random, ROUND_MS - 200);
	r->w.until = model_now() + ROUND_MS;
	if (until && r->w.until > until)
		r->w.until = until;
	r->w.max_ops = max_ops;
	users_start(&r->w);
	pthread_create(&r->chaos, NULL, chaos_main, r);
	if (r->kind == ROUND_TAKEN) {
		nap_ms(taken_after);
		take_lease(r);
	}
	users_join(&r->w);
	atomic_store(&r->chaos_ends, true);
	pthread_join(r->chaos, NULL);
	model_set_chances(r->w.rig.m, &none);
	model_set_latency(r->w.rig.m, 0, 0);
	model_outage(r->w.rig.m, 0);
	model_seen(r->w.rig.m, &seen);
	ops = atomic_load(&r->w.ops);
	printf("# seed %" PRIu64 " %s: %u operations (%u failed), %u reads, %u writes, %u clears, %u lease changes, "
	       "%u late requests refused\n", seed, kind_names[r->kind], ops, atomic_load(&r->w.failed_ops),
	       seen.calls[CALL_READ], seen.calls[CALL_WRITE], seen.calls[CALL_CLEAR], seen.calls[CALL_CHANGE],
	       seen.late_refused);
	fflush(stdout);
	if (r->kind == ROUND_TAKEN)
		end_taken(r);
	else
		end_well(r);
	users_free(&r->w);
	free(r);
	return ops;
}

static void test_random(void **state)
{
	const char *seed_text = getenv("HPCPACK_SEED"), *ops_text = getenv("HPCPACK_RANDOM_OPS");
	uint64_t seed = seed_text ? strtoull(seed_text, NULL, 10) : (uint64_t)time(NULL);
	unsigned long want = ops_text ? strtoul(ops_text, NULL, 10) : 0, done = 0;
	int64_t until = model_now() + (getenv("HPCPACK_TEST_QUICK") ? QUICK_MS : DEFAULT_MS);

	while (want ? done < want : model_now() < until) {
		unsigned ops = want - done < ROUND_OPS ? (unsigned)(want - done) : ROUND_OPS;

		done += run_round(seed, want ? 0 : until, want ? ops : 0);
		seed++;
	}
	printf("# %lu operations\n", done);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random),
	};

	log_init("test-disk-random", LOG_LEVEL_ERROR);
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
