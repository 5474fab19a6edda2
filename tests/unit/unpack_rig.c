#include <config.h>

#include "tests/unit/unpack_rig.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "blob/base/log.h"
#include "tests/unit/unit.h"

struct rig rig;

/* --- the package --- */

static uint8_t byte_of(enum rig_kind kind, unsigned member, uint64_t offset)
{
	uint64_t block = offset / 4096 + member * UINT64_C(1000003);
	uint64_t h = (offset + ((uint64_t)member << 40)) * 0x9e3779b97f4a7c15u;

	if (kind == RIG_TEXT)
		return (uint8_t)(offset % 97 ? block * 31 + offset % 5 : block * 7);
	h = (h ^ h >> 29) * 0xbf58476d1ce4e5b9u;
	return h >> 58;
}

uint8_t rig_byte(unsigned member, uint64_t offset)
{
	return byte_of(rig.kinds[member], member, offset);
}

void rig_add(enum rig_kind kind, size_t size, const struct zip_spec *lie)
{
	struct zip_spec spec = lie ? *lie : (struct zip_spec) { .name = NULL };
	uint8_t *data = malloc(size);
	char name[16];

	if (rig.unpack) {
		printf("Bail out! the test before did not come to its end\n");
		exit(1);
	}
	assert_true(rig.count < RIG_MEMBERS);
	for (size_t i = 0; i < size; i++)
		data[i] = byte_of(kind, rig.count, i);
	snprintf(name, sizeof(name), "m%02u", rig.count);
	spec.name = name;
	spec.data = data;
	spec.len = size;
	spec.method = kind == RIG_STORED ? 0 : 8;
	zip_add(&rig.zip, &spec);
	free(data);
	rig.kinds[rig.count++] = kind;
}

void rig_serve(void)
{
	struct pack_memory memory;
	struct err err;
	char name[16];

	zip_end(&rig.zip, NULL);
	pack_memory_init(&memory, "c/app.zip", rig.zip.data, rig.zip.len);
	if (pack_index_open(&rig.index, &memory.reader, NULL, &err) < 0)
		fail_msg("%s", err.msg);
	for (unsigned i = 0; i < rig.count; i++) {
		ssize_t e;

		snprintf(name, sizeof(name), "m%02u", i);
		e = pack_index_find(&rig.index, name);
		assert_true(e > 0);
		rig.entries[i] = (uint32_t)e;
	}
	range_server_start(&rig.server);
	rig.blob = range_server_add(&rig.server, "app.zip", rig.zip.data, rig.zip.len);
}

const struct pack_entry *rig_entry(unsigned member)
{
	return &rig.index.entries[rig.entries[member]];
}

uint64_t rig_place(unsigned member, uint64_t at)
{
	const struct pack_entry *e = rig_entry(member);

	return e->header_offset + 30 + strlen(e->path) + at;
}

void rig_damage(unsigned member, uint64_t at)
{
	rig.zip.data[rig_place(member, at)] ^= 0x10;
}

/* --- open and close --- */

/* What the sanitizers say is no log. */
#ifdef __SANITIZE_ADDRESS__
void __sanitizer_set_report_fd(void *fd);
static void reports_to(int fd)
{
	__sanitizer_set_report_fd((void *)(intptr_t)fd);
}
#else
static void reports_to(int fd)
{
}
#endif

static void take_log(void)
{
	log_init("rig", LOG_LEVEL_WARN);
	rig.log = memfd_create("log", MFD_CLOEXEC);
	rig.stderr_before = dup(2);
	dup2(rig.log, 2);
	reports_to(rig.stderr_before);
}

static void give_log_back(void)
{
	dup2(rig.stderr_before, 2);
	reports_to(2);
	close(rig.stderr_before);
	close(rig.log);
}

static void on_damaged(void *arg, struct object *object, const struct pack_entry *entry)
{
	rig.damaged[strtoul(entry->path + 1, NULL, 10)]++;
}

void rig_open(struct unpack_options o, unsigned deadline_ms)
{
	struct blob_client_options client = { .connections = 16, .deadline_ms = deadline_ms };
	struct objects_options objects = { .cache_bytes = 32 * MIB };
	struct blob_ref ref = { .container = "c", .blob = "app.zip" };
	struct err err;

	rig.client = range_client(&rig.server, &client);
	rig.objects = objects_new(rig.client, &objects, &err);
	assert_non_null(rig.objects);
	rig.object = object_open(rig.objects, &ref, "\"v1\"", rig.blob->size);
	assert_non_null(rig.object);
	o.damaged = on_damaged;
	rig.unpack = unpack_new(&o, &err);
	if (!rig.unpack)
		fail_msg("%s", err.msg);
	take_log();
}

void rig_close(void)
{
	range_server_clear(&rig.server);
	blob_client_abort(rig.client);
	unpack_free(rig.unpack);
	object_close(rig.object);
	objects_free(rig.objects);
	blob_client_free(rig.client);
	give_log_back();
	range_server_stop(&rig.server);
	pack_index_free(&rig.index);
	zip_free(&rig.zip);
	memset(&rig, 0, sizeof(rig));
}

