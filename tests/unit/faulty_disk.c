#include <config.h>

#include "tests/unit/faulty_disk.h"

#include "tests/unit/unit.h"

#include <stdlib.h>
#include <string.h>

void fill_old(struct rig *r)
{
	char *page = malloc(MIB);
	uint64_t pos;

	memset(page, 'o', MIB);
	for (pos = 0; pos < r->size; pos += MIB)
		model_blob_put(model_blob(r->m), pos, MIB, page, NULL, NULL, NULL);
	free(page);
}

struct rig_options options(void)
{
	return (struct rig_options){ .disk = { .size = SIZE, .cache_bytes = 4 * MIB }, .fill = fill_old };
}

void open_old(struct rig *r)
{
	struct rig_options o = options();

	rig_open(r, &o);
}

void put(struct rig *r, uint64_t offset, uint32_t len, char c)
{
	char *data = malloc(len);
	struct err err;

	memset(data, c, len);
	if (rig_write(r, offset, len, data, &err) < 0)
		fail_msg("write: %s", err.msg);
	free(data);
}

void assert_all(const char *got, uint64_t offset, uint64_t len, char c)
{
	uint64_t i;

	for (i = 0; i < len; i++)
		if (got[i] != c)
			fail_msg("byte %llu is '%c', not '%c'", (unsigned long long)(offset + i), got[i], c);
}

void assert_stored(struct rig *r, uint64_t offset, uint32_t len, char c)
{
	char *got = malloc(len);

	rig_peek(r, offset, len, got);
	assert_all(got, offset, len, c);
	free(got);
}

void assert_reads(struct rig *r, uint64_t offset, uint32_t len, char c)
{
	char *got = malloc(len);
	struct err err;

	if (rig_read(r, offset, len, got, &err) < 0)
		fail_msg("read: %s", err.msg);
	assert_all(got, offset, len, c);
	free(got);
}

enum lease_state lease_told(struct rig *r)
{
	enum lease_state s;

	pthread_mutex_lock(&r->lock);
	s = r->last;
	pthread_mutex_unlock(&r->lock);
	return s;
}

bool is_lost(void *arg)
{
	return lease_told(arg) == LEASE_LOST;
}