struct unpack_stats rig_stats(void)
{
	struct unpack_stats s;

	unpack_stats(rig.unpack, &s);
	return s;
}

unsigned rig_logged(const char *text)
{
	off_t size = lseek(rig.log, 0, SEEK_END);
	char *all = calloc(1, (size_t)size + 1), *line, *rest = all;
	unsigned n = 0;

	assert_int_equal(pread(rig.log, all, (size_t)size, 0), size);
	while ((line = strsep(&rest, "\n")))
		n += strstr(line, text) != NULL;
	free(all);
	return n;
}

/* --- reading --- */

static void ask(unsigned member, uint64_t offset, uint32_t len, struct reading *r)
{
	struct unpack_member m = { .object = rig.object, .name = "c/app.zip",
				   .entry = rig_entry(member), .directory = rig.index.directory_offset };

	unpack_read(rig.unpack, &m, offset, len, reading_done, r);
}

uint64_t rig_compare(const uint8_t *data, unsigned member, uint64_t offset, uint64_t len)
{
	uint64_t i = 0;

	while (i < len && data[i] == rig_byte(member, offset + i))
		i++;
	return i;
}

static void is_right(const struct reading *r, unsigned member, uint64_t offset)
{
	uint64_t right = rig_compare(r->data, member, offset, r->len);

	if (right < r->len)
		fail_msg("member %u: byte %" PRIu64 " is wrong", member, offset + right);
}

struct reading *rig_start(unsigned member, uint64_t offset, uint32_t len, bool stay)
{
	struct reading *r = malloc(sizeof(*r));

	reading_init(r, stay);
	ask(member, offset, len, r);
	return r;
}

enum err_code rig_finish(struct reading *r, unsigned member, uint64_t offset)
{
	enum err_code code = reading_wait(r);

	if (code == ERR_NONE)
		is_right(r, member, offset);
	reading_free(r);
	free(r);
	return code;
}

enum err_code rig_read(unsigned member, uint64_t offset, uint32_t len)
{
	return rig_finish(rig_start(member, offset, len, false), member, offset);
}

void rig_reads(unsigned member, uint64_t offset, uint32_t len)
{
	struct reading *r = rig_start(member, offset, len, false);

	if (reading_wait(r) != ERR_NONE)
		fail_msg("member %u at %" PRIu64 ": %s", member, offset, r->err.msg);
	assert_int_equal(r->len, len);
	rig_finish(r, member, offset);
}

void rig_reads_all(unsigned member, uint32_t step)
{
	uint64_t size = rig_entry(member)->size;

	for (uint64_t at = 0; at < size; at += step)
		rig_reads(member, at, size - at < step ? (uint32_t)(size - at) : step);
}

static void *hold_on(void *arg)
{
	struct rig_grip *g = arg;

	ask(g->member, g->offset, g->len, &g->reading);
	return NULL;
}

void rig_grip(struct rig_grip *g, unsigned member, uint64_t offset, uint32_t len)
{
	reading_init(&g->reading, true);
	g->member = member;
	g->offset = offset;
	g->len = len;
	pthread_create(&g->thread, NULL, hold_on, g);
	reading_wait_inside(&g->reading);
}

void rig_let_go(struct rig_grip *g)
{
	reading_leave(&g->reading);
	assert_int_equal(reading_wait(&g->reading), ERR_NONE);
	pthread_join(g->thread, NULL);
	is_right(&g->reading, g->member, g->offset);
	reading_free(&g->reading);
}

/* --- at random --- */

static void *read_at_random(void *arg)
{
	struct rig_reader *rr = arg;

	for (unsigned i = 0; i < rr->reads; i++) {
		unsigned member = rr->first + (unsigned)seed_below(&rr->state, rr->members);
		uint64_t size = rig_entry(member)->size;
		uint32_t len = 1 + (uint32_t)seed_below(&rr->state, size < rr->most ? size : rr->most);
		uint64_t offset = seed_below(&rr->state, size - len + 1);
		struct reading r;

		reading_init(&r, false);
		ask(member, offset, len, &r);
		if (reading_wait(&r) != ERR_NONE)
			rr->codes |= 1u << r.err.code;
		else if (rr->good++, r.len != len || rig_compare(r.data, member, offset, len) < len)
			rr->wrong++;
		reading_free(&r);
	}
	return NULL;
}

void rig_readers_start(struct rig_reader *all, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		pthread_create(&all[i].thread, NULL, read_at_random, &all[i]);
}

void rig_readers_join(struct rig_reader *all, unsigned count, unsigned codes)
{
	for (unsigned i = 0; i < count; i++)
		pthread_join(all[i].thread, NULL);
	for (unsigned i = 0; i < count; i++) {
		assert_int_equal(all[i].wrong, 0);
		assert_int_equal(all[i].codes & ~codes, 0);
	}
}
